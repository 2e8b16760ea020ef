"""What a rule is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.kept.beginnings import Beginnings
    from tollbook.audit.trace import Trace


class TraceRule(Protocol):
    """Looks at one trace at a time, and keeps nothing."""

    def check(self, trace: Trace) -> Iterable[Hit]:
        """Yield what is found."""


@runtime_checkable
class JoinRule(Protocol):
    """Looks at what many traces say of one thing: an answer's id, a conversation, a link.

    The engine brings together what has one key, however large the input is, and then asks.
    """

    name: str

    def keys(self, trace: Trace) -> Iterable[tuple[str, SpanFact]]:
        """Yield spans of a trace with the key that each is compared under."""

    def check_group(self, key: str, spans: Sequence[SpanFact]) -> Iterable[Hit]:
        """Yield what is found among spans of one key, in the order of their time."""


@runtime_checkable
class Expectant(Protocol):
    """Wants to know what kinds of beginnings there are before it looks at the first trace."""

    def expect(self, beginnings: Beginnings) -> None:
        """Take it; nothing else will be looked for."""


@runtime_checkable
class Holder(Protocol):
    """Holds calls whose cause is known at the end, more than its hits name one by one."""

    def tell(self, each: Callable[[str, str], None]) -> None:
        """Take what is told of each such call: its ``trace_id:span_id``, and its ``Hit.group``."""


@runtime_checkable
class WholeRule(Protocol):
    """Counts over everything, in memory that does not grow with the input."""

    def observe(self, trace: Trace) -> None:
        """Count a trace."""

    def finish(self) -> Iterable[Hit]:
        """Yield what the counts say, once at the end."""
