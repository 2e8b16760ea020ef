"""What attribution models make of a time: how much each tenant did, by pool of cost."""

from __future__ import annotations

from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.chargeback.allocate.cells import CALLS, TOKENS, used_of
from tollbook.chargeback.allocate.metrics import metric_values, newest_metric
from tollbook.chargeback.allocate.models_document import (
    ALL,
    AttributionModel,
    Calls,
    Direct,
    Features,
    Metric,
    Prices,
    Tokens,
    Weighted,
    model_filters,
    read_model,
    weight_of,
)
from tollbook.chargeback.allocate.shares import integer_weights
from tollbook.chargeback.periods.cutoffs import timezone_of_periods
from tollbook.reports import dimensions, measures
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of
from tollbook.usage import KINDS, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from tollbook.books.documents import Document
    from tollbook.desk import Desk

COSTS: Final = tuple(f"{kind}_cost_usd" for kind in KINDS)
_CALLS_ONLY: Final = Filter("adjustment", (None,))
_KNOWN_TENANT: Final = Filter("tenant", (None,), negate=True)
_BY: Final = ("tenant", "provider", "model", "feature")


class Activity(NamedTuple):
    """What one tenant did with one model and feature; cost in pico, of calls alone."""

    tenant: str
    provider: str | None
    model: str | None
    feature: str | None
    day: str | None
    """Where costs are pooled by day."""
    cost: int
    used: Mapping[str, int]
    """Calls, tokens and token measures (see ``used_of``)."""
    units: Mapping[str, int]
    kind_cost: Mapping[str, int]


PoolKey = tuple[str | None, ...]


class Pooled(NamedTuple):
    """A pool of cost and what a model says of who bears how much of it."""

    cost: int
    """Of identified calls, in pico."""
    quantities: dict[str, Fraction]
    """By tenant, none below zero; empty: the model knows nobody."""


def read_activity(
    desk: Desk, since: datetime, until: datetime, where: tuple[Filter, ...] = (), *,
    by_day: bool = False,
) -> list[Activity]:  # fmt: skip
    """Return what identified tenants did in ``[since, until)``, in one order.

    Raises:
        QueryTimeoutError: it took too long.
    """
    query = SpendQuery(
        since=since, until=until, tz=timezone_of_periods(desk.books, desk.config),
        by=(*_BY, "day") if by_day else _BY, where=(*where, _CALLS_ONLY, _KNOWN_TENANT),
        measures=(measures.CALLS, *KINDS, *COSTS, measures.COST),
    )  # fmt: skip
    found = [_activity(row, by_day=by_day) for row in wide_rows(desk.reader, query)]
    return sorted(found, key=lambda one: tuple(str(value or "") for value in one[:5]))


def _activity(row: Mapping[str, Any], *, by_day: bool) -> Activity:
    return Activity(
        row["tenant"], row["provider"], row["model"], row["feature"],
        str(row["day"].date()) if by_day else None, row[measures.COST] or 0, used_of(row),
        {kind: row[kind] for kind in KINDS if row[kind]},
        {kind: row[name] for kind, name in zip(KINDS, COSTS, strict=True) if row[name]},
    )  # fmt: skip


def pooled(
    desk: Desk, name: str, model: AttributionModel, since: datetime, until: datetime
) -> dict[PoolKey, Pooled]:
    """Return the pools of a time with their identified cost and a model's view of them.

    Args:
        desk: what is open.
        name: of the model, for errors.
        model: which.
        since: first moment.
        until: first moment that is no longer in it.

    Raises:
        ModelError: the model cannot be used.
        MetricError: the metric that it names is not there.
        QueryTimeoutError: it took too long.
    """
    by_day = "day" in model.pools
    everything = read_activity(desk, since, until, by_day=by_day)
    where = model_filters(name, model)
    counted = read_activity(desk, since, until, where, by_day=by_day) if where else everything
    found: dict[PoolKey, Pooled] = {}
    for one in everything:
        key = pool_of(model, one)
        found[key] = Pooled(found[key].cost + one.cost if key in found else one.cost, {})
    if isinstance(model.method, Metric):
        values = _metric(desk, model.method.metric, since, until)
        return {key: one._replace(quantities=dict(values)) for key, one in found.items()}
    measure = _measure(name, model, counted)
    for one in counted:
        quantities = found[pool_of(model, one)].quantities
        quantities[one.tenant] = quantities.get(one.tenant, Fraction(0)) + measure(one)
    return {
        key: one._replace(quantities={
            tenant: quantity for tenant, quantity in one.quantities.items() if quantity > 0
        })
        for key, one in found.items()
    }  # fmt: skip


