"""Volume tiers: what is used in a month earns another rate, graduated or for all units.

Of a scope's volume V, each band has a part. Units of all owners and kinds are alike in this: each
has the same part in each band, so the order of calls within the month changes nothing. The new cost
of a kind is its units at the band's price, or what was charged less the band's discount.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tollbook.chargeback.terms.cells import Key, volume_of
from tollbook.chargeback.terms.exact import number, pico_of, plain, settle
from tollbook.money import PICO_PER_USD
from tollbook.usage import PRICED_PER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.chargeback.terms.cells import Cell
    from tollbook.chargeback.terms.model import VolumeTiers

Amounts = dict[tuple[Key, str | None], int]
"""Pico by owner and kind."""


class Effect(NamedTuple):
    """What a term changes in a time, and what that rests on."""

    amounts: Amounts
    facts: dict[str, str | int | None]
    problems: list[str]


def band_parts(
    edges: Sequence[Fraction | None], volume: Fraction, *, is_graduated: bool
) -> list[Fraction]:
    """Return how much of a volume is in each band; together the volume.

    Args:
        edges: the upper end of each band, which belongs to it; None has no end.
        volume: zero or more.
        is_graduated: False: all of it is in the band that it ends in.
    """
    parts: list[Fraction] = []
    below = Fraction(0)
    for edge in edges:
        upto = volume if edge is None else min(edge, volume)
        parts.append(max(upto - below, Fraction(0)))
        below = max(upto, below)
    if is_graduated or not volume:
        return parts
    last = max(at for at, part in enumerate(parts) if part)
    return [volume if at == last else Fraction(0) for at in range(len(parts))]


def volume_effect(what: VolumeTiers, cells: Sequence[Cell], name: str) -> Effect:
    """Return what tiers change for each owner and kind.

    Args:
        what: the tiers.
        cells: the scope's, with what earlier terms changed.
        name: of the term, for errors.
    """
    if what.measured == "usd":
        volume = Fraction(max(sum(cell.total for cell in cells), 0))
    else:
        volume = Fraction(max(volume_of(cells, what.measured), 0))
    parts = band_parts(_edges(what, name), volume, is_graduated=what.mode == "graduated")
    facts = _facts(what, volume, parts)
    if not volume:
        return Effect({}, facts, [])
    rates = _rates(what, [part / volume for part in parts], name)
    exact: dict[tuple[Key, str | None], Fraction] = {}
    for cell in cells:
        if not cell.is_priced:
            continue
        for kind in dict.fromkeys((*cell.cost, *cell.units)):
            if what.applies_to and kind not in what.applies_to:
                continue
            change = _change(rates, cell, kind)
            if change:
                at = (cell.key, kind)
                exact[at] = exact.get(at, Fraction(0)) + change
    return Effect(settle(exact), facts, unpriced_problem(cells))


def _change(rates: Sequence[_BandRates], cell: Cell, kind: str | None) -> Fraction:
    """Return the new cost of a kind less what it is charged now."""
    cost, units = cell.cost.get(kind, 0), cell.units.get(kind or "", 0)
    change = Fraction(0)
    for share, discount, prices in rates:
        if kind is not None and kind in prices:
            change += share * (prices[kind] * units - cost)
        elif discount:
            change -= share * discount * cost
    return change


class _BandRates(NamedTuple):
    """A band that has some of the volume."""

    share: Fraction
    """Of the volume."""
    discount: Fraction
    prices: dict[str, Fraction]
    """Pico a unit, by kind."""


def _rates(what: VolumeTiers, shares: Sequence[Fraction], name: str) -> list[_BandRates]:
    return [
        _BandRates(
            share, number(band.discount_percent, name, "discount_percent") / 100,
            {
                kind: pico_of(number(text, name, "prices")) / PRICED_PER[kind][0]
                for kind, text in band.prices.items()
            },
        )
        for band, share in zip(what.bands, shares, strict=True) if share
    ]  # fmt: skip


def _edges(what: VolumeTiers, name: str) -> list[Fraction | None]:
    """Return the upper ends of the bands, in units or in pico."""
    scale = PICO_PER_USD if what.measured == "usd" else 1
    return [
        None if band.upto is None else number(band.upto, name, "upto") * scale
        for band in what.bands
    ]


def _facts(
    what: VolumeTiers, volume: Fraction, parts: Sequence[Fraction]
) -> dict[str, str | int | None]:
    reached = [at for at, part in enumerate(parts, 1) if part]
    unit = "USD" if what.measured == "usd" else "units"
    shown = volume / PICO_PER_USD if what.measured == "usd" else volume
    return {
        "volume": plain(shown), "unit": unit, "band": reached[-1] if reached else None,
        "bands": len(parts),
    }  # fmt: skip


def unpriced_problem(cells: Sequence[Cell]) -> list[str]:
    """Return a word where some of the scope has no price, so that a term cannot change it."""
    if all(cell.is_priced for cell in cells):
        return []
    models = sorted({cell.key.model or "unknown" for cell in cells if not cell.is_priced})
    named = ", ".join(models[:5]) + (f" and {len(models) - 5} more" if len(models) > 5 else "")  # noqa: PLR2004 -- as shown
    return [f"no price is known for some calls of {named}: they count, and nothing is changed"]
