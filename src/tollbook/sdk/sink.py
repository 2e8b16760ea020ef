"""Where the calls of this process go: the one interface between the harness and what delivers."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from tollbook.call import CallClosed, CallOpened, SpanKind, SpanSeen


class Sink(Protocol):
    """Takes what was seen. Never raises, never waits; what it cannot keep it counts."""

    def opened(self, frame: CallOpened) -> None:
        """Take that a call begins."""

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Take how a call ended; every call ends once."""

    def span(self, frame: SpanSeen) -> None:
        """Take a span of a run: an agent, a step, a tool."""

    def flush(self, timeout_s: float) -> bool:
        """Deliver what is waiting; True when nothing is left."""

    def close(self) -> None:
        """Deliver what can be delivered, and stop."""

    @property
    def dropped(self) -> int:
        """How many calls were given up since the start."""


class SpanMaker(Protocol):
    """A sink whose spans are OpenTelemetry's own, begun and ended with the work they stand for.

    So what other instrumentations make within a scope is within its span.
    """

    def begin_span(self, name: str, kind: SpanKind, outside: Context) -> Span | None:
        """Begin a span within the one of a context; None: tell of it by ``span`` when it ended."""

    def end_span(self, span: Span, frame: SpanSeen) -> None:
        """End a span that was begun here."""


class MemorySink:
    """Keeps the last calls in memory, for tests."""

    def __init__(self, calls_max: int = 10_000) -> None:
        self.calls: deque[tuple[CallOpened, CallClosed]] = deque(maxlen=calls_max)
        self.spans: deque[SpanSeen] = deque(maxlen=calls_max)
        self.open_calls = 0
        self._lock = threading.Lock()

    def opened(self, frame: CallOpened) -> None:
        """Count a call that begins."""
        del frame
        with self._lock:
            self.open_calls += 1

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Keep a call."""
        with self._lock:
            self.open_calls -= 1
            self.calls.append((opened, frame))

    def span(self, frame: SpanSeen) -> None:
        """Keep a span."""
        self.spans.append(frame)

    def flush(self, timeout_s: float) -> bool:
        """Return True: nothing waits."""
        del timeout_s
        return True

    def close(self) -> None:
        """Do nothing."""

    @property
    def dropped(self) -> int:
        """Return 0."""
        return 0
