"""Rows out of files, one after the other: CSV, JSON, JSON lines, Parquet; compressed or not.

However large a file is, a few rows of it are in memory. A row that cannot be read is told and
passed over where the format lets one find the next; else the file ends there.
"""

from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from tollbook.capture.imports.errors import ImportFileError
from tollbook.capture.imports.reading_json import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROW_MAX_BYTES: Final = 16 * 1024 * 1024
"""Some logs hold whole prompts."""
_PARQUET_ROWS: Final = 2000
_HEAD_MAX_CHARS: Final = 1024 * 1024


class RawRow(NamedTuple):
    """A row, or why it cannot be read."""

    number: int  # counted from 1
    line: int  # where it begins; of Parquet the number
    values: dict[str, Any] | None
    problem: str = ""


class Progress:
    """How far a file was read, in its own bytes."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._tell: Callable[[], int] = lambda: 0

    @property
    def done_bytes(self) -> int:
        """So much of the file has been read."""
        return min(self._tell(), self.total_bytes)

    def follow(self, tell: Callable[[], int]) -> None:
        """Take the position from here on from a function."""
        self._tell = tell


def check_readable(path: Path) -> None:
    """Fail early on a file that cannot be read.

    Raises:
        ImportFileError: it does not exist or cannot be opened.
    """
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ImportFileError(path, (error.strerror or str(error)).lower()) from error


def read_rows(path: Path, progress: Progress) -> Iterator[RawRow]:
    """Yield the rows of a file, its format known by its name: .csv, .tsv, .parquet, else JSON.

    Raises:
        ImportFileError: the file cannot be read on.
    """
    suffixes = [one.lower() for one in path.suffixes]
    try:
        if suffixes[-1:] == [".parquet"]:
            yield from _read_parquet(path, progress)
            return
        with path.open("rb") as raw:
            progress.follow(raw.tell)
            stream: BinaryIO = raw
            if suffixes[-1:] == [".gz"]:
                stream = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]
                suffixes.pop()
            if suffixes[-1:] == [".csv"] or suffixes[-1:] == [".tsv"]:
                yield from _read_csv(path, stream, "\t" if suffixes[-1] == ".tsv" else None)
            else:
                for number, line, values, problem in read_json(path, stream, ROW_MAX_BYTES):
                    yield RawRow(number, line, values, problem)
    except (OSError, EOFError) as error:  # gzip tells of damage by both
        problem = getattr(error, "strerror", None) or str(error)
        raise ImportFileError(path, problem.lower()) from error


def _read_csv(path: Path, stream: BinaryIO, delimiter: str | None) -> Iterator[RawRow]:
    csv.field_size_limit(ROW_MAX_BYTES)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    number, line = 0, 1
    names: list[str] = []
    try:
        head = text.readline(_HEAD_MAX_CHARS)
        if not head.strip():
            return
        delimiter = delimiter or max(",;\t", key=head.count)
        names = next(csv.reader([head], delimiter=delimiter, strict=True))
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        line = 2
        for cells in reader:
            if cells:
                number += 1
                yield _csv_row(number, line, names, cells)
            line = reader.line_num + 2
    except csv.Error as error:
        raise ImportFileError(path, f"is no CSV from here on: {error}", line) from error
    except UnicodeDecodeError as error:
        raise ImportFileError(path, "is not UTF-8 text from here on", line) from error
    finally:
        text.detach()  # the file is its opener's to close


def _csv_row(number: int, line: int, names: list[str], cells: list[str]) -> RawRow:
    if len(cells) == len(names):
        return RawRow(number, line, dict(zip(names, cells, strict=True)))
    problem = f"has {len(cells)} cells, the line of names has {len(names)}"
    return RawRow(number, line, None, problem)


def _read_parquet(path: Path, progress: Progress) -> Iterator[RawRow]:
    # Only those who have such a file need the engine in memory.
    import pyarrow as pa  # noqa: PLC0415 -- see above
    import pyarrow.parquet as pq  # noqa: PLC0415 -- see above

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            total = max(1, file.metadata.num_rows)
            progress.follow(lambda: progress.total_bytes * number // total)
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(number, number, values)
    except (pa.ArrowException, ValueError) as error:
        problem = str(error).partition("\n")[0]
        raise ImportFileError(path, f"is no Parquet file that can be read: {problem}") from error
