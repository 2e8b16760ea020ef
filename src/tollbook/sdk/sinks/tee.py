"""Calls told to several sinks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tollbook.call import CallClosed, CallOpened, SpanSeen
    from tollbook.sdk.sink import Sink


class TeeSink:
    """Tells each of several sinks; one that fails does not keep the others from hearing of it."""

    def __init__(self, *sinks: Sink) -> None:
        self.sinks: Final = sinks
        self.takes_ended: Final = all(getattr(sink, "takes_ended", False) for sink in sinks)
        """Whether calls may be told of from another thread, when they have ended."""
        early = tuple([begins for sink in sinks if (begins := getattr(sink, "begins", None))])
        self.begins: Final = partial(_begins, early) if early and self.takes_ended else None
        """Tells those that want to know of a call when it begins, all the same."""
        self._failed = 0

    def _each(self, tell: Callable[[Sink], Any]) -> list[Any]:
        outcomes = []
        for sink in self.sinks:
            try:
                outcomes.append(tell(sink))
            except Exception:  # noqa: BLE001 -- metering never fails the user's request
                self._failed += 1
                outcomes.append(False)
        return outcomes

    def opened(self, frame: CallOpened) -> None:
        """Tell that a call begins."""
        self._each(lambda sink: sink.opened(frame))

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Tell how a call ended."""
        self._each(lambda sink: sink.closed(opened, frame))

    def span(self, frame: SpanSeen) -> None:
        """Tell of a span."""
        self._each(lambda sink: sink.span(frame))

    def flush(self, timeout_s: float) -> bool:
        """Deliver what waits, within the time for all of them; True when nothing is left."""
        until_ns = clock.monotonic_ns() + int(timeout_s * clock.NS_PER_S)

        def rest_s() -> float:
            return max(0, until_ns - clock.monotonic_ns()) / clock.NS_PER_S

        return all(self._each(lambda sink: sink.flush(rest_s())))

    def close(self) -> None:
        """Close each."""
        self._each(lambda sink: sink.close())

    @property
    def dropped(self) -> int:
        """How many were given up, by whichever sink gave up the most."""
        return self._failed + max((sink.dropped for sink in self.sinks), default=0)


def _begins(early: tuple[Callable[[CallOpened], None], ...], frame: CallOpened) -> None:
    for begins in early:
        begins(frame)
