"""Bill many entries at once, as Arrow columns; integers throughout.

What :func:`tollbook.prices.billable_amount.bill` says of each, said of all that one rule bills:
products and sums of integer arrays. What is not of that form (cached answers, amounts near 64 bits,
usage that a card does not price by whole pico) is billed one by one with that very function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tollbook.ledger.billing_facts import FACT_COLUMNS, facts_of
from tollbook.ledger.billing_lot import LARGEST, bools, equals, group_keys, pico_of
from tollbook.ledger.billing_usage import usage_totals
from tollbook.ledger.exact import pico_list
from tollbook.ledger.rebuild import rows_of
from tollbook.money import pico_from_usd
from tollbook.prices import billable_amount as words
from tollbook.prices.billable import CALL, OPERATION
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from tollbook.ledger.billing_lot import BilledRows, Lot
    from tollbook.prices.billable import Rule
    from tollbook.prices.billable_amount import Billed
    from tollbook.prices.card import RateCard

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]
    FindCard = Callable[[Rule, Mapping[str, Any]], "Found"]
    """Rule and row to the card that prices the base."""

_STATUSES: Final = tuple(words.STATUS)


class Found(NamedTuple):
    """The card that prices the base of a call, or that there is none."""

    card: RateCard | None
    until_ns: int
    """The first moment from which on another call of its kind is to be looked up anew."""


def bill_lot(lot: Lot, rule: Rule, at: Ints, find: FindCard, billed: BilledRows) -> set[str]:
    """Bill the entries of a lot that one rule bills.

    Args:
        lot: the entries.
        rule: their rule.
        at: where in ``billed`` each of them stands.
        find: finds the card of a row; asked once for rows that look it up alike.
        billed: where the amounts go.

    Returns:
        The ids of the cards that were used.
    """
    work = _Work(lot, rule, find)
    work.run()
    codes = np.array([billed.code(one) for one in work.words], np.int32)
    billed.pico[at] = work.total
    billed.is_missing[at] = work.is_missing
    billed.flags[at] = codes[work.said]
    alone = np.flatnonzero(work.is_alone)
    if len(alone):
        for row, one in zip(at[alone].tolist(), work.alone(alone), strict=True):
            billed.put(row, one)
    return work.card_ids


class _Work:
    """One rule on the entries that it bills."""

    def __init__(self, lot: Lot, rule: Rule, find: FindCard) -> None:
        self._lot, self._rule, self._find = lot, rule, find
        rows = lot.rows
        self.total = np.zeros(rows, np.int64)
        self.said = np.zeros(rows, np.int32)
        self.words: list[tuple[str, ...]] = [()]
        self.is_alone = np.zeros(rows, np.bool_)
        self.is_missing = np.zeros(rows, np.bool_)
        self.card_ids: set[str] = set()

    def run(self) -> None:
        if self._rule.basis == "free":
            self._say(np.ones(self._lot.rows, np.bool_), (words.FREE,))
            return
        refusals = self._refusals()
        refused = np.zeros(self._lot.rows, np.bool_)
        for mask, _ in refusals:
            refused |= mask
        is_part = self._is_part()
        is_cached = equals(self._lot, "price_state", "cached")
        self.is_alone |= is_cached & ~refused
        if self._rule.is_by_usage:
            self._by_card()
        elif self._rule.basis == "cost_plus":
            self._by_cost()
        self._multiply()
        self._add_units(is_part)
        least = pico_from_usd(self._rule.minimum_usd)
        if least:
            if least >= LARGEST:
                self.is_alone[:] = True
            else:
                low = (self.total < least) & ~is_part & ~refused & ~self.is_missing
                self.total[low] = least
                self._say_also(low, words.MINIMUM)
        for mask, why in reversed(refusals):  # the first reason counts
            self._say(mask, (why,))
        self.total[refused] = 0
        self.is_missing &= ~refused
        self.total[self.is_missing] = 0
        self.is_alone &= ~refused
        self.total[self.is_alone] = 0

    def alone(self, rows: Ints) -> Iterator[Billed]:
        """Bill some rows one by one."""
        lot = self._lot.taken(rows)
        costs = pico_list(lot.column("cost_usd"))
        saved_costs = pico_list(lot.column("saved_cost_usd"))
        for fields, cost, saved in zip(rows_of(_facts_table(lot)), costs, saved_costs, strict=True):
            card = self._find(self._rule, fields).card if self._rule.needs_card else None
            billed = words.bill(self._rule, facts_of(fields, cost, saved), card)
            if card is not None:
                self.card_ids.add(card.card_id)
            yield billed

    def _refusals(self) -> list[tuple[Bools, str]]:
        """Find what is not charged at all, and why; the first reason counts."""
        rule, lot = self._rule, self._lot
        reasons: list[tuple[Bools, str]] = []
        wanted = [one for one in _STATUSES if not getattr(rule.failed, one)]
        if wanted and lot.has("status"):
            found: Any = pc.index_in(lot.column("status"), value_set=pa.array(wanted))
            codes = found.fill_null(-1).to_numpy(zero_copy_only=False)
            if (codes >= 0).any():
                reasons += [(codes == at, words.STATUS[status]) for at, status in enumerate(wanted)]
        if not rule.retries:
            reasons.append((self._is_retry(), words.RETRY))
        if not rule.system:
            reasons.append((equals(lot, "request_origin", "system"), words.SYSTEM))
        if not rule.cached_percent:
            reasons.append((equals(lot, "price_state", "cached"), words.CACHED_FREE))
        return reasons

    def _is_retry(self) -> Bools:
        lot = self._lot
        is_retry = np.zeros(lot.rows, np.bool_)
        if lot.has("retry_of"):
            is_retry |= bools(lot.column("retry_of").is_valid())
        if lot.has("attempt"):
            greater: Any = pc.greater
            later = greater(lot.column("attempt"), 1)
            is_retry |= bools(later.fill_null(False))
        return is_retry

    def _is_part(self) -> Bools:
        parts: Any = self._lot.column("part").fill_null(0)
        return np.asarray(parts.to_numpy(zero_copy_only=False)) > 0

    def _by_cost(self) -> None:
        low, fits, known = pico_of(self._lot.column("cost_usd"))
        self.total = low.copy()
        self.is_alone |= ~(fits & known)

    def _by_card(self) -> None:
        """Price usage by the cards of the rows; rows that look a card up alike are one question."""
        lot, rule = self._lot, self._rule
        unknown = np.zeros(lot.rows, np.bool_)
        kinds = np.zeros((lot.rows, len(KINDS)), np.int64)
        for at, name in enumerate(KINDS):
            if lot.has(name):
                column = lot.column(name)
                if column.null_count:
                    unknown |= bools(column.is_null())
                    column = column.fill_null(0)
                kinds[:, at] = column.to_numpy(zero_copy_only=False)
        cards, card_of = self._cards_of(rule)
        unpriced = card_of < 0
        self.is_alone |= unknown
        if cards:
            totals = usage_totals(kinds, cards, np.maximum(card_of, 0))
            self.total = totals.pico
            self.is_alone |= totals.is_alone & ~unpriced
        if unpriced.any():
            self._without_card(unpriced & ~self.is_alone)
        if rule.basis != "own_rates":
            for at, card in enumerate(cards):
                mask = (card_of == at) & ~self.is_alone
                if mask.any():
                    self._say_also(mask, words.CARD_FLAG + card.card_id)
                    self.card_ids.add(card.card_id)

    def _without_card(self, unpriced: Bools) -> None:
        if self._rule.unpriced == "cost":
            self.is_alone |= unpriced
            return
        self.is_missing |= unpriced
        self.total[unpriced] = 0
        self._say_also(unpriced, words.NO_PRICE)

    def _cards_of(self, rule: Rule) -> tuple[list[RateCard], Ints]:
        """Return the cards, and which of them each row has; -1 for none."""
        lot = self._lot
        if rule.basis == "own_rates":
            return [words.own_card(rule)], np.zeros(lot.rows, np.int64)
        key_of = group_keys(lot, _LOOKED_UP)
        times = lot.column("called_at").cast(pa.int64()).to_numpy(zero_copy_only=False)
        table = _facts_table(lot)
        cards: dict[str, tuple[int, RateCard]] = {}
        card_of = np.full(lot.rows, -1, np.int64)
        for key in np.unique(key_of).tolist():
            left = np.flatnonzero(key_of == key)
            while len(left):
                first = int(left[np.argmin(times[left])])
                (fields,) = rows_of(table.slice(first, 1))
                found = self._find(rule, fields)
                is_same = times[left] * 1000 < found.until_ns
                if found.card is not None:
                    at, _ = cards.setdefault(found.card.card_id, (len(cards), found.card))
                    card_of[left[is_same]] = at
                left = left[~is_same]
        return [card for _, card in cards.values()], card_of

    def _multiply(self) -> None:
        """Multiply the base by the rule's factor, rounded once, half to even."""
        factor = self._rule.factor
        if factor == 1 or self._rule.basis == "per_unit":
            return
        over, under = factor.numerator, factor.denominator
        self.is_alone |= self.total < 0
        if max(over, 1) * under >= LARGEST:
            self.is_alone[:] = True
            return
        whole, rest = np.divmod(self.total, under)
        self.is_alone |= whole > LARGEST // max(over, 1)
        whole[self.is_alone] = 0
        product = rest * over
        more, left = np.divmod(product, under)
        total = whole * over + more
        twice = 2 * left
        total += (twice > under) | ((twice == under) & ((total & 1) == 1))
        self.total = total

    def _add_units(self, is_part: Bools) -> None:
        for name in self._rule.units:
            pico = words.unit_pico(self._rule, name)
            units = self._units(name, is_part)
            most = int(units.max(initial=0))
            if not most:
                continue
            if most * pico >= LARGEST:
                self.is_alone[:] = True
                return
            self.is_alone |= self.total > LARGEST
            self.total = np.where(self.is_alone, 0, self.total) + units * pico

    def _units(self, name: str, is_part: Bools) -> Ints:
        if name == CALL:
            return (~is_part).astype(np.int64)
        if name == OPERATION:
            return (~is_part & ~self._is_retry()).astype(np.int64)
        if not self._lot.has(name):
            # Of an entry without any usage none of its kinds is there.
            return np.zeros(self._lot.rows, np.int64)
        column = self._lot.column(name).fill_null(0)
        units: Ints = np.array(column.to_numpy(zero_copy_only=False), np.int64)
        if name == "requests":
            units[is_part] = 0
        return units

    def _say(self, mask: Bools, said: tuple[str, ...]) -> None:
        if mask.any():
            self.words.append(said)
            self.said[mask] = len(self.words) - 1

    def _say_also(self, mask: Bools, word: str) -> None:
        for code in np.unique(self.said[mask]).tolist():
            self._say(mask & (self.said == code), (*self.words[code], word))


_LOOKED_UP: Final = (
    "provider", "model_requested", "model_actual", "call_model", "fallback_from", "price_tier",
    "region", "part",
)  # fmt: skip


def _facts_table(lot: Lot) -> pa.Table:
    names = ("called_at", *(name for name in FACT_COLUMNS if name != "called_at"))
    return pa.table({name: lot.column(name) for name in names})
