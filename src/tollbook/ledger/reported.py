"""The provider's own figure as the cost of a call, split over what the card says it is made of.

What a call is made of is known by kind and part only from a price card; the provider gives one
amount. So that every sum of components stays exact, the amount is split in proportion to the
card's components, by largest remainder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.ledger.schema import CostSource, PriceState
from tollbook.money import split_pico
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.ledger.charge import Charge

AS_REPORTED: Final = "the cost is what the provider reported"
NOT_SPLIT: Final = "no card splits the reported cost: all of it stands at requests"
_WIDTH: Final = len(KINDS)
_NOTHING: Final = (0,) * _WIDTH
_REQUESTS: Final = KINDS.index("requests")


def as_reported(charge: Charge, reported_pico: int) -> Charge:
    """Return the charge with the provider's figure as the cost of the call and all its parts."""
    pieces = [charge, *(part.charge for part in charge.further)]
    weights = [weight for one in pieces for weight in one.components or _NOTHING]
    flags: tuple[str, ...] = (AS_REPORTED,)
    if not any(weights):
        weights[_REQUESTS] = 1
        flags = (AS_REPORTED, NOT_SPLIT)
    shares = split_pico(reported_pico, weights)
    done = [
        one._replace(
            state=PriceState.FREE if one.state is PriceState.FREE and not any(part)
            else PriceState.PRICED,
            flags=(*one.flags, *flags), cost=sum(part), components=part,
            cost_source=CostSource.PROVIDER,
        )
        for at, one in enumerate(pieces)
        for part in [tuple(shares[at * _WIDTH : (at + 1) * _WIDTH])]
    ]  # fmt: skip
    further = tuple(
        part._replace(charge=one) for part, one in zip(charge.further, done[1:], strict=True)
    )
    return done[0]._replace(further=further)
