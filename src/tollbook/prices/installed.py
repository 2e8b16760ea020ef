"""The price list of the installed ``genai-prices`` package, as Tollbook's own plain data.

Only the data that came with the package is read; nothing is fetched or updated.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from genai_prices import __version__ as installed_version
from genai_prices import types as its
from genai_prices.data import providers
from genai_prices.data_units import unit_data

from tollbook.prices.listed import (
    Daily,
    Dated,
    From,
    ListedModel,
    ListedProvider,
    PriceList,
    Prices,
    Tier,
    Tiered,
    Variant,
    When,
)
from tollbook.prices.matching import (
    AllOf,
    AnyOf,
    Clause,
    Contains,
    Ends,
    Equals,
    Searched,
    Starts,
)

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider

    Constraint = its.StartDateConstraint | its.TimeOfDateConstraint | None


def installed_list(read_on: date | None = None) -> PriceList:
    """Return the list of the installed package.

    Args:
        read_on: the day it was taken over; None where that is not known.
    """
    return PriceList(
        version=installed_version,
        read_on=read_on,
        units={raw.get("price_key", key): int(raw["per"]) for key, raw in unit_data.items()},
        providers=tuple(_provider(one) for one in providers),
    )


def _provider(one: Provider) -> ListedProvider:
    return ListedProvider(
        id=one.id,
        lenders=tuple(one.fallback_model_providers or ()),
        models=tuple(_model(model) for model in one.models),
        model_match=None if one.model_match is None else _clause(one.model_match),
    )


def _model(one: ModelInfo) -> ListedModel:
    dated = (
        tuple(Dated(_when(each.constraint), _prices(each.prices)) for each in one.prices)
        if isinstance(one.prices, list)
        else (Dated(None, _prices(one.prices)),)
    )
    variants = tuple(
        Variant(
            frozenset(value.lower() for value in each.when.values()),
            _when(each.constraint),
            _prices(each.prices),
        )
        for each in one.price_variants or ()
    )
    return ListedModel(one.id, _clause(one.match), dated, variants)


def _prices(prices: ModelPrice) -> Prices:
    return {
        key: Tiered(price.base, tuple(Tier(tier.start, tier.price) for tier in price.tiers))
        if isinstance(price, its.TieredPrices)
        else price
        for key, price in vars(prices).items()
        if price is not None
    }


def _when(constraint: Constraint) -> When | None:
    if constraint is None:
        return None
    if isinstance(constraint, its.StartDateConstraint):
        return From(constraint.start_date)
    return Daily(_utc(constraint.start_time), _utc(constraint.end_time))


def _utc(value: time) -> time:
    """Return a time of day in UTC; one without a zone is UTC already."""
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return datetime.combine(date(1970, 1, 1), value).astimezone(UTC).timetz()


def _clause(match: MatchLogic) -> Clause:  # noqa: PLR0911 -- one return for each clause
    if isinstance(match, its.ClauseEquals):
        return Equals(match.equals.lower())
    if isinstance(match, its.ClauseOr):
        return AnyOf(tuple(_clause(one) for one in match.or_))
    if isinstance(match, its.ClauseStartsWith):
        return Starts(match.starts_with.lower())
    if isinstance(match, its.ClauseContains):
        return Contains(match.contains.lower())
    if isinstance(match, its.ClauseEndsWith):
        return Ends(match.ends_with.lower())
    if isinstance(match, its.ClauseAnd):
        return AllOf(tuple(_clause(one) for one in match.and_))
    return Searched(match.regex)
