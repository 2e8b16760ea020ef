"""A price list as it is kept: providers, how they match names, prices by date. Plain data.

The same shape is made of the installed ``genai-prices`` package and of the snapshot of it that
comes with Tollbook, so that cards are compiled in one way from either. What a rule means (which
clause matches, which of several dated prices holds) is that of ``genai-prices``; a test holds both
against each other.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from tollbook.prices.matching import Clause, fits


class Tier(Struct, frozen=True, array_like=True):
    """A price above so many tokens of input."""

    start: int
    price: Decimal


class Tiered(Struct, frozen=True, array_like=True):
    """A price that depends on how much input a call has; a tier prices the whole call."""

    base: Decimal
    tiers: tuple[Tier, ...]


Price = Decimal | Tiered
Prices = dict[str, Price]


class From(Struct, frozen=True, array_like=True, tag="from"):
    """Holds from a day on, UTC."""

    day: date

    def holds(self, at: datetime) -> bool:
        """Whether it holds at a moment (UTC)."""
        return at.date() >= self.day


class Daily(Struct, frozen=True, array_like=True, tag="daily"):
    """Holds in some hours of each day; both times are UTC."""

    start: time
    end: time

    def holds(self, at: datetime) -> bool:
        """Whether it holds at a moment (UTC)."""
        of_day = at.timetz()
        if self.end < self.start:
            return of_day >= self.start or of_day < self.end
        return self.start <= of_day < self.end


When = From | Daily


class Dated(Struct, frozen=True, array_like=True):
    """Prices, and when they hold."""

    when: When | None
    prices: Prices


class Variant(Struct, frozen=True, array_like=True):
    """Prices that replace some of the usual ones for calls with all these words."""

    words: frozenset[str]
    """In lower case."""
    when: When | None
    prices: Prices


class ListedModel(Struct, frozen=True, array_like=True):
    """A model. Of dated prices the last that holds is taken, the first where none does."""

    id: str
    match: Clause
    dated: tuple[Dated, ...] = ()
    variants: tuple[Variant, ...] = ()

    def prices_at(self, at: datetime) -> Prices:
        """Return the ordinary prices at a moment (UTC)."""
        for one in reversed(self.dated):
            if one.when is None or one.when.holds(at):
                return one.prices
        return self.dated[0].prices


class ListedProvider(Struct, frozen=True, array_like=True):
    """A provider and its models, in the order in which they are tried."""

    id: str
    lenders: tuple[str, ...]
    """Providers whose models it serves too."""
    models: tuple[ListedModel, ...]
    model_match: Clause | None = None
    """Which names of models are its own makes."""

    def find(self, model: str) -> ListedModel | None:
        """Return the model that a name means, None where none does."""
        name = model.lower()
        found = self._first(name)
        if found is None:
            dashed = _with_dashes(name)
            if dashed != name:
                found = self._first(dashed)
        return found

    def makes(self, model: str) -> bool:
        """Whether a name is that of a model of its own."""
        return self.model_match is not None and fits(self.model_match, model.lower())

    def _first(self, name: str) -> ListedModel | None:
        for model in self.models:
            if fits(model.match, name):
                return model
        return None


class PriceList(Struct, frozen=True):
    """All of it."""

    version: str
    """Of ``genai-prices``."""
    read_on: date | None
    """The day it was taken into Tollbook; None for an installed package of another version."""
    units: dict[str, int]
    """For each name of a price, how many units it is for, as the list counts them."""
    providers: tuple[ListedProvider, ...]


_compact_date = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


@lru_cache(maxsize=1024)
def _with_dashes(name: str) -> str:
    """Return a name with ``-20251211`` as ``-2025-12-11``, as the list writes some dates."""

    def dashed(match: re.Match[str]) -> str:
        year, month, day = (int(match[at]) for at in (2, 3, 4))
        try:
            date(year, month, day)
        except ValueError:
            return match[0]
        return f"-{year:04d}-{month:02d}-{day:02d}"

    return _compact_date.sub(dashed, name)
