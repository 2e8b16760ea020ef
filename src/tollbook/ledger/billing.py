"""The second price of a call, stamped when its entry is booked.

Every charge that is appended passes here, whoever books it (ingest, late usage, stitching,
re-rating, a batch's owner that became known), so the rule is always chosen by what the entry itself
says. Without rules the columns stay NULL, and nothing is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tollbook.books.tables import documents
from tollbook.ledger.billing_bulk import Found, bill_lot
from tollbook.ledger.billing_facts import FACT_COLUMNS, priced_as
from tollbook.ledger.billing_lot import BilledRows, Lot, group_keys
from tollbook.ledger.billing_rules import RuleBook, load_rules
from tollbook.ledger.columns import words_text
from tollbook.ledger.exact import money_array, money_from_int64
from tollbook.ledger.schema import Kind
from tollbook.prices.billable import MATCHED, described

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from tollbook.books.store import Books
    from tollbook.ledger.billing_rules import RulesInForce
    from tollbook.ledger.cards import CardShelf
    from tollbook.prices.billable import Rule
    from tollbook.prices.book import PriceBook
    from tollbook.prices.card import RateCard

    Ints = npt.NDArray[np.int64]

BILLING_COLUMNS: Final = ("billable_usd", "billing_rule_id", "billing_flags")
_COLUMN_OF: Final = {
    "tenant": "tenant_id", "feature": "feature", "provider": "provider",
    "environment": "environment", "origin": "request_origin",
}  # fmt: skip
NEEDED: Final = tuple(
    dict.fromkeys((*FACT_COLUMNS, "cost_usd", "saved_cost_usd", *_COLUMN_OF.values(), "tags"))
)
"""All that billing looks at."""
_equal: Any = pc.equal  # whose stubs do not know a plain text
_MODEL_CHARS_MAX: Final = 512
"""Longer text is no model's name."""
_END_NS: Final = 2**63 - 1
_decode_tags: Final = msgspec.json.Decoder(dict[str, str]).decode


class Biller:
    """Bills entries by the rules of the books; one for each open ledger.

    Args:
        books: where the rules are.
        shelf: keeps the cards that entries name.
        price_book: the prices that the provider charges, as they are for us.
        list_book: makes a book of list prices alone; asked for when a rule needs one.
    """

    def __init__(
        self, books: Books, shelf: CardShelf, price_book: PriceBook,
        list_book: Callable[[], PriceBook],
    ) -> None:  # fmt: skip
        self._books, self._shelf = books, shelf
        self._price_book, self._make_list_book = price_book, list_book
        self._list_book: PriceBook | None = None
        self._rules = RuleBook(())
        self._read_to = -1
        self._cards: dict[str, RateCard] = {}
        self._kept: set[str] = set()

    def rules(self) -> RuleBook:
        """Return all rules, read again if any document was added.

        Raises:
            BooksError: the books cannot be read.
        """
        with self._books.read() as connection:
            last = connection.scalar(
                sa.select(sa.func.max(sa.text("rowid"))).select_from(documents)
            )
        if last is not None and last != self._read_to:
            self._rules, self._read_to = load_rules(self._books), last
        return self._rules

    def stamped(self, columns: Mapping[str, Any], rows: int) -> Mapping[str, Any]:
        """Return the columns of entries with what their charges are billed.

        Args:
            columns: Arrow arrays by column name, as they are to be appended.
            rows: how many.

        Raises:
            BooksError: the books cannot be read, or a card not be kept.
        """
        rules = self.rules()
        if not rules and "billable_usd" not in columns:
            return columns
        is_charge = _is_charge(columns)
        if is_charge is not None and not is_charge.any():
            return columns
        at = np.arange(rows) if is_charge is None else np.flatnonzero(is_charge)
        whole = Lot({name: columns[name] for name in NEEDED if name in columns}, rows)
        stamps = self.bill(whole.taken(at), rules)
        if is_charge is None:
            return {**columns, **stamps}
        return {**columns, **_merged(columns, stamps, at, rows)}

    def bill(
        self, lot: Lot, rules: RuleBook | None = None, *, is_preview: bool = False
    ) -> dict[str, Any]:
        """Return the three columns of :data:`BILLING_COLUMNS` for charges.

        Args:
            lot: charges, with what is there of the columns that billing looks at.
            rules: by which to bill them; None for those in the books.
            is_preview: nothing will be booked, so no card need be kept.
        """
        rules = self.rules() if rules is None else rules
        billed = BilledRows(lot.rows)
        rule_of = np.full(lot.rows, -1, np.int64)
        ids: list[str] = []
        card_ids: set[str] = set()
        for held, at in _stretches(lot, rules):
            some = lot.taken(at)
            chosen = choose_rules(some, held)
            for which in np.unique(chosen[chosen >= 0]).tolist():
                document_id, rule = held.rules[which]
                mine = np.flatnonzero(chosen == which)
                card_ids |= bill_lot(some.taken(mine), rule, at[mine], self._find, billed)
                rule_of[at[mine]] = len(ids)
                ids.append(document_id)
        if not is_preview:
            self._keep(card_ids)
        return _columns(billed, rule_of, ids)

    def _find(self, rule: Rule, row: Mapping[str, Any]) -> Found:
        """Find the card that prices the base, with how long the answer holds."""
        book = self._price_book if rule.basis == "cost_plus" else self._lists()
        until_ns = _END_NS
        for one in priced_as(row, is_requested=rule.model == "requested"):
            if len(one.model) > _MODEL_CHARS_MAX:
                continue
            found = book.window(
                one.provider, one.model, row["called_at"] * 1000, one.tier, one.region
            )
            until_ns = min(until_ns, found.until_ns)
            if found.card is not None:
                self._cards[found.card.card_id] = found.card
                return Found(found.card, until_ns)
        return Found(None, until_ns)

    def _lists(self) -> PriceBook:
        if self._list_book is None:
            self._list_book = self._make_list_book()
        return self._list_book

    def _keep(self, card_ids: set[str]) -> None:
        """Keep cards before the entries that name them are there."""
        new = [self._cards[one] for one in card_ids - self._kept if one in self._cards]
        if new:
            self._shelf.remember(new)
            self._kept |= card_ids
        self._cards.clear()


