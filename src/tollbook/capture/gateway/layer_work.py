"""What a worker may spend on telling the layers of requests, so that it carries as many as without.

While the worker has time to spare, everything is read. A worker that uses more than half of a core
may soon have none, so it reads no long conversation whole: a small share of its processor time is
for plain conversations, short ones, and samples of long ones, and when that is used up nothing is
said of a request until it is filled up again. The share is of the time that the process got, not of
the time that passed: a host with too few cores gives it less.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.dialects.layer_allowance import LayerAllowance, allowance

if TYPE_CHECKING:
    from tollbook.capture.gateway.wheel import Wheel

BUSY_PERCENT: Final = 50
"""Of a core; with more than this there is nothing to spare."""
SPARE_PERCENT: Final = 20
"""Of the time that passes, while the worker is not busy. All of it is given for a while when a load
begins, before the next tick shows it."""
SHARE_PERCENT: Final = 6
"""Of processor time. The aim is ten: what begins a load (see above) comes on top, and what reading
costs beside its own time differs from processor to processor (``COST_PERCENT``)."""
RESERVE_PERCENT: Final = 33
"""Of the share: what agents' messages leave for the fingerprints of further requests."""
DEBT_MAX: Final = 8
"""Fillings (a second); a clock that stopped while the process did not run would else be owed for
long."""


class LayerWork:
    """Fills up the allowance of one worker at each tick of its wheel.

    Args:
        wheel: whose ticks are taken.
        is_on: whether anything is read at all.
        workers: how many share the machine; with more than cores, each is busy with less.
    """

    def __init__(self, wheel: Wheel, *, is_on: bool = True, workers: int = 1) -> None:
        self._busy_percent = BUSY_PERCENT * min(workers, os.cpu_count() or 1) // workers
        self.allowance = LayerAllowance(clock.monotonic_ns)
        self._cpu_ns = clock.cpu_ns()
        if is_on:
            wheel.each_tick(self.refill)
            self._fill(0, 100_000_000)

    def grant(self) -> None:
        """Give the allowance to all that is begun in this context."""
        allowance.set(self.allowance)

    def refill(self, passed_s: float) -> None:
        """Fill up for the next tick, by what was used in the last one; debts are kept."""
        before, self._cpu_ns = self._cpu_ns, clock.cpu_ns()
        self._fill(self._cpu_ns - before, int(passed_s * 1e9))

    def _fill(self, used_ns: int, passed_ns: int) -> None:
        granted = self.allowance
        busy_ns = passed_ns * self._busy_percent // 100
        spare_ns = passed_ns * SPARE_PERCENT // 100
        granted.spare_ns = spare_ns if used_ns < busy_ns else 0
        share_ns = max(used_ns, busy_ns) * SHARE_PERCENT // 100
        granted.reserve_ns = share_ns * RESERVE_PERCENT // 100
        owed_ns = min(0, granted.share_ns)
        granted.share_ns = share_ns + max(-DEBT_MAX * share_ns, owed_ns)
