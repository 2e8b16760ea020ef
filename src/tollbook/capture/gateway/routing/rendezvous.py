"""Weighted orders: by chance, or the same one for the same caller."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_DIGEST_BYTES: Final = 8
_SPAN: Final = 2.0**64


def shuffled(weights: Sequence[float], random: Random) -> list[int]:
    """Return positions in an order by chance; each comes first in proportion to its weight.

    Drawing an exponential variate of rate ``weight`` for each and sorting is drawing without
    replacement by weight (Efraimidis and Spirakis, 2006).
    """
    draws = [-math.log(1.0 - random.random()) / weight for weight in weights]
    return sorted(range(len(draws)), key=draws.__getitem__)


def by_rendezvous(key: str, names: Sequence[str], weights: Sequence[float]) -> list[int]:
    """Return positions in the order of a key: always the same one while the names are.

    Weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights after Schindelhauer and
    Schomaker, 2005): when a target is added, or its weight grows, keys move to it only.
    """
    scores = [
        -math.log(_unit(key, name)) / weight for name, weight in zip(names, weights, strict=True)
    ]
    return sorted(range(len(scores)), key=scores.__getitem__)


def _unit(key: str, name: str) -> float:
    """Return a number above 0 and at most 1, by the key and the name."""
    # The length keeps ("ab", "c") apart from ("a", "bc").
    text = f"{len(key)}:{key}{name}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(text, digest_size=_DIGEST_BYTES).digest())
    return (number + 1) / _SPAN
