"""Files of a dataset: CSV and Parquet, written row by row, with rows, size and digest counted."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import pyarrow as pa
from pyarrow import parquet

from tollbook.books.exports import ExportFile
from tollbook.chargeback.focus.columns import NEWER, PRICED_IN_CURRENCY, Kind, columns_of, kind_of
from tollbook.chargeback.focus.layout import digest_of, time_text
from tollbook.chargeback.safe_cells import safe_text

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.chargeback.focus.columns import Cell, Dataset, Row
    from tollbook.chargeback.focus.layout import FileFormat, Version

PARQUET_ROWS: Final = 20_000
_json: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_ARROW: Final[dict[Kind, pa.DataType]] = {
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    # Costs are exact products: twelve digits of a price times six of a quantity.
    Kind.NUMBER: pa.decimal128(38, 18),
    Kind.TIME: pa.timestamp("s", tz="UTC"),
}


def number_text(value: Decimal) -> str:
    """Return a number as FOCUS has it: no sign for positives, no exponent, a point always.

    Validators that guess types from the first rows take ``12300`` for another type than ``0.5``.
    """
    text = f"{value:f}"
    if "." not in text:
        return f"{text}.0"
    text = text.rstrip("0")
    text = f"{text}0" if text.endswith(".") else text
    return "0.0" if text == "-0.0" else text


def json_text(value: dict[str, Any]) -> str:
    """Return an object as JSON with sorted keys; decimals are numbers, digit by digit."""
    return _json.encode(value).decode()


class DatasetWriter:
    """One file of one dataset; a context manager. ``file`` tells of it once it is closed."""

    def __init__(
        self, directory: Path, dataset: Dataset, version: Version, file_format: FileFormat
    ) -> None:
        self._path = directory / f"focus_{version}_{dataset.value}.{file_format}"
        self.dataset, self._columns = dataset, columns_of(dataset, version)
        self._kinds = [kind_of(name) for name in self._columns]
        self._sources = [_source(name) for name in self._columns]
        self._rows = 0
        self._csv: Any = None
        self._parquet: parquet.ParquetWriter | None = None
        self._waiting: list[list[Cell]] = []
        if file_format == "csv":
            self._file = self._path.open("w", newline="", encoding="utf-8")
            self._csv = csv.writer(self._file, lineterminator="\n")
            self._csv.writerow(self._columns)
        else:
            fields = [
                (name, _ARROW[kind])
                for name, kind in zip(self._columns, self._kinds, strict=True)
            ]  # fmt: skip
            self._schema = pa.schema(fields)
            self._parquet = parquet.ParquetWriter(self._path, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._parquet is not None:
            self._flush()
            self._parquet.close()
        else:
            self._file.close()

    def write(self, row: Row) -> None:
        """Append a row; columns that the file does not have are left out."""
        self._rows += 1
        cells = [row.get(name) for name in self._sources]
        if self._parquet is None:
            self._csv.writerow(
                [_csv_cell(cell, kind) for cell, kind in zip(cells, self._kinds, strict=True)]
            )
            return
        self._waiting.append(cells)
        if len(self._waiting) >= PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting or self._parquet is None:
            return
        arrays = [
            pa.array([_arrow_cell(cell) for cell in column], field.type)
            for column, field in zip(zip(*self._waiting, strict=True), self._schema, strict=True)
        ]  # fmt: skip
        self._parquet.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._waiting.clear()

    @property
    def file(self) -> ExportFile:
        """The file, once it is closed."""
        return ExportFile(
            name=self._path.name, dataset=self.dataset.value, rows=self._rows,
            size_bytes=self._path.stat().st_size, sha256=digest_of(self._path),
        )  # fmt: skip


def _source(column: str) -> str:
    """Return the cell that a column shows.

    A custom copy shows the column of a later version; all prices are in the billing currency.
    """
    for prefix in ("x_", "PricingCurrency"):
        name = column.removeprefix(prefix)
        if name != column and (name in NEWER or name in PRICED_IN_CURRENCY):
            return name
    return column


def _csv_cell(cell: Cell, kind: Kind) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return number_text(cell)
    if isinstance(cell, dict):
        return json_text(cell)
    if isinstance(cell, str):
        assert kind is Kind.TEXT, "text in a column of numbers"
        return safe_text(cell)
    return time_text(cell)


def _arrow_cell(cell: Cell) -> Any:
    return json_text(cell) if isinstance(cell, dict) else cell