def pool_of(model: AttributionModel, one: Activity) -> PoolKey:
    """Return the pool that an activity is in."""
    return tuple(getattr(one, name) for name in model.pools)


def _metric(desk: Desk, name: str, since: datetime, until: datetime) -> dict[str, Fraction]:
    zone = zone_of(timezone_of_periods(desk.books, desk.config))
    first, after = since.astimezone(zone).date(), until.astimezone(zone).date()
    values = metric_values(newest_metric(desk.books, name), first, after)
    unknown = {"", dimensions.UNKNOWN}
    return {owner: value for owner, value in values.items() if value > 0 and owner not in unknown}


def _measure(
    name: str, model: AttributionModel, counted: Iterable[Activity]
) -> Callable[[Activity], Fraction]:
    """Return how much an activity weighs by a model's method."""
    match model.method:
        case Direct():
            return lambda one: Fraction(one.cost)
        case Calls():
            return lambda one: Fraction(one.used[CALLS])
        case Tokens() as method:
            measure = TOKENS if method.measure == "tokens" else method.measure
            return lambda one: Fraction(one.used[measure])
        case Features() as method:
            weights = {key: weight_of(name, text) for key, text in method.weights.items()}
            other = weights.get(ALL, Fraction(0))
            return lambda one: weights.get(one.feature or "", other) * one.used[CALLS]
        case Weighted() as method:
            return _by_weight(name, method)
        case Prices():
            return _by_price(counted)
        case Metric():
            raise AssertionError("a metric is not of calls")


def _by_weight(name: str, method: Weighted) -> Callable[[Activity], Fraction]:
    weights = [(one.model, one.kind, weight_of(name, one.weight)) for one in method.weights]
    default = weight_of(name, method.default)

    @cache
    def weight(model: str, kind: str) -> Fraction:
        for models, kinds, value in weights:
            if fnmatchcase(model, models) and fnmatchcase(kind, kinds):
                return value
        return default if kind in TOKEN_KINDS else Fraction(0)

    return lambda one: sum(
        (weight(one.model or "", kind) * units for kind, units in one.units.items()), Fraction(0)
    )


def _by_price(counted: Iterable[Activity]) -> Callable[[Activity], Fraction]:
    sums: dict[tuple[str | None, str | None, str], list[int]] = {}
    for one in counted:
        for kind, units in one.units.items():
            own = sums.setdefault((one.provider, one.model, kind), [0, 0])
            own[0] += one.kind_cost.get(kind, 0)
            own[1] += units
    prices = {
        key: Fraction(cost, units) if units > 0 else Fraction(0)
        for key, (cost, units) in sums.items()
    }
    return lambda one: sum(
        (prices[one.provider, one.model, kind] * units for kind, units in one.units.items()),
        Fraction(0),
    )


def model_shares(
    desk: Desk, document: Document, since: datetime, until: datetime
) -> dict[str, int]:
    """Return who bears how much by a model: a weight for each tenant that it knows.

    Each pool counts as much as it cost; so the weights are those of all identified cost as the
    model would have spread it, and a cost that is not identified is spread likewise.

    Args:
        desk: what is open.
        document: of subject ``attribution_model``.
        since: first moment of the time whose activity counts.
        until: first moment that is no longer in it.

    Raises:
        ModelError: the document cannot be used.
        MetricError: the metric that it names is not there.
        QueryTimeoutError: it took too long.
    """
    model = read_model(document.name, document.body)
    shares = spread(list(pooled(desk, document.name, model, since, until).values()))
    kept = {tenant: share for tenant, share in sorted(shares.items()) if share > 0}
    return dict(zip(kept, integer_weights(list(kept.values())), strict=True))


def spread(pools: Sequence[Pooled]) -> dict[str, Fraction]:
    """Return by tenant the sum of its shares of the pools; pools without cost count nothing.

    Where none of the pools has cost, their quantities count as they are.
    """
    found: dict[str, Fraction] = {}
    has_cost = any(pool.cost > 0 for pool in pools)
    for pool in pools:
        whole = sum(pool.quantities.values(), Fraction(0))
        if not whole or (has_cost and pool.cost <= 0):
            continue
        factor = Fraction(pool.cost) / whole if has_cost else Fraction(1)
        for tenant, quantity in pool.quantities.items():
            found[tenant] = found.get(tenant, Fraction(0)) + quantity * factor
    return found
