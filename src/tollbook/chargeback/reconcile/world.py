"""Both sides in one set of cells, at the grain that all of them tell."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tollbook.chargeback.reconcile.cells import Cell
from tollbook.chargeback.reconcile.grain import Grain
from tollbook.chargeback.reconcile.keys import HOURS_PER_DAY, Key
from tollbook.chargeback.reconcile.ledgerside import LedgerCell, Term
from tollbook.money import split_pico
from tollbook.usage import FEE_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tollbook.chargeback.reconcile.ledgerside import LedgerSide
    from tollbook.chargeback.reconcile.lines import Line, Who
    from tollbook.chargeback.reconcile.providerside import ProviderSide


class Share(NamedTuple):
    """What a line says of one day."""

    day: int
    key: Key
    who: Who
    quantity: int | None
    amount: int | None
    lines: int = 1
    """Lines that it comes from."""


class World:
    """What rules work on: cells of the time itself and of a day before and after.

    Args:
        ledger: the ledger's side.
        provider: the provider's side.
        first_day: of the time, days since the epoch.
        last_day: the first day that is no longer in it.
        card_price: pico for a token of a key on a day by the price book; None: no price.
    """

    def __init__(
        self, ledger: LedgerSide, provider: ProviderSide, first_day: int, last_day: int,
        card_price: Callable[[Key, int], Fraction | None],
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self.provider = provider
        self.first_day = first_day
        self.last_day = last_day
        self._card_price = card_price
        usage_keys = {line.key for line in provider.usage}
        money_keys = {line.key for line in provider.money}
        self.grain = Grain((key for _, key in ledger.cells), (usage_keys, money_keys))
        folded = _folded_ledger(ledger, self.grain)
        self._rates = _rates(folded, first_day, last_day)
        self.extra_terms = _lay_terms(ledger, self.grain, folded, first_day, last_day)
        usage = _shares(provider.usage, self.grain, folded)
        money = _shares(provider.money, self.grain, folded)
        self.usage_days = {share.day for share in usage}
        """Days of which usage reports say anything."""
        self.shares = _quantities(usage, money)
        """Quantities by who used them, of the report that counts for each model."""
        self.cells = self._cells(folded, money)

    def is_inside(self, day: int) -> bool:
        """Whether a day is in the time that is reconciled."""
        return self.first_day <= day < self.last_day

    def inside(self) -> Iterator[Cell]:
        """Yield the cells of the time, by day."""
        return (cell for cell in list(self.cells.values()) if self.is_inside(cell.day))

    def of(self, key: Key) -> Iterator[Cell]:
        """Yield the cells of a key in the time, by day."""
        for day in range(self.first_day, self.last_day):
            found = self.cells.get((day, key))
            if found is not None:
                yield found

    def cell(self, day: int, key: Key) -> Cell:
        """Return a cell; one in which neither side has anything where there was none."""
        found = self.cells.get((day, key))
        if found is None:
            billed = 0 if self.provider.money else None
            found = Cell(day, key, LedgerCell(), 0, billed, 0, self._value_on(day))
            self.cells[day, key] = found
        return found

    def hours(self, first_day: int, last_day: int) -> dict[tuple[int, Key], LedgerCell]:
        """Return the ledger's sums by hour, at the grain of the cells."""
        found: dict[tuple[int, Key], LedgerCell] = defaultdict(LedgerCell)
        hourly = self.ledger.hours(first_day * HOURS_PER_DAY, last_day * HOURS_PER_DAY)
        for (hour, key), one in hourly.items():
            _add(found[hour, self.grain.fold(key)], key, one, self.grain)
        return found

    def _cells(
        self, folded: dict[tuple[int, Key], LedgerCell], money: list[Share]
    ) -> dict[tuple[int, Key], Cell]:
        provided: dict[tuple[int, Key], int] = defaultdict(int)
        known = {(share.key.model, share.key.kind in FEE_KINDS) for share in self.shares}
        for share in self.shares:
            provided[share.day, share.key] += share.quantity or 0
        billed: dict[tuple[int, Key], list[int]] = defaultdict(lambda: [0, 0])
        for share in money:
            billed[share.day, share.key][0] += share.amount or 0
            billed[share.day, share.key][1] += share.lines
        counted = {share.key for share in self.shares}
        cells: dict[tuple[int, Key], Cell] = {}
        for day, key in sorted({*folded, *provided, *billed}, key=_order):
            amount, lines = billed.get((day, key), (0, 0))
            # Dollars of a model without any quantity: its quantities are not known, not zero.
            is_counted = bool(self.shares) and (
                key in counted or (key.model, key.kind in FEE_KINDS) in known or not lines
            )
            cells[day, key] = Cell(
                day, key, folded.get((day, key), LedgerCell()),
                provided.get((day, key), 0) if is_counted else None,
                amount if money else None, lines, self._value_on(day),
            )  # fmt: skip
        return cells

    def _value_on(self, day: int) -> Callable[[Key], Fraction]:
        def value(key: Key) -> Fraction:
            rate = self._rates.get(key)
            return (self._card_price(key, day) or Fraction(0)) if rate is None else rate

        return value


