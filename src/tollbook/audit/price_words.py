"""What is said beside a price: which words make it doubtful."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tollbook.prices.discounts import BATCH_DISCOUNT
from tollbook.prices.rating import MINIMUM_APPLIED

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLLOWS: Final = " follows "
"""A kind without a price of its own costs what its family costs: so providers have it."""
_CERTAIN: Final = frozenset({BATCH_DISCOUNT, MINIMUM_APPLIED})
"""By the provider's documented rule, or by contract."""


_LENT: Final = "the price list has this model at "
"""A cloud sells another maker's models at the maker's price, where the list says that it does."""


@lru_cache(maxsize=4096)
def said_of(flags: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Return what to say of the words that came with a price, and whether it is in doubt."""
    said = tuple(one for one in flags if one not in _CERTAIN and _FOLLOWS not in one)
    return said, any(not one.startswith(_LENT) for one in said)


def reported_words(provider: str) -> str:
    """Return what stands for a card where the provider's own figure is the cost."""
    return f"as reported by {provider}"


def unknown_model(provider: str, model: str, near: Sequence[tuple[str, str]]) -> str:
    """Say that a model has no price, and which ones have names like it."""
    names = ", ".join(f"{list_id}/{name}" for list_id, name in near)
    hint = f"; names like it: {names}" if names else ""
    return f"no price for the model {model!r} of {provider!r}{hint}"