def choose_rules(lot: Lot, held: RulesInForce) -> Ints:
    """Return for each entry which of the rules bills it, -1 for none."""
    if not held.rules:
        return np.full(lot.rows, -1, np.int64)
    names = [_COLUMN_OF[one] for one in held.fields if one in _COLUMN_OF]
    if "model" in held.fields:
        names += ["model_actual", "model_requested"]
    if "plan" in held.fields and "tenant_id" not in names:
        names.append("tenant_id")
    if held.needs_tags:
        names.append("tags")
    keys = group_keys(lot, tuple(names))
    _, first, group_of = np.unique(keys, return_index=True, return_inverse=True)
    found = {name: lot.column(name).take(pa.array(first)).to_pylist() for name in names}
    chosen = np.empty(len(first), np.int64)
    for at in range(len(first)):
        chosen[at] = held.choose(_described({name: one[at] for name, one in found.items()}, held))
    return chosen[group_of]


def _described(row: Mapping[str, Any], held: RulesInForce) -> Any:
    values: dict[str, str | None] = {name: row.get(column) for name, column in _COLUMN_OF.items()}
    values["model"] = row.get("model_actual") or row.get("model_requested")
    if "plan" in held.fields:
        values["plan"] = held.plan_of(values["tenant"], tags_of(row.get("tags")))
    return described([values.get(name) for name in MATCHED])


def tags_of(text: str | None) -> dict[str, str] | None:
    """Return the tags of an entry, None where there are none or they are none."""
    if text is None:
        return None
    try:
        return _decode_tags(text)
    except msgspec.MsgspecError:
        return None


def _stretches(lot: Lot, rules: RuleBook) -> list[tuple[RulesInForce, Ints]]:
    """Return what holds when, with the entries that were called then."""
    times = lot.column("called_at").cast(pa.int64()).to_numpy(zero_copy_only=False)
    starts = np.array([-(-one // 1000) for one in rules.starts], np.int64)
    which = np.searchsorted(starts, times, side="right") - 1
    return [(rules.stretch(one), np.flatnonzero(which == one)) for one in np.unique(which).tolist()]


def _is_charge(columns: Mapping[str, Any]) -> npt.NDArray[np.bool_] | None:
    """Return which entries are charges, None where all are."""
    same = _equal(columns["kind"], Kind.CHARGE.value)
    if pc.all(same).as_py():
        return None
    plain = same.combine_chunks() if isinstance(same, pa.ChunkedArray) else same
    return np.asarray(plain.to_numpy(zero_copy_only=False), np.bool_)


def _columns(billed: BilledRows, rule_of: Ints, ids: Sequence[str]) -> dict[str, Any]:
    texts = pa.array([words_text(one) for one in billed.words], pa.string())
    names = pa.array([*ids, None], pa.string())
    if billed.large:
        amounts: list[int | None] = [
            None if missing else one
            for one, missing in zip(billed.pico.tolist(), billed.is_missing.tolist(), strict=True)
        ]
        for row, amount in billed.large.items():
            amounts[row] = amount
        money = money_array(amounts)
    else:
        missing = billed.is_missing
        money = money_from_int64(np.where(missing, 0, billed.pico), missing)
    rules: Any = pa.array(np.where(rule_of < 0, len(ids), rule_of))
    flags: Any = pa.array(billed.flags)
    return {
        "billable_usd": money,
        "billing_rule_id": names.take(rules),
        "billing_flags": texts.take(flags),
    }


def _merged(
    columns: Mapping[str, Any], stamps: Mapping[str, Any], at: Ints, rows: int
) -> dict[str, Any]:
    """Return the columns with the stamps of charges, and what the other entries have of them."""
    place = np.full(rows, -1, np.int64)
    place[at] = np.arange(len(at))
    lot = Lot(columns, rows)
    merged = {}
    for name, stamp in stamps.items():
        both = pa.concat_arrays([stamp, lot.column(name)])
        merged[name] = both.take(pa.array(np.where(place >= 0, place, len(at) + np.arange(rows))))
    return merged
