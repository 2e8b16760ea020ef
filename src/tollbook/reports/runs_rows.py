"""What a tree of a run is made of: its calls, its spans, and what calls add up to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    SpanKey = tuple[str, str]
    """Trace id and span id."""


class Sums(NamedTuple):
    """What calls add up to; money in pico."""

    calls: int = 0
    cost: int = 0
    """Of the calls whose cost is known."""
    unknown_cost_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    failed_calls: int = 0
    failed_cost: int = 0
    retry_calls: int = 0
    retry_cost: int = 0

    def plus(self, other: Sums) -> Sums:
        """Add up."""
        return Sums(*(one + two for one, two in zip(self, other, strict=True)))


class CallRow(NamedTuple):
    """A call as known now, its parts in it."""

    call_id: str
    called_at: datetime
    tenant_id: str | None
    agent_run_id: str | None
    request_id: str | None
    workflow_step: str | None
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    provider: str | None
    operation: str | None
    model: str | None
    status: str | None
    usage_source: str | None
    price_state: str | None
    retry_of: str | None
    duration_ns: int | None
    sources: Mapping[str, Any]
    """Identity field to the mechanism that carried it."""
    has_conflict: bool
    """Two mechanisms named different owners."""
    cost: int
    is_cost_known: bool
    input_tokens: int
    output_tokens: int

    def sums(self) -> Sums:
        """Return what this one call adds."""
        failed, retry = self.status != "ok", self.retry_of is not None
        return Sums(
            1, self.cost, int(not self.is_cost_known), self.input_tokens, self.output_tokens,
            int(failed), self.cost * failed, int(retry), self.cost * retry,
        )  # fmt: skip


class SpanRow(NamedTuple):
    """A span as it was seen."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    is_error: bool
    started_at: datetime
    ended_at: datetime | None
    identity: Mapping[str, Any]
    call_id: str | None

    @property
    def key(self) -> SpanKey:
        """Its id, which is one only within its trace."""
        return self.trace_id, self.span_id

    def said(self, field: str) -> str | None:
        """Return what the span itself says of the owner; its trace goes without saying."""
        if field == "trace_id":
            return self.trace_id
        value = self.identity.get(field)
        return value if isinstance(value, str) else None


def tenants_of(calls: Iterable[CallRow]) -> dict[str | None, Sums]:
    """Return what the calls add up to by tenant, the dearest first."""
    found: dict[str | None, Sums] = {}
    for call in calls:
        found[call.tenant_id] = found.get(call.tenant_id, Sums()).plus(call.sums())
    ranked = Counter({tenant: sums.cost for tenant, sums in found.items()}).most_common()
    return {tenant: found[tenant] for tenant, _ in ranked}