def _order(at: tuple[int, Key]) -> tuple[int, tuple[str, ...]]:
    return at[0], tuple(one or "" for one in at[1])


def _folded_ledger(ledger: LedgerSide, grain: Grain) -> dict[tuple[int, Key], LedgerCell]:
    folded: dict[tuple[int, Key], LedgerCell] = defaultdict(LedgerCell)
    for (day, key), one in ledger.cells.items():
        _add(folded[day, grain.fold(key)], key, one, grain)
    return folded


def _add(to: LedgerCell, key: Key, one: LedgerCell, grain: Grain) -> None:
    if key.kind in FEE_KINDS and grain.fold(key).kind is None:
        # Searches are no tokens: of a sum over all kinds only their cost is a part.
        to.cost += one.cost
    else:
        to.add(one)


def _rates(
    folded: dict[tuple[int, Key], LedgerCell], first_day: int, last_day: int
) -> dict[Key, Fraction]:
    """Return what a token of each key cost in the ledger, over the whole time."""
    sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    for (day, key), one in folded.items():
        if first_day <= day < last_day:
            sums[key][0] += one.cost
            sums[key][1] += one.tokens - one.unpriced
    return {key: Fraction(cost, tokens) for key, (cost, tokens) in sums.items() if tokens > 0}


_OF_CELLS = frozenset(["volume_tier", "free_quota"])
"""Terms that change what the tokens of a model cost."""
_CAPACITY = "commitment"


def _lay_terms(
    ledger: LedgerSide, grain: Grain, folded: dict[tuple[int, Key], LedgerCell], first_day: int,
    last_day: int,
) -> list[tuple[str, int]]:  # fmt: skip
    """Add what terms changed of the cost of calls to the cells they are of, by their cost.

    Returns what is of no cell, by type of adjustment.
    """
    rest: list[tuple[str, int]] = []
    by_day: dict[int, list[tuple[Key, LedgerCell]]] = defaultdict(list)
    for (day, key), one in sorted(folded.items(), key=lambda item: _order(item[0])):
        if first_day <= day < last_day:
            by_day[day].append((key, one))
    for term in ledger.terms:
        cells = _cells_of_term(term, grain.fold(term.key), by_day)
        if not cells:
            rest.append((term.adjustment, term.amount))
            continue
        parts = split_pico(term.amount, [one.cost for one in cells])
        for one, part in zip(cells, parts, strict=True):
            one.cost += part
    return rest


def _cells_of_term(
    term: Term, wanted: Key, by_day: dict[int, list[tuple[Key, LedgerCell]]]
) -> list[LedgerCell]:
    # Capacity takes back what a card charged, kind by kind; the rest of it is no call's.
    is_taken_back = term.adjustment == _CAPACITY and term.key.kind is not None
    if term.adjustment not in _OF_CELLS and not is_taken_back:
        return []
    for days in ([term.day], list(by_day)):
        cells = [
            one
            for day in days
            if day is not None
            for key, one in by_day.get(day, ())
            if one.cost > 0 and _is_within(key, wanted)
        ]
        if cells:
            return cells
    return []


def _is_within(key: Key, wanted: Key) -> bool:
    return (
        wanted.model in {None, key.model}
        and wanted.kind in {None, key.kind}
        and wanted.tier in {None, key.tier}
    )


def _shares(
    lines: Iterable[Line], grain: Grain, folded: dict[tuple[int, Key], LedgerCell]
) -> list[Share]:
    found: list[Share] = []
    for line in lines:
        key = grain.fold(line.key)
        # Pieces that are folded into a sum over all kinds are no tokens of it.
        quantity = None if key.kind is None and line.key.kind in FEE_KINDS else line.quantity
        if line.days == 1:
            found.append(Share(line.day, key, line.who, quantity, line.amount, line.lines))
            continue
        days = range(line.day, line.day + line.days)
        weights = [max(folded[day, key].tokens, 0) if (day, key) in folded else 0 for day in days]
        if not any(weights):
            weights = [1] * line.days
        amounts = _split(line.amount, weights)
        quantities = _split(quantity, weights)
        found.extend(
            Share(day, key, line.who, count, amount, line.lines)
            for day, count, amount in zip(days, quantities, amounts, strict=True)
        )
    return found


def _split(whole: int | None, weights: list[int]) -> list[int | None]:
    return [None] * len(weights) if whole is None else [*split_pico(whole, weights)]


def _quantities(usage: list[Share], money: list[Share]) -> list[Share]:
    """Return the shares whose quantities count.

    Those of usage reports; of models that these lack, those of cost reports.
    """
    told = {(share.key.model, share.key.kind in FEE_KINDS) for share in usage}
    further = [
        share for share in money
        if share.quantity is not None
        and (share.key.model, share.key.kind in FEE_KINDS) not in told
    ]  # fmt: skip
    return [one for one in usage if one.quantity is not None] + further
