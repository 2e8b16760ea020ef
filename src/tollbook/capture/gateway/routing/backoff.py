"""How long to wait before a target is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_MAX_DOUBLINGS: Final = 32


def full_jitter_s(failures: int, base_s: float, max_s: float, random: Random) -> float:
    """Return a wait by chance from 0 up to ``base_s``, doubled for each failure but the first.

    Full jitter spreads the retries of many callers, who all failed at once, over the whole span
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Args:
        failures: how often the target has failed this request, from 1.
        base_s: span after the first failure.
        max_s: most that the span grows to.
        random: where chance comes from.
    """
    doublings = min(max(failures, 1) - 1, _MAX_DOUBLINGS)
    return random.random() * min(max_s, base_s * 2.0**doublings)
