"""Ctrl-C: what was read until then is still reported on."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from tollbook.audit.read import Trouble, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from tollbook.audit.read import Batch, Input, InputRead


class Stop:
    """While it is entered, the first interrupt ends the reading, the second everything.

    A read that waits (standard input, a pipe) has to be broken off, so an interrupt raises there;
    anywhere else it would leave counts half done, so it is only noted.

    Args:
        ask: asks an input to end by itself, where it can (a live endpoint does).
    """

    def __init__(self, ask: Callable[[], None] | None = None) -> None:
        self._ask = ask
        self.is_asked = False
        self.is_waiting = False
        self._before: Any = None

    def __enter__(self) -> Self:
        # Handlers can be set in the main thread only; elsewhere nobody sends interrupts.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def watched(self, one: Input) -> Input:
        """Return an input that ends when a stop is asked for."""
        return _Watched(self, one)

    def _on_interrupt(self, _number: int, _frame: object) -> None:
        is_second, self.is_asked = self.is_asked, True
        if is_second or (self._ask is None and self.is_waiting):
            raise KeyboardInterrupt
        if self._ask is not None:
            # In a thread: what it takes may be held by the very code that was interrupted.
            threading.Thread(target=self._ask, name="audit-stop", daemon=True).start()


class _Watched:
    def __init__(self, stop: Stop, one: Input) -> None:
        self._stop, self._one = stop, one
        self.read: InputRead = one.read

    def __iter__(self) -> Iterator[Batch | Trouble]:
        stop, parts = self._stop, iter(self._one)
        while not stop.is_asked:
            stop.is_waiting = True
            try:
                part = next(parts, None)
            except KeyboardInterrupt:
                break
            finally:
                stop.is_waiting = False
            if part is None:
                return
            yield part
        self.read.troubles += 1
        yield Trouble(Where(self.read.source), "not read to its end: stopped by Ctrl-C")
