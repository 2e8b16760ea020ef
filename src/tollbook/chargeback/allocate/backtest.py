"""Attribution models against direct attribution: how far off each would have been.

A month's identified calls are taken as if nobody knew whose they are: the cost of each pool is
spread by the model, and compared with what each tenant's calls cost in truth.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.chargeback.allocate.models import Pooled, PoolKey, pooled
from tollbook.chargeback.allocate.shares import integer_weights
from tollbook.chargeback.terms.exact import fixed_text, ratio_percent
from tollbook.money import split_pico, usd_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tollbook.chargeback.allocate.models_document import AttributionModel
    from tollbook.desk import Desk

_RATIO_DIGITS = 6


class Backtest(NamedTuple):
    """What a model makes of a time whose truth is known; amounts in pico by tenant."""

    name: str
    direct: dict[str, int]
    modelled: dict[str, int]
    unassigned: int
    """Of pools that the model says nothing about."""


def backtest(
    desk: Desk, name: str, model: AttributionModel, direct: Mapping[str, int],
    since: datetime, until: datetime,
) -> Backtest:  # fmt: skip
    """Run a model over a time.

    Args:
        desk: what is open.
        name: of the model.
        model: which.
        direct: what each tenant's calls cost, in pico.
        since: first moment.
        until: first moment that is no longer in it.

    Raises:
        ModelError: the model cannot be used.
        MetricError: the metric that it names is not there.
        QueryTimeoutError: it took too long.
    """
    modelled, unassigned = spread_pools(pooled(desk, name, model, since, until))
    return Backtest(name, dict(direct), modelled, unassigned)


def spread_pools(pools: Mapping[PoolKey, Pooled]) -> tuple[dict[str, int], int]:
    """Return each tenant's part of the pools, and what nobody has a share of; exactly the whole."""
    modelled: dict[str, int] = {}
    unassigned = 0
    for pool in pools.values():
        if not any(pool.quantities.values()):
            unassigned += pool.cost
            continue
        tenants = sorted(pool.quantities)
        weights = integer_weights([pool.quantities[tenant] for tenant in tenants])
        for tenant, part in zip(tenants, split_pico(pool.cost, weights), strict=True):
            modelled[tenant] = modelled.get(tenant, 0) + part
    return modelled, unassigned


def rows_of(one: Backtest) -> list[dict[str, Any]]:
    """Return a row for each tenant, the greatest divergence first."""
    names = sorted(one.direct.keys() | one.modelled.keys())
    ranks = _ranks(names, one.direct), _ranks(names, one.modelled)
    rows = []
    for tenant in sorted(names, key=lambda who: (-abs(_off(one, who)), who)):
        before, off = one.direct.get(tenant, 0), _off(one, tenant)
        rows.append({
            "model": one.name, "tenant": tenant, "direct_usd": usd_text(before),
            "model_usd": usd_text(one.modelled.get(tenant, 0)), "divergence_usd": usd_text(off),
            "divergence_percent": ratio_percent(Fraction(off), Fraction(before)),
            "rank_direct": ranks[0][tenant], "rank_model": ranks[1][tenant],
            "rank_change": ranks[0][tenant] - ranks[1][tenant],
        })  # fmt: skip
    return rows


def summary_of(one: Backtest, top: int = 3) -> dict[str, Any]:
    """Return the figures of a model as a whole.

    ``total_variation`` is half the sum of all differences of shares: the part of the cost that the
    model gives to somebody else than its owner, from 0 to 1.
    """
    names = sorted(one.direct.keys() | one.modelled.keys())
    offs = {tenant: _off(one, tenant) for tenant in names}
    whole = sum(one.direct.values())
    moved = sum(map(abs, offs.values())) + abs(one.unassigned)
    squares = sum(off * off for off in offs.values())
    ranks = _ranks(names, one.direct), _ranks(names, one.modelled)
    by_size = sorted(names, key=lambda tenant: (offs[tenant], tenant))
    return {
        "model": one.name, "tenants": len(names), "direct_usd": usd_text(whole),
        "model_usd": usd_text(sum(one.modelled.values())),
        "unassigned_usd": usd_text(one.unassigned),
        "misplaced_usd": usd_text(moved // 2),
        "total_variation": _ratio(moved, 2 * whole),
        "rmse_usd": usd_text(isqrt(squares // len(names))) if names else None,
        "rank_changes": sum(ranks[0][tenant] != ranks[1][tenant] for tenant in names),
        "overcharged": _named(offs, [name for name in reversed(by_size) if offs[name] > 0][:top]),
        "undercharged": _named(offs, [name for name in by_size if offs[name] < 0][:top]),
    }  # fmt: skip


def _off(one: Backtest, tenant: str) -> int:
    return one.modelled.get(tenant, 0) - one.direct.get(tenant, 0)


def _ratio(part: int, whole: int) -> str | None:
    return fixed_text(Fraction(part, whole), _RATIO_DIGITS) if whole > 0 else None


def _named(offs: Mapping[str, int], names: Sequence[str]) -> list[dict[str, str]]:
    return [{"tenant": name, "divergence_usd": usd_text(offs[name])} for name in names]


def _ranks(names: Sequence[str], amounts: Mapping[str, int]) -> dict[str, int]:
    """Return the place of each, 1 for the dearest; equals share the better place."""
    found: dict[str, int] = {}
    last: int | None = None
    place = 0
    ordered = sorted(names, key=lambda name: (-amounts.get(name, 0), name))
    for at, name in enumerate(ordered, 1):
        if amounts.get(name, 0) != last:
            place, last = at, amounts.get(name, 0)
        found[name] = place
    return found
