"""How much of a line of revenue is earned in a stretch of time, exactly.

A line that pays for a service over some time is earned evenly over it. What is earned by a moment
is rounded down once, and a stretch is the difference of two such amounts: so any partition of the
time adds up to the line, to the last 10^-12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.chargeback.margin.model import COUNTED

if TYPE_CHECKING:
    from tollbook.chargeback.margin.model import RevenueLine


def earned(line: RevenueLine, since_ns: int, until_ns: int) -> int:
    """Return what of a line is earned in ``[since, until)``, in 10^-12 of its currency."""
    if line.status != COUNTED:
        return 0
    return _by(line, until_ns) - _by(line, since_ns)


def _by(line: RevenueLine, at_ns: int) -> int:
    """Return what is earned before a moment."""
    length_ns = line.end_ns - line.start_ns
    if length_ns <= 0:
        return line.amount if at_ns > line.start_ns else 0
    passed_ns = min(max(at_ns - line.start_ns, 0), length_ns)
    return line.amount * passed_ns // length_ns
