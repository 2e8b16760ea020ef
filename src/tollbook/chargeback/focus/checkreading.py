"""Read files of FOCUS, CSV or Parquet, as rows of text; say which dataset and version they are."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyarrow import parquet

from tollbook.chargeback.focus.checkcells import CELL_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIXES: Final = (".csv", ".parquet")
_BATCH_ROWS: Final = 10_000
_COLUMNS_MAX: Final = 1_000


class Table(NamedTuple):
    """One file: which dataset it is, its columns, and its rows once they are asked for."""

    path: Path
    dataset: str
    version: str
    columns: tuple[str, ...]

    def rows(self) -> Iterator[dict[str, str | None]]:
        """Yield the rows as text; null is None.

        Raises:
            OSError: the file cannot be read.
            ValueError: a row has more or fewer cells than the header.
        """
        return _csv_rows(self) if self.path.suffix == ".csv" else _parquet_rows(self)


def tables_in(directory: Path) -> list[Table]:
    """Return the files of FOCUS in a directory, those of other names left out."""
    return [
        open_table(path)
        for path in sorted(directory.iterdir())
        if path.suffix in _SUFFIXES and path.is_file()
    ]


def open_table(path: Path) -> Table:
    """Read the header of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither CSV nor Parquet, or no dataset of FOCUS.
    """
    if path.suffix not in _SUFFIXES:
        raise ValueError("expected a file that ends in .csv or .parquet")
    if path.suffix == ".csv":
        csv.field_size_limit(CELL_CHARS_MAX * 2)
        with path.open(newline="", encoding="utf-8-sig") as file:
            columns = tuple(next(csv.reader(file), ()))
    else:
        columns = tuple(parquet.read_schema(path).names)
    if len(columns) > _COLUMNS_MAX:
        raise ValueError(f"has over {_COLUMNS_MAX} columns")
    dataset = _dataset(set(columns))
    if dataset is None:
        raise ValueError("has the columns of no dataset of FOCUS")
    return Table(path, dataset, _version(dataset, set(columns)), columns)


def _dataset(columns: set[str]) -> str | None:
    if "InvoiceDetailCreated" in columns or "InvoiceIssueStatus" in columns:
        return "invoice_detail"
    if "BillingPeriodStatus" in columns:
        return "billing_period"
    return "cost_and_usage" if {"BilledCost", "ChargeCategory"} & columns else None


def _version(dataset: str, columns: set[str]) -> str:
    """Return the version: 1.2 asks for ProviderName, 1.4 has dropped it for others."""
    if dataset != "cost_and_usage":
        return "1.4"
    is_newer = bool({"ServiceProviderName", "HostProviderName", "InvoiceDetailId"} & columns)
    return "1.4" if is_newer else "1.2"


def _csv_rows(table: Table) -> Iterator[dict[str, str | None]]:
    with table.path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        next(reader, None)
        for at, cells in enumerate(reader, 1):
            if not cells:
                continue
            if len(cells) != len(table.columns):
                raise ValueError(f"row {at} has {len(cells)} cells, expected {len(table.columns)}")
            yield {name: cell or None for name, cell in zip(table.columns, cells, strict=True)}


def _parquet_rows(table: Table) -> Iterator[dict[str, str | None]]:
    with parquet.ParquetFile(table.path) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            columns = [column.to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                yield {name: _text(cell) for name, cell in zip(table.columns, cells, strict=True)}


def _text(cell: Any) -> str | None:
    if cell is None or cell == "":
        return None
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}" if cell.utcoffset() is not None else cell.isoformat()
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)
