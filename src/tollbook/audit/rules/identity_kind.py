"""Tenants that are none: conversations (A17), users (A23), persons (A24), odd ones (A33)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.distinct import Distinct
from tollbook.audit.rules.found import above, hit_of, tenant_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.settings import AuditSettings
    from tollbook.audit.trace import Trace

_is_email = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}|email-[0-9a-f]{8,16}").fullmatch
"""An address, or what stands for one where names are hashed."""
_is_phone = re.compile(r"(?:\+|00)[1-9][0-9 .-]{6,18}[0-9]").fullmatch
_is_number_of_person = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}").fullmatch
_is_made = re.compile(
    r"(?:[a-z]{1,12}[_-])?(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{16,64}"
    r"|[0-9a-hjkmnp-tv-z]{26}|[0-9]{10,40}|uuid-[0-9a-f]{8,16})",
    re.IGNORECASE,
).fullmatch
"""UUIDs, hex, ULIDs and long numbers: what machines make for each request."""
_TRACES_MIN: Final = 50
_ALMOST_ALL_PERCENT: Final = 95
_USERS_MIN: Final = 3
_PAIRS_MIN: Final = 3


class NoTenant:
    """A17, A24, A33: a tenant is another id of the call, personal data, or not of the form.

    Source: OpenTelemetry GenAI semantic conventions, gen_ai.conversation.id (an id of a thread of
    messages, nobody who pays); OpenTelemetry documentation, handling sensitive data.

    Args:
        settings: with the form that tenants have here, if it is known.
    """

    def __init__(self, settings: AuditSettings) -> None:
        pattern = settings.tenant_pattern
        self._is_one = None
        if pattern is not None and not (settings.hash_names or settings.redact_names):
            self._is_one = lru_cache(4096)(re.compile(pattern).fullmatch)

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call whose tenant cannot be one."""
        for span in trace.calls:
            tenant = tenant_of(trace, span)
            if tenant is None:
                continue
            what = _same_as(trace, span, tenant)
            if what is not None:
                yield _hit("A17", f"the id of the {what}", trace, span)
            data = personal(tenant)
            if data is not None:
                yield _hit("A24", data, trace, span)
            if self._is_one is not None and self._is_one(tenant) is None:
                yield _hit("A33", "not of the form that tenants have", trace, span)


def _hit(rule: str, what: str, trace: Trace, span: SpanFact) -> Hit:
    owned = trace.owner_of(span)
    carriers = {} if owned is None else owned.span.carriers
    carrier = carriers.get("tenant_id", "its resource")
    title = f"The tenant in {span.service or 'a service'} ({carrier}) is {what}"
    return hit_of(rule, title, (what, span.service, carrier), [span])


@lru_cache(maxsize=4096)
def personal(value: str) -> str | None:
    """Return what a value is if it is of a person, by its form."""
    if _is_email(value):
        return "an e-mail address"
    if _is_phone(value):
        return "a telephone number"
    return "a number of a person" if _is_number_of_person(value) else None


def _same_as(trace: Trace, span: SpanFact, tenant: str) -> str | None:
    call = span.call
    assert call is not None
    if tenant in {call.conversation_id, span.session_id} or any(
        one.session_id == tenant for one in above(trace, span)
    ):
        return "conversation"
    if tenant.replace("-", "").lower() == span.trace_id:
        return "trace"
    if tenant in {call.response_id, call.request_id, span.span_id, call.batch_id}:
        return "call"
    run = trace.owner_of(span, "agent_run_id")
    return "run" if run is not None and run.value == tenant else None


class Cardinality:
    """A17 and A23, by counting: a tenant for every trace, or one for every user.

    A17: nearly every trace has a tenant of its own, of a form that machines make, and users are
    fewer than tenants. A23: the tenant is nearly always the same text as the user; or users are
    named and no span of the whole input names a tenant.

    Source: FOCUS: the billed account pays, and users are a dimension of use.
    """

    def __init__(self) -> None:
        self._tenants, self._users, self._pairs = Distinct(), Distinct(), Distinct()
        self._traces = self._made = self._same = self._with_both = 0
        self._call_traces = self._same_traces = 0
        self._unowned_calls = self._calls = 0
        self._cost_pico: int | None = None
        self._first: SpanFact | None = None
        self._first_same: SpanFact | None = None
        self._names_tenant = False
        self._last_trace = ""

    def observe(self, trace: Trace) -> None:
        """Count a trace."""
        if not self._names_tenant:
            self._names_tenant = any(
                "tenant_id" in one.owner
                or "tenant_id" in one.process_owner
                or "tenant_id" in one.baggage
                for one in trace.spans
            )
        tenants: set[str] = set()
        same_before = self._same
        if trace.calls and trace.trace_id != self._last_trace:  # parts come one after the other
            self._last_trace = trace.trace_id
            self._call_traces += 1
        for span in trace.calls:
            self._first = self._first or span
            self._calls += 1
            if span.call is not None and span.call.cost_pico is not None:
                self._cost_pico = (self._cost_pico or 0) + span.call.cost_pico
            self._count(trace, span, tenants)
        self._same_traces += self._same > same_before
        if len(tenants) == 1:
            self._traces += 1
            self._made += _is_made(next(iter(tenants))) is not None

    def _count(self, trace: Trace, span: SpanFact, tenants: set[str]) -> None:
        tenant, user = tenant_of(trace, span), trace.owner_of(span, "user_id")
        if user is not None:
            self._users.add(user.value)
        if tenant is None:
            return
        tenants.add(tenant)
        self._tenants.add(tenant)
        if user is not None:
            self._with_both += 1
            if user.value == tenant:
                self._same += 1
                self._pairs.add(tenant)
                self._first_same = self._first_same or span

    def finish(self) -> Iterator[Hit]:
        """Yield what the numbers say."""
        if self._first is None:
            return
        counted = (self._calls, self._cost_pico)
        tenants, users = self._tenants.number, self._users.number
        if self._is_for_each_trace(tenants, users):
            yield hit_of(
                "A17",
                "Nearly every trace has a tenant of its own: its value seems to be made for each"
                " request",
                ("each trace",),
                [self._first],
                severity=Severity.WARNING,
                counted=counted,
                traces=self._call_traces,
            )
        if self._first_same is not None and self._pairs.number >= _PAIRS_MIN:
            if self._same * 100 >= self._with_both * _ALMOST_ALL_PERCENT:
                yield hit_of(
                    "A23",
                    "The tenant is the user: both have the same values",
                    ("same as user",),
                    [self._first_same],
                    counted=(self._same, None),
                    traces=self._same_traces,
                )
        elif not self._names_tenant and users >= _USERS_MIN:
            yield hit_of(
                "A23",
                "Users are named and no span names a tenant",
                ("users alone",),
                [self._first],
                counted=counted,
                traces=self._call_traces,
            )

    def _is_for_each_trace(self, tenants: int, users: int) -> bool:
        return (
            self._traces >= _TRACES_MIN
            and tenants * 100 >= self._traces * _ALMOST_ALL_PERCENT
            and self._made * 100 >= self._traces * _ALMOST_ALL_PERCENT
            and users * 2 < tenants
        )
