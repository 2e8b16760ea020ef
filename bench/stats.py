"""The few statistics the figures need: medians, percentiles, ratios of runs made side by side."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in ascending order.

    Raises:
        ValueError: no values, or a percentage outside 0 to 100.
    """
    if not ordered or not 0 <= percent <= 100:
        raise ValueError("a percentile needs values and 0 <= percent <= 100")
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of runs made one after the other.

    The speed of a shared machine drifts over seconds; two neighbouring runs see the same machine,
    so the median of their ratios is steadier than the ratio of two medians.

    Raises:
        ValueError: the runs do not pair up, or there are none.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError("runs must come in pairs")
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def spread_percent(values: Sequence[float]) -> float:
    """Return (largest - smallest) / median in percent: how far the runs disagree."""
    middle = median(values)
    return 0.0 if middle == 0 else (max(values) - min(values)) / middle * 100
