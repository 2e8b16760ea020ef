"""Re-rating: what calls would cost with the present price cards, and booking the difference.

Usage is read again from the evidence, so a call whose model had no price becomes priced, and one
whose usage is read better by a later version becomes right. Entries are never changed: a call that
costs something else now gets a reversal and a new charge.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from tollbook.books.events import record_event
from tollbook.ledger.cards import BooksShelf, UsedCards
from tollbook.ledger.charge import charge_of
from tollbook.ledger.corrections import Correction, corrections
from tollbook.ledger.exact import pico_list
from tollbook.ledger.rebuild import (
    AMOUNTS,
    CHARGE_COLUMNS,
    EVIDENCE_COLUMNS,
    call_of,
    charge_at,
    kinds_of,
    rows_of,
    said_of,
    stored_charge,
)
from tollbook.ledger.schema import COST_COLUMNS, ENTRY_NAMES
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    import duckdb
    import pyarrow as pa

    from tollbook.books.store import Books
    from tollbook.ledger.cards import CardShelf
    from tollbook.ledger.charge import Charge, PartCharge, Resolve
    from tollbook.ledger.store import Store
    from tollbook.prices.book import PriceBook

PAGE_ENTRIES = 20_000
_NEEDED = (
    "entry_id", "tenant_id", "calls", *dict.fromkeys((*EVIDENCE_COLUMNS, *CHARGE_COLUMNS)), *KINDS,
    "price_card_id",
)  # fmt: skip
# Charges that a price can touch and that no reversal has taken back.
_PAGE = """
    SELECT {columns} FROM entries AS charged
    WHERE kind = 'charge' AND entry_id BETWEEN ? AND ?
      AND called_at >= make_timestamp(?) AND called_at < make_timestamp(?)
      AND metering = 'metered' AND (is_billable OR cached_from IS NOT NULL)
      AND status <> 'rejected'
      AND NOT EXISTS (SELECT 1 FROM entries AS taken
                      WHERE taken.kind = 'reversal' AND taken.replaces = charged.entry_id)
    ORDER BY entry_id"""
_TIME_MIN_US, _TIME_MAX_US = -(2**55), 2**55


class RerateRow(Struct, frozen=True):
    """Calls of one tenant and model whose charge would change. Amounts are in pico."""

    tenant_id: str | None
    provider: str
    model: str | None
    calls: int
    old_cost: int
    """Of the calls that have a cost now."""
    new_cost: int
    """Of the calls that would have one."""
    old_unpriced_calls: int
    new_unpriced_calls: int
    old_card_ids: tuple[str, ...]
    new_card_ids: tuple[str, ...]

    @property
    def difference(self) -> int:
        """What the sum of all reports would grow by, in pico."""
        return self.new_cost - self.old_cost


class RerateMonth(Struct, frozen=True):
    """Calls of one month (UTC) whose charge would change. Amounts are in pico."""

    month: str
    """``YYYY-MM``."""
    calls: int
    old_cost: int
    new_cost: int


class RerateReport(Struct, frozen=True):
    """All that would change, or has changed."""

    rows: tuple[RerateRow, ...]
    months: tuple[RerateMonth, ...] = ()

    @property
    def calls(self) -> int:
        """How many calls are affected."""
        return sum(row.calls for row in self.rows)

    @property
    def difference(self) -> int:
        """New cost less old cost, in pico."""
        return sum(row.difference for row in self.rows)


_SAID_OF_CHANGES = (
    "entry_id", "tenant_id", "provider", "model_actual", "model_requested", "calls",
    "price_card_id", "called_at",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400 * 10**6


@cache
def _month_of(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day):%Y-%m}"


class _Change(NamedTuple):
    row: dict[str, Any]
    """Of the stored entry what sums and reasons need: pages of whole rows are large."""
    old_cost: int | None
    charge: Charge | None
    """None: the call has no such part any more."""
    part: tuple[int, PartCharge] | None = None
    """The call has got this part."""
    is_read_anew: bool = True
    """Its usage differs too."""

    @property
    def reason(self) -> str:
        before = None if self.part else self.row["price_card_id"]
        after = self.charge.card_id if self.charge else None
        if self.is_read_anew:
            return f"usage read anew; price card: {before or 'none'} -> {after or 'none'}"
        return f"price card changed: {before or 'none'} -> {after or 'none'}"


class _Prices(NamedTuple):
    """How calls are priced now."""

    resolve: Resolve
    uses_reported: Container[str]


def preview(
    connection: duckdb.DuckDBPyConnection,
    price_book: PriceBook,
    since_ns: int | None = None,
    until_ns: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RerateReport:
    """Return what :func:`apply` would change; nothing is written.

    Args:
        connection: for reading, from ``store.reader()`` or ``connect_readonly``.
        price_book: the present prices.
        since_ns: first start of the calls to look at, nanoseconds since the epoch; None for all.
        until_ns: first start that is no longer looked at; None for all.
        progress: called after each page with how many entries were looked at, and of how many.
    """
    sums, entries = _Sums(), _last_entry_id(connection)
    for first, last in _pages(entries):
        prices = _Prices(price_book.resolve, price_book.uses_reported)
        sums.add(_changes(connection, first, last, since_ns, until_ns, prices))
        if progress is not None:
            progress(last, entries)
    return sums.report()


def apply(
    store: Store,
    books: Books,
    price_book: PriceBook,
    since_ns: int | None = None,
    until_ns: int | None = None,
    *,
    actor: str | None = None,
    reason: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RerateReport:
    """Book the difference of every affected call, and record in the books that it was done.

    Each page is one transaction: an interrupted run is completed by the next, and a second run
    finds nothing.

    Args:
        store: the open ledger.
        books: keep the cards and the record of the event.
        price_book: the present prices.
        since_ns: see :func:`preview`.
        until_ns: see :func:`preview`.
        actor: who asked for it; None for this process's user.
        reason: why, for the record and each entry.
        progress: see :func:`preview`.

    Raises:
        BooksError: the books cannot be written.
    """
    report = rerate(
        store, BooksShelf(books), price_book, since_ns, until_ns, reason=reason, progress=progress
    )
    if report.calls:
        detail = {
            "calls": report.calls, "difference_pico_usd": str(report.difference),
            "since_ns": since_ns, "until_ns": until_ns, "reason": reason,
            "new_card_ids": sorted({card for row in report.rows for card in row.new_card_ids}),
        }  # fmt: skip
        record_event(books, actor=actor, action="rerate.applied", detail=detail)
    return report


def rerate(
    store: Store,
    shelf: CardShelf,
    price_book: PriceBook,
    since_ns: int | None = None,
    until_ns: int | None = None,
    *,
    reason: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RerateReport:
    """Do what :func:`apply` does, with cards kept on any shelf and no event recorded."""
    sums, cards = _Sums(), UsedCards(price_book, shelf)
    prices = _Prices(cards.resolve, cards.uses_reported)
    entries = store.last_entry_id
    for first, last in _pages(entries):
        with store.transaction() as connection:
            changes = list(_changes(connection, first, last, since_ns, until_ns, prices))
            if changes:
                cards.keep(change.charge.card_id for change in changes if change.charge)
                _book(store, connection, changes, reason)
        sums.add(changes)
        if progress is not None:
            progress(last, entries)
    return sums.report()


def _book(
    store: Store,
    connection: duckdb.DuckDBPyConnection,
    changes: list[_Change],
    reason: str | None,
) -> None:
    ids = sorted({change.row["entry_id"] for change in changes})
    columns = ", ".join(ENTRY_NAMES)
    table = connection.sql(
        f"SELECT {columns} FROM entries WHERE entry_id IN (SELECT unnest(?::BIGINT[]))"  # noqa: S608 -- constants
        " AND entry_id BETWEEN ? AND ? ORDER BY entry_id",
        params=[ids, ids[0], ids[-1]],
    ).to_arrow_table()
    place = {entry_id: at for at, entry_id in enumerate(ids)}
    wanted = [
        Correction(
            place[one.row["entry_id"]], one.charge,
            one.reason if reason is None else f"{one.reason} ({reason})", one.part,
        )
        for one in changes
    ]  # fmt: skip
    corrected = corrections(table, wanted)
    store.append(corrected, len(corrected["kind"]))


def _changes(
    connection: duckdb.DuckDBPyConnection,
    first: int,
    last: int,
    since_ns: int | None,
    until_ns: int | None,
    prices: _Prices,
) -> Iterator[_Change]:
    since_us = _TIME_MIN_US if since_ns is None else -(-since_ns // 1000)
    until_us = _TIME_MAX_US if until_ns is None else -(-until_ns // 1000)
    table = connection.sql(
        _PAGE.format(columns=", ".join((*_NEEDED, *AMOUNTS, *COST_COLUMNS))),
        params=[first, last, since_us, until_us],
    ).to_arrow_table()
    several: dict[bytes, tuple[dict[str, Any], Charge]] = {}
    for row, amounts, components in zip(
        rows_of(table.select(_NEEDED)), stored_amounts(table), stored_components(table),
        strict=True,
    ):  # fmt: skip
        whole = charge_of(call_of(row), *prices)
        charge = charge_at(whole, row["part"])
        if charge is None or stored_charge(row, amounts, components) != said_of(charge):
            slim = {name: row[name] for name in _SAID_OF_CHANGES}
            is_read_anew = charge is None or kinds_of(row) != charge.kinds
            yield _Change(slim, amounts["cost_usd"], charge, None, is_read_anew)
        if whole.further and row["part"] == 0:
            several[row["call_id"]] = (row, whole)
    if several:
        yield from _new_parts(connection, several)


def _new_parts(
    connection: duckdb.DuckDBPyConnection, several: dict[bytes, tuple[dict[str, Any], Charge]]
) -> Iterator[_Change]:
    """Yield the parts of calls that have no entry yet: a later version reads them."""
    found = connection.execute(
        "SELECT call_id, part FROM entries WHERE part > 0 AND call_id IN"
        " (SELECT unnest(?::UUID[])) GROUP BY call_id, part"
        " HAVING count(*) FILTER (kind = 'charge') > count(*) FILTER (kind = 'reversal')",
        [[UUID(bytes=one) for one in several]],
    ).fetchall()
    booked = {(call_id.bytes, part) for call_id, part in found}
    for call_id, (row, whole) in several.items():
        for at, part in enumerate(whole.further, 1):
            if (call_id, at) not in booked:
                yield _Change(row, None, part.charge, (at, part))


def stored_amounts(table: pa.Table) -> Iterator[dict[str, int | None]]:
    """Yield the amounts of each row that are no components, in pico."""
    for values in zip(*(pico_list(table.column(name)) for name in AMOUNTS), strict=True):
        yield dict(zip(AMOUNTS, values, strict=True))


def stored_components(table: pa.Table) -> Iterator[tuple[int | None, ...]]:
    """Yield the cost components of each row, in pico, in the order of the kinds."""
    return zip(*(pico_list(table.column(name)) for name in COST_COLUMNS), strict=True)


def _pages(last_entry_id: int) -> Iterator[tuple[int, int]]:
    for first in range(1, last_entry_id + 1, PAGE_ENTRIES):
        yield first, min(first + PAGE_ENTRIES - 1, last_entry_id)


def _last_entry_id(connection: duckdb.DuckDBPyConnection) -> int:
    ((last,),) = connection.execute("SELECT max(last_entry_id) FROM batches").fetchall()
    return int(last or 0)


class _Sums:
    """Changes added up by tenant, provider and model."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str | None, str, str | None], list[int]] = {}
        self._cards: dict[tuple[str | None, str, str | None], tuple[set[str], set[str]]] = {}
        self._months: dict[str, list[int]] = {}

    def add(self, changes: Iterable[_Change]) -> None:
        for row, old_cost, charge, part, _ in changes:
            model = row["model_actual"] or row["model_requested"]
            if part is not None:
                model = part[1].model or model
            key = (row["tenant_id"], row["provider"], model)
            sums = self._sums.setdefault(key, [0, 0, 0, 0, 0])
            cards = self._cards.setdefault(key, (set(), set()))
            calls = 0 if part is not None else row["calls"]
            sums[0] += calls
            sums[1] += old_cost or 0
            sums[2] += (charge.cost or 0) if charge else 0
            sums[3] += calls if old_cost is None else 0
            month = self._months.setdefault(_month_of(row["called_at"] // _DAY_US), [0, 0, 0])
            month[0] += calls
            month[1] += old_cost or 0
            month[2] += (charge.cost or 0) if charge else 0
            sums[4] += calls if charge is not None and charge.cost is None else 0
            if row["price_card_id"] is not None and part is None:
                cards[0].add(row["price_card_id"])
            if charge is not None and charge.card_id is not None:
                cards[1].add(charge.card_id)

    def report(self) -> RerateReport:
        rows = []
        for key in sorted(self._sums, key=lambda key: [one or "" for one in key]):
            old_ids, new_ids = (tuple(sorted(ids)) for ids in self._cards[key])
            calls, old_cost, new_cost, old_unpriced, new_unpriced = self._sums[key]
            rows.append(
                RerateRow(*key, calls, old_cost, new_cost, old_unpriced, new_unpriced,
                          old_ids, new_ids)
            )  # fmt: skip
        months = tuple(RerateMonth(one, *self._months[one]) for one in sorted(self._months))
        return RerateReport(tuple(rows), months)
