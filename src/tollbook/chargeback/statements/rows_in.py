"""Rows out of a statement's file: JSON of any shape, JSON lines, CSV, Parquet; gzip or not.

Its form is known by its first bytes, not by its name: exports are saved under any name. However
large it is, a few rows of it are in memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from tollbook.capture.imports.errors import ImportFileError
from tollbook.capture.imports.reading_json import read_json
from tollbook.chargeback.statements.errors import StatementFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW_MAX_CHARS: Final = 32 * 1024 * 1024
"""A page of an API is one row here."""
_CELL_MAX_CHARS: Final = 1024 * 1024
_WHOLE_MAX_BYTES: Final = 8 * 1024 * 1024
_HEAD_BYTES: Final = 64 * 1024
_PARQUET_ROWS: Final = 2000
_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_PDF: Final = b"%PDF"
_decode = json.JSONDecoder(parse_float=Decimal).decode


class Row(NamedTuple):
    """A row by its names; None where it cannot be read, and why."""

    number: int  # counted from 1
    values: dict[str, Any] | None
    problem: str = ""


class FileForm(NamedTuple):
    """What the first bytes say."""

    form: str
    """``json``, ``csv``, ``parquet``, ``pdf``."""
    is_gzip: bool


def form_of(path: Path) -> FileForm:
    """Return the form of a file.

    Raises:
        StatementFileError: it cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        is_gzip = head.startswith(_GZIP)
        if is_gzip:
            with gzip.open(path) as file:
                head = file.read(_HEAD_BYTES)
    except (OSError, EOFError) as error:
        raise StatementFileError(str(path), _words(error)) from error
    if head.startswith(_PARQUET):
        return FileForm("parquet", is_gzip)
    if head.startswith(_PDF):
        return FileForm("pdf", is_gzip)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise StatementFileError(str(path), "is empty")
    return FileForm("json" if text[:1] in b"{[" else "csv", is_gzip)


def rows_in(path: Path) -> Iterator[Row]:
    """Yield the rows of a file.

    Raises:
        StatementFileError: it cannot be read on, from some line on.
    """
    form = form_of(path)
    try:
        if form.form == "parquet":
            yield from _parquet(path)
            return
        if form.form == "pdf":
            raise StatementFileError(str(path), "is a PDF; tollbook statements invoice takes it")
        with path.open("rb") as raw:
            stream: BinaryIO = raw
            if form.is_gzip:
                stream = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]
            yield from _csv(path, stream) if form.form == "csv" else _json(path, stream)
    except ImportFileError as error:
        raise StatementFileError(str(path), error.message.removeprefix(f"{path}: ")) from error
    except (OSError, EOFError) as error:
        raise StatementFileError(str(path), _words(error)) from error


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _json(path: Path, stream: BinaryIO) -> Iterator[Row]:
    whole = stream.read(_WHOLE_MAX_BYTES + 1)
    if len(whole) <= _WHOLE_MAX_BYTES:
        try:
            value = _decode(whole.decode("utf-8-sig").strip())
        except (ValueError, RecursionError):
            pass  # lines of JSON, or damaged: the reader below says where
        else:
            yield from _of_value(value)
            return
    stream.seek(0)
    first, newline, _ = whole.partition(b"\n")
    if newline and _is_whole(first):
        yield from _json_lines(path, stream)
        return
    for number, _, values, problem in read_json(path, stream, ROW_MAX_CHARS):
        yield Row(number, values, problem)


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(_decode(line.decode("utf-8-sig").strip()), dict)
    except (ValueError, RecursionError):
        return False


def _json_lines(path: Path, stream: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := stream.readline(ROW_MAX_CHARS + 1):
        number += 1
        if len(line) > ROW_MAX_CHARS:
            raise StatementFileError(
                str(path), f"line {number} is longer than {ROW_MAX_CHARS} bytes"
            )
        if not line.strip():
            continue
        try:
            value = _decode(line.decode("utf-8-sig").strip())
        except (ValueError, RecursionError) as error:
            yield Row(number, None, f"is not JSON: {str(error)[:80]}")
            continue
        for row in _of_value(value):
            yield row._replace(number=number)


def _of_value(value: Any) -> Iterator[Row]:
    """Yield rows of a document: of a list each, of a page those under ``data``, else itself."""
    rows = value if isinstance(value, list) else None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        rows = value["data"]
        if value.get("has_more") is not None:
            yield Row(0, {"has_more": value["has_more"], "next_page": value.get("next_page")})
    for number, one in enumerate([value] if rows is None else rows, 1):
        if rows is value and isinstance(one, dict) and isinstance(one.get("data"), list):
            yield from _of_value(one)  # an array of pages
        elif isinstance(one, dict):
            yield Row(number, one)
        else:
            yield Row(number, None, "is not an object")


def _csv(path: Path, stream: BinaryIO) -> Iterator[Row]:
    csv.field_size_limit(_CELL_MAX_CHARS)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    number = 0
    try:
        head = text.readline(_CELL_MAX_CHARS)
        delimiter = max(",;\t|", key=head.count)
        names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter))]
        for cells in csv.reader(text, delimiter=delimiter):
            if not cells:
                continue
            number += 1
            if len(cells) != len(names):
                problem = f"has {len(cells)} cells, the line of names has {len(names)}"
                yield Row(number, None, problem)
                continue
            yield Row(number, dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise StatementFileError(str(path), f"is no CSV after row {number}: {error}") from error
    except UnicodeDecodeError as error:
        raise StatementFileError(str(path), f"is not UTF-8 text after row {number}") from error
    finally:
        text.detach()  # the file is its opener's to close


def _parquet(path: Path) -> Iterator[Row]:
    # Only those who have such a file need the engine in memory.
    import pyarrow as pa  # noqa: PLC0415 -- see above
    import pyarrow.parquet as pq  # noqa: PLC0415 -- see above

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)
    except (pa.ArrowException, ValueError) as error:
        problem = str(error).partition("\n")[0]
        raise StatementFileError(str(path), f"is no Parquet that can be read: {problem}") from error
