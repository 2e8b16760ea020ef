"""A bar on standard error while it reads: how far, how fast, how long still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.audit.outputs import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from tollbook.audit.read import Input, InputRead

_EVERY_NS: Final = clock.NS_PER_S // 10
_WIDTH: Final = 24
_CLEAR: Final = "\r\x1b[K"


class Bar:
    """Shows progress on a terminal.

    Args:
        stream: the terminal.
        inputs: all that is read; where one does not know its size there is no share and no end.
        now_ns: a clock that only goes forward.
    """

    def __init__(
        self,
        stream: TextIO,
        inputs: Sequence[Input],
        now_ns: Callable[[], int] = clock.monotonic_ns,
    ) -> None:
        self._stream, self._now_ns = stream, now_ns
        sizes = [one.read.size_bytes for one in inputs]
        self._size_bytes = None if None in sizes else sum(one or 0 for one in sizes)
        self._begun_ns = now_ns()
        self._next_ns = self._begun_ns
        self._done_bytes = self._done_spans = 0
        self._current: InputRead | None = None

    def reading(self, read: InputRead) -> None:
        """Show how much was read."""
        if self._current is not None and self._current is not read:
            self._done_bytes += self._current.read_bytes
            self._done_spans += self._current.spans
        self._current = read
        if not self._is_time():
            return
        done_bytes = self._done_bytes + read.read_bytes
        done_spans = self._done_spans + read.spans
        elapsed_ns = max(self._now_ns() - self._begun_ns, 1)
        rate = done_spans * clock.NS_PER_S // elapsed_ns
        parts = [f"{words.size(done_bytes)}, {done_spans:,} spans, {rate:,}/s"]
        total = self._size_bytes
        if total:
            share = min(done_bytes, total) * 100 // total
            filled = share * _WIDTH // 100
            parts.insert(0, f"[{'#' * filled}{' ' * (_WIDTH - filled)}] {share:>3} %")
            if 0 < done_bytes < total:
                left_s = elapsed_ns * (total - done_bytes) // done_bytes // clock.NS_PER_S
                parts.append(f"{words.duration(left_s * 1_000_000)} left")
        self._show("Reading " + "  ".join(parts))

    def judging(self, done_traces: int) -> None:
        """Show how many traces were looked at."""
        if self._is_time():
            self._show(f"Looking at traces: {done_traces:,}")

    def close(self) -> None:
        """Take the bar away."""
        self._stream.write(_CLEAR)
        self._stream.flush()

    def _is_time(self) -> bool:
        now_ns = self._now_ns()
        if now_ns < self._next_ns:
            return False
        self._next_ns = now_ns + _EVERY_NS
        return True

    def _show(self, text: str) -> None:
        self._stream.write(f"{_CLEAR}{text[:110]}")
        self._stream.flush()
