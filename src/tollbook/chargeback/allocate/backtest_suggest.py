"""Weights that a month's direct attribution suggests, as models that can be imported."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from glob import escape
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.allocate.backtest_fit import fit
from tollbook.chargeback.allocate.cells import CALLS
from tollbook.chargeback.allocate.models_document import (
    ALL,
    AttributionModel,
    Features,
    Weight,
    Weighted,
)
from tollbook.money import PICO_PER_USD
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tollbook.chargeback.allocate.models import Activity

COLUMNS_MAX: Final = 16
"""Pairs of model and kind, or features, that get a weight of their own: those that cost most. What
is left shares one."""
_DIGITS: Final = 6
_MILLION: Final = 1_000_000
_REST: Final = ("", "")
Column = tuple[str, str]


def suggested_weights(activity: Sequence[Activity]) -> AttributionModel | None:
    """Return weights of model and kind: dollars a million units that fit best; None of nothing."""
    cost: dict[Column, int] = defaultdict(int)
    for one in activity:
        for kind, amount in one.kind_cost.items():
            cost[one.model or "", kind] += amount
    own = _dearest(cost)

    def columns(one: Activity) -> Iterable[tuple[Column, int]]:
        for kind, units in one.units.items():
            column = (one.model or "", kind)
            if column in own:
                yield column, units
            elif kind in TOKEN_KINDS:
                yield _REST, units

    found = _fitted(activity, [*own, _REST], columns)
    if not any(found.values()):
        return None
    weights = [
        Weight(model=escape(model), kind=kind, weight=significant(_usd_a_million(value)))
        for (model, kind), value in found.items() if (model, kind) != _REST
    ]  # fmt: skip
    default = significant(_usd_a_million(found[_REST]))
    return AttributionModel(
        method=Weighted(weights, default),
        pools=(),
        description="fitted to direct attribution: dollars a million units",
    )


def suggested_features(activity: Sequence[Activity]) -> AttributionModel | None:
    """Return weights of features: dollars a call that fit best; None of nothing."""
    cost: dict[Column, int] = defaultdict(int)
    for one in activity:
        cost[one.feature or "", ""] += one.cost
    own = [column for column in _dearest(cost) if column[0]]

    def columns(one: Activity) -> Iterable[tuple[Column, int]]:
        column = (one.feature or "", "")
        yield (column if column in own else _REST), one.used[CALLS]

    found = _fitted(activity, [*own, _REST], columns)
    if not any(found.values()):
        return None
    weights = {
        feature or ALL: significant(value / PICO_PER_USD) for (feature, _), value in found.items()
    }
    return AttributionModel(
        method=Features(weights),
        pools=(),
        description="fitted to direct attribution: dollars a call",
    )


def _dearest(cost: Mapping[Column, int]) -> list[Column]:
    return [
        column for column in sorted(cost, key=lambda one: (-cost[one], one))[:COLUMNS_MAX]
        if cost[column] > 0
    ]  # fmt: skip


def _fitted(
    activity: Sequence[Activity], names: Sequence[Column],
    columns: Callable[[Activity], Iterable[tuple[Column, int]]],
) -> dict[Column, Fraction]:  # fmt: skip
    at = {name: place for place, name in enumerate(names)}
    rows: dict[str, list[int]] = defaultdict(lambda: [0] * len(names))
    direct: dict[str, int] = defaultdict(int)
    for one in activity:
        direct[one.tenant] += one.cost
        for column, units in columns(one):
            rows[one.tenant][at[column]] += units
    weights = fit([rows[tenant] for tenant in direct], list(direct.values()))
    return dict(zip(names, weights or [Fraction(0)] * len(names), strict=True))


def _usd_a_million(pico_a_unit: Fraction) -> Fraction:
    return pico_a_unit * _MILLION / PICO_PER_USD


def significant(value: Fraction) -> str:
    """Return a number of zero or more as decimal text with six significant digits."""
    if not value:
        return "0"
    exponent = 0
    while value >= 10 ** (exponent + 1):
        exponent += 1
    while value < Fraction(10) ** exponent:
        exponent -= 1
    scale = Fraction(10) ** (_DIGITS - 1 - exponent)
    whole = round(value * scale)
    return f"{Decimal(whole).scaleb(exponent - _DIGITS + 1).normalize():f}"
