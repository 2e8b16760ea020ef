"""What a worker may spend on telling the layers of requests, so that it carries as many as without.

While the worker has time to spare, every conversation is read whole. A worker that uses more than
half of a core may soon have none, so it reads no long conversation whole: a small share of its
processor time is for short ones and for samples of long ones. The share is of the time that the
process got, not of the time that passed: a host with too few cores gives it less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.dialects.layer_allowance import LayerAllowance, allowance

if TYPE_CHECKING:
    from tollbook.capture.gateway.wheel import Wheel

BUSY_PERCENT: Final = 50
"""Of a core; with more than this there is nothing to spare."""
SPARE_PERCENT: Final = 25
"""Of the time that passes, while the worker is not busy. All of it is given for a while when a load
begins, before the next tick shows it."""
SHARE_PERCENT: Final = 6
"""Of processor time. The aim is ten: what the work costs beside its own time (caches that it
empties) cannot be told by a clock around it."""


class LayerWork:
    """Fills up the allowance of one worker at each tick of its wheel."""

    def __init__(self, wheel: Wheel) -> None:
        self.allowance = LayerAllowance(clock.monotonic_ns)
        self._cpu_ns = clock.cpu_ns()
        wheel.each_tick(self.refill)
        self._fill(0, 100_000_000)

    def grant(self) -> None:
        """Give the allowance to all that is begun in this context."""
        allowance.set(self.allowance)

    def refill(self, passed_s: float) -> None:
        """Fill up for the next tick, by what was used in the last one; debts of it are kept."""
        before, self._cpu_ns = self._cpu_ns, clock.cpu_ns()
        self._fill(self._cpu_ns - before, int(passed_s * 1e9))

    def _fill(self, used_ns: int, passed_ns: int) -> None:
        granted = self.allowance
        busy_ns = passed_ns * BUSY_PERCENT // 100
        spare_ns = passed_ns * SPARE_PERCENT // 100
        granted.spare_ns = spare_ns if used_ns < busy_ns else 0
        share_ns = max(used_ns, busy_ns) * SHARE_PERCENT // 100
        # What one request took too much is owed, but no more than one filling makes up for.
        granted.share_ns = share_ns + max(-share_ns, min(0, granted.share_ns))
