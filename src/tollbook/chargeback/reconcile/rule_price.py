"""Where quantities agree and dollars do not: another price, or the rounding of lines.

The price that the provider charged is what it billed for the tokens that both have, over those
tokens. Rounding is what half a unit of the amounts of each line can come to.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.chargeback.reconcile.keys import Key, day_text
from tollbook.chargeback.reconcile.model import Cause
from tollbook.money import Rate
from tollbook.usage import PRICED_PER

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.cells import Cell
    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.world import World

_RELATIVE: Final = 10**9
"""Amounts that agree to so many parts are the same: floats in a provider's JSON."""
_SAME_RATIO: Final = Fraction(1, 10**6)
_DAYS_MIN: Final = 3
SEGMENTS_MAX: Final = 31


class _Priced(NamedTuple):
    cell: Cell
    price: int
    common_cost: int
    tolerance: int

    @property
    def is_off(self) -> bool:
        return abs(self.price) > self.tolerance

    @property
    def ratio(self) -> Fraction | None:
        if self.common_cost <= 0:
            return None
        return Fraction(self.common_cost + self.price, self.common_cost)


def claim_prices(world: World, findings: Findings) -> None:
    """Claim what is left in dollars on the tokens that both sides have."""
    groups: dict[Key, list[_Priced]] = defaultdict(list)
    for cell in world.inside():
        left = cell.left()
        if left.price:
            tolerance = _tolerance(world, cell)
            groups[cell.key].append(_Priced(cell, left.price, left.common_cost, tolerance))
    for key, priced in groups.items():
        _claim_group(world, findings, key, priced)


def _tolerance(world: World, cell: Cell) -> int:
    calls = world.ledger.calls.get(cell.key.model, 0)
    lines = cell.lines * world.provider.unit
    return (lines + calls) // 2 + 2 + abs(cell.billed or 0) // _RELATIVE


def _claim_group(world: World, findings: Findings, key: Key, priced: list[_Priced]) -> None:
    whole, allowed = sum(one.price for one in priced), sum(one.tolerance for one in priced)
    has_terms = any(term.key.model in {None, key.model} for term in world.ledger.terms)
    off = [one for one in priced if one.is_off]
    if has_terms and abs(whole) <= allowed:
        # A month's terms are laid over its days evenly, while they set in on one of them.
        off = []
    about = tuple(part or "" for part in key)
    proven: list[_Priced] = []
    ratios = _told_ratios(world, key)
    for one in priced:
        if one not in off:
            findings.add(Cause.ROUNDING, ("lines",), one.cell.day, key, 0, one.price)
            continue
        by_price = _by_price(one, ratios, off)
        if abs(one.price - by_price) <= one.tolerance:
            by_price = one.price
        if by_price:
            proven.append(one)
            findings.add(Cause.WRONG_CARD, about, one.cell.day, key, 0, by_price)
        rest = one.price - by_price
        if rest:
            findings.add(Cause.UNEXPLAINED, ("dollars", *about), one.cell.day, key, 0, rest)
    if proven:
        proven.sort(key=lambda one: one.cell.day)
        findings.tell(Cause.WRONG_CARD, about, rates=_segments(key, proven))
    findings.tell(Cause.UNEXPLAINED, ("dollars", *about), quantities="the provider tells none")


def _told_ratios(world: World, key: Key) -> dict[int, Fraction]:
    """Return what the provider billed for a dollar of the ledger's, on days with quantities."""
    found: dict[int, Fraction] = {}
    for cell in world.of(key):
        left = cell.left()
        if cell.provided is not None and left.common_cost > 0:
            found[cell.day] = Fraction(left.common_cost + left.price, left.common_cost)
    return found


def _by_price(one: _Priced, ratios: dict[int, Fraction], off: list[_Priced]) -> int:
    """Return how much of a cell's dollars another price explains.

    All, where quantities are told. Else what the price of the nearest day with quantities, before
    or after, comes to; where no day has any, one ratio on three days or more is a price too.
    """
    if one.cell.provided is not None:
        return one.price
    if ratios:
        before = max((day for day in ratios if day < one.cell.day), default=None)
        after = min((day for day in ratios if day > one.cell.day), default=None)
        guesses = [
            round(one.common_cost * (ratios[day] - 1)) for day in (before, after) if day is not None
        ]
        return min(guesses, key=lambda guess: abs(one.price - guess), default=0)
    same = {other.cell.day for other in off if _is_same(other.ratio, one.ratio)}
    return one.price if len(same) >= _DAYS_MIN and len(same) == len(off) else 0


def _is_same(one: Fraction | None, other: Fraction | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= _SAME_RATIO * abs(one)


def _segments(key: Key, priced: list[_Priced]) -> list[dict[str, str | None]]:
    """Return stretches of days with one price: what was billed, and what the ledger's card says."""
    found: list[dict[str, str | None]] = []
    for one in priced:
        tokens = one.cell.ledger.tokens
        billed = _rate_text(key.kind, one.common_cost + one.price, one.common_cost, one.cell)
        carded = _rate_text(key.kind, one.common_cost, one.common_cost, one.cell)
        if one.cell.ledger.unpriced >= tokens:
            carded = None
        day = day_text(one.cell.day)
        last = found[-1] if found else None
        if last is not None and (last["billed_usd"], last["card_usd"]) == (billed, carded):
            last["until"] = day
        elif len(found) < SEGMENTS_MAX:
            found.append({
                "since": day, "until": day, "billed_usd": billed, "card_usd": carded,
                "per": PRICED_PER.get(key.kind or "", (1_000_000, "MTok"))[1],
            })  # fmt: skip
    return found


def _rate_text(kind: str | None, amount: int, cost: int, cell: Cell) -> str | None:
    """Return an implied price as people name it, to six significant digits after the point."""
    units, _ = PRICED_PER.get(kind or "", (1_000_000, "MTok"))
    held = cell.ledger
    # The tokens that both have: the ledger's, less those that only it has.
    tokens = held.tokens if cost == held.cost else _share(held.tokens, cost, held.cost)
    if tokens <= 0:
        return None
    micro = round(Fraction(amount * units, tokens * 10**6))
    return Rate(micro * 10**6, 10**6).usd_per_million() if micro >= 0 else None


def _share(tokens: int, cost: int, whole: int) -> int:
    return tokens * cost // whole if whole else tokens
