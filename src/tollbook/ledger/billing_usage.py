"""What usage costs by cards, for many calls at once: totals alone, as billing needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tollbook.ledger.bulkprice import card_group, card_steps
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from tollbook.prices.card import RateCard

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

_BITS: Final = 1 << np.arange(len(KINDS), dtype=np.int64)
_PATTERNS: Final = 1 << len(KINDS)
NEAR_INT64_MAX: Final = 2.0**61
"""Where a sum in floating point, which is quick, might be one beyond 64 bits."""


class Totals(NamedTuple):
    """What each call costs."""

    pico: Ints
    is_alone: Bools
    """To be priced for itself: a rate that is no whole number of pico, a kind without a rate, an
    amount beyond 64 bits."""


def usage_totals(kinds: Ints, cards: Sequence[RateCard], card_of: Ints) -> Totals:
    """Price quantities with cards, each call with its own.

    Args:
        kinds: calls by :data:`tollbook.usage.KINDS`.
        cards: the cards.
        card_of: for each call which of them.
    """
    step_of, steps = card_steps(kinds, cards, card_of)
    keys = (card_of * steps + step_of) * _PATTERNS + (kinds != 0) @ _BITS
    distinct, group_of = np.unique(keys, return_inverse=True)
    rates = np.zeros((len(distinct), len(KINDS)), np.int64)
    is_alone = np.zeros(len(distinct), np.bool_)
    bounds = kinds.max(axis=0).astype(np.float64)
    for at, key in enumerate(distinct.tolist()):
        (index, step), pattern = divmod(key // _PATTERNS, steps), key % _PATTERNS
        group = card_group(cards[index], step, pattern)
        if group is None or group.rates is None or group.rates @ bounds > NEAR_INT64_MAX:
            is_alone[at] = True
        else:
            rates[at] = group.rates
    totals = (kinds * rates[group_of]).sum(axis=1)
    return Totals(totals, is_alone[group_of])
