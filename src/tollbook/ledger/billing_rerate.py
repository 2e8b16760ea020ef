"""Billing past calls by the rules that hold for them now, and booking the difference.

A rule that is added, changed or ended later changes nothing that is booked. What it would change is
shown by tenant first; booking it takes each charge back and charges it again, so the reports stay
sums and the old amount stays readable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
from msgspec import Struct

from tollbook.ledger.billing import NEEDED
from tollbook.ledger.billing_lot import Lot
from tollbook.ledger.corrections import rebilled
from tollbook.ledger.exact import pico_list
from tollbook.ledger.schema import ENTRY_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

    from tollbook.ledger.billing import Biller
    from tollbook.ledger.billing_rules import RuleBook
    from tollbook.ledger.store import Store

    Progress = Callable[[int, int | None], None]

PAGE_ENTRIES: Final = 20_000
_BOOKED: Final = ("entry_id", "calls", "billable_usd", "billing_rule_id")
_COLUMNS: Final = tuple(dict.fromkeys((*_BOOKED, *NEEDED)))
_PAGE: Final = """
    SELECT {columns} FROM entries AS charged
    WHERE kind = 'charge' AND entry_id BETWEEN ? AND ?
      AND called_at >= make_timestamp(?) AND called_at < make_timestamp(?)
      AND NOT EXISTS (SELECT 1 FROM entries AS taken
                      WHERE taken.kind = 'reversal' AND taken.replaces = charged.entry_id)
    ORDER BY entry_id"""


class RebillRow(Struct, frozen=True):
    """Calls of one tenant whose billable amount would change. Amounts are in pico."""

    tenant_id: str | None
    rule: str | None
    """The rule that bills them now; None: none does."""
    calls: int
    before: int
    after: int
    unknown_before: int
    """Calls without an amount."""
    unknown_after: int

    @property
    def difference(self) -> int:
        """What the sum of what the tenant is billed would grow by."""
        return self.after - self.before


class _Page(NamedTuple):
    """Charges whose amount changes."""

    entry_ids: list[int]
    tenants: list[str | None]
    rules: list[str | None]
    calls: list[int]
    before: list[int | None]
    after: list[int | None]


def preview_billing(
    connection: duckdb.DuckDBPyConnection,
    biller: Biller,
    since_us: int,
    until_us: int,
    *,
    rules: RuleBook | None = None,
    progress: Progress | None = None,
) -> list[RebillRow]:
    """Return what :func:`apply_billing` would change, by tenant and rule; nothing is written.

    Args:
        connection: for reading.
        biller: of the open ledger.
        since_us: first start of the calls to look at, microseconds since the epoch.
        until_us: first start that is no longer looked at.
        rules: by which to bill; None for those of the books.
        progress: called with the entries looked at and the entries there are.
    """
    ((last,),) = connection.execute("SELECT max(last_entry_id) FROM batches").fetchall()
    sums = _Sums()
    for first, upto in _pages(int(last or 0)):
        sums.add(_changes(connection, biller, (first, upto), (since_us, until_us), rules))
        if progress is not None:
            progress(upto, int(last or 0))
    return sums.rows()


def apply_billing(
    store: Store, since_us: int, until_us: int, reason: str, *, progress: Progress | None = None
) -> list[RebillRow]:
    """Book the difference of every charge that the rules of the books bill otherwise now.

    Each page is one transaction: an interrupted run is completed by the next, and a second run
    finds nothing.

    Args:
        store: the open ledger, which has a biller.
        since_us: see :func:`preview_billing`.
        until_us: see :func:`preview_billing`.
        reason: stands in every entry.
        progress: see :func:`preview_billing`.
    """
    assert store.biller is not None, "the ledger was opened without its books"
    sums = _Sums()
    last = store.last_entry_id
    for first, upto in _pages(last):
        with store.transaction() as connection:
            page = _changes(connection, store.biller, (first, upto), (since_us, until_us), None)
            if page.entry_ids:
                columns = rebilled(_whole(connection, page.entry_ids), f"billing: {reason}")
                store.append(columns, 2 * len(page.entry_ids))
        sums.add(page)
        if progress is not None:
            progress(upto, last)
    return sums.rows()


def _whole(connection: duckdb.DuckDBPyConnection, entry_ids: list[int]) -> pa.Table:
    table: pa.Table = connection.sql(
        f"SELECT {', '.join(ENTRY_NAMES)} FROM entries"  # noqa: S608 -- constants
        " WHERE entry_id IN (SELECT unnest(?::BIGINT[])) AND entry_id BETWEEN ? AND ?"
        " ORDER BY entry_id",
        params=[entry_ids, entry_ids[0], entry_ids[-1]],
    ).to_arrow_table()
    return table


def _changes(
    connection: duckdb.DuckDBPyConnection, biller: Biller, entries: tuple[int, int],
    times: tuple[int, int], rules: RuleBook | None,
) -> _Page:  # fmt: skip
    table: pa.Table = connection.sql(
        _PAGE.format(columns=", ".join(_COLUMNS)), params=[*entries, *times]
    ).to_arrow_table()
    if not table.num_rows:
        return _Page([], [], [], [], [], [])
    lot = Lot({name: _plain(table.column(name)) for name in NEEDED}, table.num_rows)
    stamps = biller.bill(lot, rules, is_preview=True)
    before = pico_list(table.column("billable_usd"))
    after = pico_list(stamps["billable_usd"])
    changed = [at for at, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    some: Any = table.take(pa.array(changed, pa.int64()))
    names = stamps["billing_rule_id"].to_pylist()
    return _Page(
        some.column("entry_id").to_pylist(), some.column("tenant_id").to_pylist(),
        [names[at] for at in changed], some.column("calls").to_pylist(),
        [before[at] for at in changed], [after[at] for at in changed],
    )  # fmt: skip


def _plain(column: Any) -> Any:
    """Return a stored column as one array; DuckDB hands out booleans as an extension type."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array


def _pages(last: int) -> Iterator[tuple[int, int]]:
    for first in range(1, last + 1, PAGE_ENTRIES):
        yield first, min(first + PAGE_ENTRIES - 1, last)


class _Sums:
    """Changes added up by tenant and rule."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str | None, str | None], list[int]] = {}

    def add(self, page: _Page) -> None:
        for _, tenant, rule, calls, before, after in zip(*page, strict=True):
            sums = self._sums.setdefault((tenant, rule), [0] * 5)
            sums[0] += calls
            sums[1] += before or 0
            sums[2] += after or 0
            sums[3] += calls * (before is None)
            sums[4] += calls * (after is None)

    def rows(self) -> list[RebillRow]:
        order = sorted(self._sums, key=lambda key: [one or "" for one in key])
        return [RebillRow(*key, *self._sums[key]) for key in order]
