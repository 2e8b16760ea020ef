"""A sight: one call as one observer tells of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.call import Call, Observer, Status
from tollbook.dialects.otel import NAME as OTEL

if TYPE_CHECKING:
    from tollbook.call import Identity

GATEWAY: Final = "gateway"
RANKS: Final[dict[str, int]] = {
    GATEWAY: 0, Observer.SDK.value: 1, Observer.OTLP.value: 2, Observer.IMPORT.value: 3
}  # fmt: skip
"""Observers in the order of trust: the first that saw a call is the one it is booked as."""
OTLP_RANK: Final = RANKS[Observer.OTLP.value]
AGGREGATES: Final = frozenset([
    "invoke_agent", "invoke_workflow", "create_agent", "step", "execute_tool", "retrieval",
])  # fmt: skip
"""Operations whose usage, if they tell any, is the sum of the calls within (GenAI conventions,
agent spans; chains and tools of frameworks)."""
_STRONG_CHARS: Final = 16
_PREFIX: Final = re.compile(r"^[A-Za-z]+[-_]")
_NOT_OF_ID: Final = re.compile(r"[^A-Za-z0-9]")
_DATED: Final = re.compile(r"[-@]\d{4}-?\d{2}-?\d{2}.*$")
_FAMILIES: Final = {
    "azure": "openai", "azure.ai.openai": "openai", "az.ai.openai": "openai", "openai": "openai",
    "anthropic": "anthropic", "cohere": "cohere", "mistral": "mistral", "mistral_ai": "mistral",
    "groq": "groq", "deepseek": "deepseek", "gemini": "google", "gcp.gemini": "google",
    "google": "google", "gcp.vertex_ai": "google", "vertex": "google",
}  # fmt: skip

SpanKey = tuple[str, str]
"""Trace id and span id."""


class Sight(NamedTuple):
    """A call as one observer tells of it."""

    call: Call
    rank: int
    seen_us: int
    """When it became known, in microseconds since the epoch."""
    is_frozen: bool = False
    """Its details are gone; the call is what is in force of it."""

    @property
    def call_id(self) -> bytes:
        """Its own id, whatever it is charged as."""
        return self.call.opened.call_id

    @property
    def identity(self) -> Identity:
        """What this observer knows of the owner."""
        return self.call.opened.identity

    @property
    def observer(self) -> str:
        """``gateway``, ``sdk``, ``otlp`` or ``import``."""
        return self.call.opened.observer or GATEWAY

    @property
    def own_span(self) -> SpanKey | None:
        """The span that it is."""
        opened = self.call.opened
        if opened.trace_id is None or opened.span_id is None:
            return None
        return opened.trace_id, opened.span_id

    @property
    def parent_span(self) -> SpanKey | None:
        """The span it was made in."""
        opened = self.call.opened
        if opened.trace_id is None or opened.parent_span_id is None:
            return None
        return opened.trace_id, opened.parent_span_id

    @property
    def has_usage(self) -> bool:
        """Whether the provider's own count was seen.

        What a span or log said is kept whether or not it said tokens; these say when they did.
        """
        closed = self.call.closed
        return closed.usage_complete or (bool(closed.usage) and self.call.opened.dialect != OTEL)

    @property
    def is_aggregate(self) -> bool:
        """Whether its usage is a sum over calls."""
        return self.rank == OTLP_RANK and self.call.opened.operation in AGGREGATES

    @property
    def is_due(self) -> bool:
        """Whether the provider wants money for it."""
        closed = self.call.closed
        return closed.is_billable and closed.status is not Status.ERROR

    @property
    def start_us(self) -> int:
        """When it began, in microseconds since the epoch."""
        return self.call.opened.started_at_ns // 1000

    @property
    def end_us(self) -> int:
        """When it ended, never before it began."""
        return max(self.call.closed.closed_at_ns, self.call.opened.started_at_ns) // 1000


def is_whole(call: Call) -> bool:
    """Whether a telling says all that its observer ever will: one that says more takes its place.

    A span, or a row of a log, that was written while the call went on has no usage yet; the same
    one, written again at the end, has.
    """
    closed = call.closed
    if closed.status is Status.INTERRUPTED:
        return False
    return closed.usage_complete or RANKS[call.opened.observer or GATEWAY] < OTLP_RANK


def is_strong(provider_id: str) -> bool:
    """Whether a provider's id is long enough to be unique; mocks have ``chatcmpl-123``."""
    return len(_NOT_OF_ID.sub("", _PREFIX.sub("", provider_id))) >= _STRONG_CHARS


def same_family(one: str, other: str) -> bool:
    """Whether two names may stand for one provider; a configured name says nothing."""
    known = _FAMILIES.get(one.lower()), _FAMILIES.get(other.lower())
    return None in known or known[0] == known[1]


def same_model(one: Call, other: Call) -> bool:
    """Whether two observers may mean one model; what is not known contradicts nothing."""
    ours, theirs = _models(one), _models(other)
    return not ours or not theirs or bool(ours & theirs)


def _models(call: Call) -> set[str]:
    names = (call.opened.model_requested, call.opened.model_sent, call.closed.model_actual)
    return {_DATED.sub("", name.lower().rsplit("/", 1)[-1]) for name in names if name}


def gap_us(one: Sight, other: Sight) -> int:
    """Return the time between two calls, 0 where they overlap."""
    return max(0, one.start_us - other.end_us, other.start_us - one.end_us)
