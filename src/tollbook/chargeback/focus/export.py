"""Make an export: stream the rows of a scope into files, hold their sum against the report's.

Files are written beside their place and moved there whole, then noted in the books, so what is
listed is complete. Entries that are booked meanwhile are not in it: the last entry is fixed first.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tollbook import clock, ids
from tollbook.books.events import current_user
from tollbook.books.exports import ExportRecord, record_export
from tollbook.chargeback.focus.adjustments import adjustment_rows
from tollbook.chargeback.focus.charged import charged_rows
from tollbook.chargeback.focus.columns import Dataset, datasets_of
from tollbook.chargeback.focus.groups import (
    adjustment_groups,
    billable_groups,
    charge_groups,
    of_segment,
    price_edges,
)
from tollbook.chargeback.focus.invoices import Invoices
from tollbook.chargeback.focus.layout import KIND, MANIFEST, directory_of
from tollbook.chargeback.focus.manifest import manifest_of
from tollbook.chargeback.focus.parties import Parties
from tollbook.chargeback.focus.periodrows import SeenPeriods
from tollbook.chargeback.focus.scope import batches
from tollbook.chargeback.focus.splits import Splits
from tollbook.chargeback.focus.unitprices import EXACT, UnitPrices
from tollbook.chargeback.focus.usage import usage_rows
from tollbook.chargeback.focus.writers import DatasetWriter
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.layout import FileFormat, Perspective, Version
    from tollbook.chargeback.focus.scope import Scope, Segment
    from tollbook.desk import Desk


class FootingError(AssertionError):
    """The rows do not add up to the report: a defect of Tollbook, never left as a file."""


class NothingToExportError(TollbookError):
    """A scope without a row: FOCUS has no empty dataset."""

    def __init__(self, what: str) -> None:
        super().__init__(f"nothing to export: the ledger has no entry of {what}")


class Wanted(NamedTuple):
    """What is to be written."""

    scope: Scope
    version: Version
    file_format: FileFormat
    perspective: Perspective
    what: str
    """For people: the period, or the range."""


class Totals(Struct):
    """Sums over the rows that were written."""

    rows: int = 0
    billed_cost: Decimal = Decimal(0)
    effective_cost: Decimal = Decimal(0)
    request_count: Decimal = Decimal(0)
    unknown_cost_request_count: Decimal = Decimal(0)
    price_cards: set[str] = msgspec.field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count a row."""
        self.rows += 1
        self.billed_cost = _plus(self.billed_cost, row["BilledCost"])
        self.effective_cost = _plus(self.effective_cost, row["EffectiveCost"])
        self.request_count = _plus(self.request_count, row["x_RequestCount"])
        self.unknown_cost_request_count = _plus(
            self.unknown_cost_request_count, row["x_UnknownCostRequestCount"]
        )
        card = row.get("x_PriceCardIds")
        if isinstance(card, str):
            self.price_cards.add(card)


def _plus(total: Decimal, more: object) -> Decimal:
    assert isinstance(more, Decimal)
    return EXACT.add(total, more)


def make_export(desk: Desk, wanted: Wanted) -> ExportRecord:
    """Write the files of an export and note it in the books.

    Raises:
        NothingToExportError: there is no row.
        FootingError: the rows do not add up to the report.
        BooksError: the books cannot be used.
    """
    wanted = wanted._replace(scope=_fixed(desk, wanted.scope))
    export_id = ids.to_text(ids.new_id())
    final = directory_of(desk.data_dir, export_id)
    draft = final.with_name(f".{export_id}")
    draft.mkdir(parents=True, mode=0o700)
    try:
        manifest = _write(desk, wanted, export_id, draft)
        (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        draft.rename(final)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    record = ExportRecord(
        export_id=export_id, kind=KIND, billing_period=wanted.scope.query.billing_period,
        view=wanted.scope.view, created_at_ns=clock.unix_ns(),
        author=desk.author or current_user(), manifest=manifest,
    )  # fmt: skip
    record_export(desk.books, record)
    return record


def _fixed(desk: Desk, scope: Scope) -> Scope:
    """Return a scope without entries that are booked from now on."""
    ((last,),) = desk.reader.fetch("SELECT coalesce(max(entry_id), 0) FROM entries")

    def bounded(query: Any) -> Any:
        window = query.entry_window
        if window is None or window.upto_entry is not None:
            return query
        return replace(query, entry_window=replace(window, upto_entry=int(last)))

    parts = tuple((period, bounded(query)) for period, query in scope.parts)
    return scope._replace(query=bounded(scope.query), parts=parts)


def _write(desk: Desk, wanted: Wanted, export_id: str, directory: Path) -> dict[str, Any]:
    scope = wanted.scope
    periods = tuple(period for period, _ in scope.parts)
    is_cost = wanted.perspective == "cost"
    invoices = Invoices(desk.books, periods if is_cost else ())
    parties = Parties(desk.config, invoices.accounts)
    seen, totals = SeenPeriods(desk.books), Totals()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                DatasetWriter(directory, dataset, wanted.version, wanted.file_format)
            )
            for dataset in datasets_of(wanted.version)
        ]
        rows = _cost_rows(desk, scope, parties) if is_cost else (
            (segment, row)
            for batch in batches(desk, scope)
            for found in [billable_groups(desk, batch)]
            for segment in batch.segments
            for row in charged_rows(segment, of_segment(found, segment), parties)
        )  # fmt: skip
        for segment, row in rows:
            invoices.link(row, segment)
            seen.add(segment.period, str(row["InvoiceIssuerName"]))
            totals.add(row)
            writers[0].write(row)
            if not totals.rows % 10_000:
                desk.progress(totals.rows, None)
        if not totals.rows:
            raise NothingToExportError(wanted.what)
        further = {
            Dataset.INVOICE_DETAIL: invoices.rows(parties), Dataset.BILLING_PERIOD: seen.rows(),
        }  # fmt: skip
        for writer in writers[1:]:
            for row in further[writer.dataset]:
                writer.write(row)
    manifest = manifest_of(desk, wanted, export_id, totals, invoices)
    if Decimal(manifest["totals"]["report_cost"]) != totals.billed_cost:
        raise FootingError(f"rows {totals.billed_cost}, report {manifest['totals']['report_cost']}")
    files = [writer.file for writer in writers]
    for file in files:
        if not file.rows:  # such as Invoice Detail before any invoice came
            (directory / file.name).unlink()
    manifest["files"] = [msgspec.to_builtins(file) for file in files if file.rows]
    return manifest


def _cost_rows(desk: Desk, scope: Scope, parties: Parties) -> Iterator[tuple[Segment, Row]]:
    prices = UnitPrices(desk)
    edges = price_edges(desk, scope, prices)
    splits: Splits | None = None
    for batch in batches(desk, scope):
        charges = charge_groups(desk, batch, edges)
        adjustments = adjustment_groups(desk, batch)
        for segment in batch.segments:
            if splits is None or splits.period != segment.period.name:
                if splits is not None:
                    yield from splits.rows(parties)
                splits = Splits(desk, segment.period.name, is_whole=not scope.query.where)
            moved = [
                sums for sums in of_segment(adjustments, segment) if not splits.hold(segment, sums)
            ]
            for row in usage_rows(segment, of_segment(charges, segment), prices, parties):
                yield segment, row
            for row in adjustment_rows(segment, moved, parties):
                yield segment, row
    if splits is not None:
        yield from splits.rows(parties)
