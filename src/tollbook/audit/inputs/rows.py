"""Tables to records: CSV and TSV by their line of names, and Parquet."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tollbook.audit.inputs.errors import MissingExtraError
from tollbook.audit.inputs.registry import Record
from tollbook.audit.read import Trouble, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARQUET: Final = b"PAR1"
_CELL_MAX_CHARS: Final = 16 * 1024 * 1024
_ROWS: Final = 2000
_UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}".encode()
_NAMES_MIN: Final = 2
_is_name: Final = re.compile(r'[^\d{}"][^{}"]*').fullmatch
_DELIMITERS: Final = ",;\t|"


def delimiter_of(head: bytes) -> str | None:
    """Return what stands between the names of the first line, None where it is no line of names."""
    line = head.partition(b"\n")[0].rstrip(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    if not text.strip() or (not text.isprintable() and "\t" not in text):
        return None
    best = max(_DELIMITERS, key=text.count)
    try:
        names = next(csv.reader([text], delimiter=best, strict=True))
    except (csv.Error, StopIteration):
        return None
    is_named = len(names) >= _NAMES_MIN and all(
        0 < len(one.strip()) <= 128 and _is_name(one.strip()) for one in names  # noqa: PLR2004 -- chars
    )  # fmt: skip
    return best if is_named and len(set(names)) == len(names) else None


class _Raw(io.RawIOBase):
    """Bytes of a function as a file."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        super().__init__()
        self._read_on = read
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            # A zero byte is no text, and the csv module of some Pythons stops at one; the mark
            # stands for what is unreadable, so that a cell is not taken for another one.
            self._held = self._read_on().replace(b"\0", _UNREADABLE)
        part = self._held[: len(buffer)]
        self._held = self._held[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def csv_records(
    read: Callable[[], bytes], source: str, delimiter: str
) -> Iterator[Record | Trouble]:
    """Yield the rows of a text with a line of names."""
    csv.field_size_limit(_CELL_MAX_CHARS)
    text = io.TextIOWrapper(
        io.BufferedReader(_Raw(read)), encoding="utf-8", errors="replace", newline=""
    )
    reader = csv.reader(text, delimiter=delimiter)
    names: list[str] = []
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Trouble(Where(source, line), f"is no row of CSV: {error}", 1)
            line = reader.line_num + 1
            continue
        if cells is None:
            return
        if not names:
            names = [one.strip() for one in cells]
        elif len(cells) == len(names):
            yield Record(dict(zip(names, cells, strict=True)), line)
        elif cells:
            words = f"has {len(cells)} cells, the line of names has {len(names)}"
            yield Trouble(Where(source, line), words, 1)
        line = reader.line_num + 1


def parquet_records(file: BinaryIO, source: str) -> Iterator[Record | Trouble]:
    """Yield the rows of a Parquet file.

    Raises:
        MissingExtraError: what reads it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 -- of an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above
    except ImportError:
        raise MissingExtraError("Parquet") from None
    row = 0
    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_ROWS):
                for values in batch.to_pylist():
                    row += 1
                    yield Record(values, row)
    except (pa.ArrowException, OSError, ValueError) as error:
        problem = str(error).partition("\n")[0][:200]
        yield Trouble(Where(source, row + 1), f"is no Parquet file that can be read: {problem}")
