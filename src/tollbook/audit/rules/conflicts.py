"""Several tenants or environments where there should be one (A03, A32)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.findings import Hop, Severity
from tollbook.audit.rules.first_of import FirstOf
from tollbook.audit.rules.found import (
    HITS_MAX,
    above,
    called,
    calls_at,
    hit_of,
    ref_of,
    tenant_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_SERVER, _PRODUCER, _CONSUMER = 2, 4, 5
_CONVERSATION_MAX: Final = 1000
"""Of more calls of one conversation no more are compared."""
_CLAIMS: Final = "name different tenant_id"
_SPELLINGS: Final = {"prod": "production", "stage": "staging", "dev": "development"}


class OneTenant:
    """A03: within one trace the tenant changes on the way down, or one request has two.

    A job that works for several tenants names none itself, or links to what caused each part; a
    span with links is taken for such a part. A request (a server span at the root) has one tenant.

    Source: opentelemetry-python#2606: context that is attached within a generator leaks into its
    consumer; threads of a pool keep what was attached before.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit where a tenant gives way to another, and for a request with several."""
        return islice(self._check(trace), HITS_MAX)

    def _check(self, trace: Trace) -> Iterator[Hit]:
        tenants = {one.owner.get("tenant_id") for one in trace.spans} - {None}
        if len(tenants) < 2 and not any(one.problems for one in trace.spans):  # noqa: PLR2004 -- several
            return  # nearly all traces: they are not looked at more closely
        changed = False
        for span in trace.spans:
            if span.problems and any(_CLAIMS in one for one in span.problems):
                changed = True
                yield _claims(trace, span)
            tenant, parent = span.tenant, trace.parent(span)
            if tenant is None or parent is None:
                continue
            had = trace.owner_of(parent)
            if had is None or had.span.tenant is None or had.value == tenant:
                continue  # what a process names is for spans that name nobody
            if not _is_part(trace, span):
                changed = True
                yield _change(trace, had.span, span)
        if not changed:
            yield from _requests(trace)


def _change(trace: Trace, last: SpanFact, first: SpanFact) -> Hit:
    """Return the hit of a hop: the last span that names one tenant, the first of another."""
    calls = [one for one in calls_at(trace, first) if tenant_of(trace, one) == first.tenant]
    hit = hit_of(
        "A03",
        f"The tenant changes from {_named(last)} to {_named(first)} within a trace",
        (last.service, last.name, first.service, called(first), first.name),
        [first, last, *[one for one in calls[:1] if one is not first]],
        calls=calls,
    )
    return replace(hit, hop=Hop(ref_of(last), ref_of(first), _crossing(last, first), True))


def _named(span: SpanFact) -> str:
    return f"{span.name} in {span.service or called(span)}"


def _crossing(last: SpanFact, first: SpanFact) -> str:
    if first.kind == _CONSUMER or last.kind == _PRODUCER:
        return "queue"
    return "http" if first.kind == _SERVER or last.service != first.service else "within"


def _is_part(trace: Trace, span: SpanFact) -> bool:
    """Whether a span is a job's part, which other spans caused."""
    return bool(span.links) or any(one.links for one in above(trace, span))


def _claims(trace: Trace, span: SpanFact) -> Hit:
    return hit_of(
        "A03",
        f"Attributes of {called(span)} name different tenants on one span",
        ("attributes", span.service, called(span)),
        [span],
        calls=calls_at(trace, span),
    )


def _requests(trace: Trace) -> Iterator[Hit]:
    """Yield a hit for each request whose calls are of several tenants."""
    for root in trace.roots:
        if root.kind != _SERVER or root.links:
            continue
        first: dict[str, SpanFact] = {}
        for call in calls_at(trace, root):
            owned = trace.owner_of(call)
            if owned is not None and not _is_part(trace, call):
                first.setdefault(owned.value, call)
        if len(first) > 1:
            calls = list(first.values())
            yield hit_of(
                "A03",
                f"Calls of one request to {root.service or called(root)} have different tenants",
                ("request", root.service, root.name),
                [calls[1], calls[0], root],
                calls=calls[1:],
            )


class Conversations:
    """A03: one conversation has calls of several tenants.

    Source: OpenTelemetry GenAI semantic conventions, gen_ai.conversation.id: unique.
    """

    name = "conversations"

    def __init__(self) -> None:
        self._first = FirstOf(_CONVERSATION_MAX)

    def keys(self, trace: Trace) -> Iterator[tuple[str, SpanFact]]:
        """Yield calls with a tenant by their conversation."""
        for span in trace.calls:
            conversation = _conversation(trace, span)
            tenant = tenant_of(trace, span)
            if conversation is None or tenant is None:
                continue
            if self._first.takes(conversation):
                yield conversation, replace(span, owner={"tenant_id": tenant})

    def check_group(self, key: str, spans: Sequence[SpanFact]) -> Iterator[Hit]:
        """Yield a hit where the tenant changes between traces."""
        del key
        first: dict[str, SpanFact] = {}
        for span in spans:
            first.setdefault(span.tenant or "", span)
        if len(first) < 2 or len({one.trace_id for one in first.values()}) < 2:  # noqa: PLR2004 -- two differ
            return
        one, other = list(first.values())[:2]
        yield hit_of(
            "A03",
            f"Calls of one conversation of {other.service or called(other)} have different tenants",
            ("conversation", other.service, called(other)),
            [other, one],
            calls=[call for call in spans if call.tenant != one.tenant],
            severity=Severity.WARNING,
        )


def _conversation(trace: Trace, span: SpanFact) -> str | None:
    assert span.call is not None
    if span.call.conversation_id is not None:
        return span.call.conversation_id
    if span.session_id is not None:
        return span.session_id
    return next((one.session_id for one in above(trace, span) if one.session_id), None)


class OneEnvironment:
    """A32: spans of one trace are of different environments.

    Source: OpenTelemetry semantic conventions, deployment.environment.name.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for the first span, below another, that names another environment."""
        if not trace.calls or len({_environment(one) for one in trace.spans}) < 2:  # noqa: PLR2004 -- several
            return
        for span in trace.spans:
            parent = trace.parent(span)
            if parent is None:
                continue
            here, there = _environment(span), _environment(parent)
            if here and there and here != there:
                yield hit_of(
                    "A32",
                    f"{parent.service or called(parent)} is of {there} and calls"
                    f" {span.service or called(span)} of {here}",
                    (parent.service, there, span.service, here),
                    [span, parent],
                    calls=calls_at(trace, span),
                )
                return


def _environment(span: SpanFact) -> str:
    told = span.process_owner.get("environment") or span.owner.get("environment") or ""
    return _SPELLINGS.get(told.lower(), told.lower())
