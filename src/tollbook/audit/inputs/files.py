"""One file, or whatever reads like one, as an input of the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tollbook.audit.inputs.detect import shape_of, words_for
from tollbook.audit.inputs.errors import MissingExtraError, WrongKindError
from tollbook.audit.inputs.json_items import JsonItems
from tollbook.audit.inputs.messages import Message, bare, framed
from tollbook.audit.inputs.registry import About, Record, formats
from tollbook.audit.inputs.rows import csv_records, delimiter_of, parquet_records
from tollbook.audit.inputs.stream import Stream
from tollbook.audit.read import Batch, InputRead, Trouble, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tollbook.audit.inputs.json_items import Item
    from tollbook.audit.inputs.limits import Limits
    from tollbook.audit.inputs.registry import Format

_ASKED_MAX: Final = 50
"""Records of which no format was known are looked at; what follows them is of none either."""
_FAMILIES: Final = dict.fromkeys(
    ("otlp-json", "otlp-jsonl", "otlp-logs", "otlp-metrics", "tempo"), "otlp-json"
)
"""One format to who asks: signals are mixed in a file, and Tempo answers OTLP."""


class FileInput:
    """Reads a file; see :class:`tollbook.audit.read.Input`.

    Args:
        source: its name in the report.
        opened: opens it.
        limits: how much is held at once.
        size_bytes: as it lies on the disk, where that is known.
        kind: name of a format of the registry that it is to be taken for, or of one that is known
            by content: then it may hold no other.
        mapping: of the columns of a table.
    """

    def __init__(
        self,
        source: str,
        opened: Callable[[], AbstractContextManager[BinaryIO]],
        limits: Limits,
        *,
        size_bytes: int | None = None,
        kind: str | None = None,
        mapping: Path | None = None,
    ) -> None:
        self.read = InputRead(source=source, size_bytes=size_bytes)
        self._opened = opened
        self._limits = limits
        self._about = About(source=source, read=self.read, mapping=mapping)
        self._forced = next((one for one in formats() if kind == one.NAME), None)
        self._expected = None if self._forced is not None else kind
        self._head = b""
        self._names: dict[str, None] = {}

    def __iter__(self) -> Iterator[Batch | Trouble]:
        """Yield what it holds; never raises on that.

        Raises:
            WrongKindError: it is of another format than it was said to be.
        """
        read = self.read
        try:
            with self._opened() as raw:
                stream = Stream(raw, self._limits.expanded_max_bytes)
                read.compression = stream.compression
                for part in self._parts(stream, raw):
                    read.read_bytes = stream.raw_bytes
                    if isinstance(part, Trouble):
                        read.troubles += 1
                    else:
                        read.spans += len(part.spans)
                    yield part
                read.read_bytes = stream.raw_bytes
                if stream.problem:
                    read.troubles += 1
                    yield self._trouble(stream.problem)
                elif not (read.records or read.spans or read.troubles):
                    read.troubles += 1
                    yield self._trouble("holds no records")
        except MissingExtraError as error:
            read.troubles += 1
            yield self._trouble(error.message)
        except (OSError, RuntimeError) as error:
            # A member of an archive that is encrypted, or packed in a way that is not known
            read.troubles += 1
            words = (getattr(error, "strerror", None) or str(error)).lower()
            yield self._trouble(f"cannot be opened: {words[:200]}")

    def _parts(self, stream: Stream, raw: BinaryIO) -> Iterator[Batch | Trouble]:
        head = self._head = stream.head
        read = self.read
        shape = shape_of(head, None if stream.compression else read.size_bytes)
        if shape == "json":
            reader = JsonItems(read, self._limits, self._is_record, is_native=self._forced is None)
            for part in self._runs(reader.items(stream.read)):
                if self._expected is not None:
                    self._check_kind((*reader.formats, *self._names))
                yield part
            self._names = {**reader.formats, **self._names}
        elif shape.startswith("protobuf"):
            self._names["otlp-protobuf"] = None
            self._check_kind(self._names)
            yield from self._messages(stream, shape)
        elif shape == "parquet":
            yield from self._runs(self._parquet(stream, raw))
        elif shape == "csv":
            delimiter = delimiter_of(head) or ","
            yield from self._runs(csv_records(stream.read, read.source, delimiter))
        elif not stream.problem:
            yield self._trouble(words_for(head))
        read.format = " + ".join(self._names)

    def _messages(self, stream: Stream, shape: str) -> Iterator[Batch | Trouble]:
        read = self.read
        reader = framed if shape == "protobuf" else bare
        for one in reader(stream.read, self._limits):
            where = Where(read.source, None, one.offset)
            if not isinstance(one, Message):
                yield Trouble(where, one.words)
                continue
            read.records += 1
            read.usage_points += one.told.usage_points
            if one.told.spans:
                yield Batch(one.told.spans, where)
            if one.told.calls:
                yield Batch(one.told.calls, where, has_traces=False)
            if one.told.lost:
                words = "some of a message cannot be read as spans"
                yield Trouble(where, words, one.told.lost)

    def _parquet(self, stream: Stream, raw: BinaryIO) -> Iterator[Item]:
        if stream.compression or not raw.seekable():
            yield self._trouble("is a Parquet file that is packed or piped: name the plain file")
            return
        raw.seek(0)
        yield from parquet_records(raw, self.read.source)

    def _runs(self, items: Iterator[Item]) -> Iterator[Batch | Trouble]:
        """Yield spans as they are, and hand records that follow each other to their format."""
        unknown, first_unknown = 0, None
        waiting: list[Batch] = []
        for item in items:
            if not isinstance(item, Record):
                yield item
                continue
            known = self._format_of(item) if unknown < _ASKED_MAX else None
            if known is None:
                unknown += 1
                first_unknown = first_unknown or self._about.where(item)
                continue
            self._names[known.NAME] = None
            self._check_kind(self._names)
            run = _run(item, items, waiting)
            yield from known.read(self._counted(run), self._about)
            for _ in run:  # what a format leaves
                pass
            yield from waiting
            waiting.clear()
        if first_unknown is not None:
            yield Trouble(first_unknown, "is JSON or a row of no known format", unknown)

    def _counted(self, run: Iterator[Record | Trouble]) -> Iterator[Record | Trouble]:
        """Yield records, and count rows of tables, of which no piece was counted before."""
        for item in run:
            if isinstance(item, Record) and item.offset is None:
                self.read.records += 1
            yield item

    def _format_of(self, record: Record) -> Format | None:
        if self._forced is not None:
            return self._forced
        return next((one for one in formats() if one.sniff(self._head, record.value)), None)

    def _is_record(self, value: dict[str, Any]) -> bool:
        return any(one.sniff(b"", value) for one in formats())

    def _check_kind(self, found: Iterable[str]) -> None:
        expected = self._expected
        if expected is None:
            return
        for one in found:
            if _FAMILIES.get(one, one) != _FAMILIES.get(expected, expected):
                raise WrongKindError(self.read.source, expected, one)

    def _trouble(self, words: str) -> Trouble:
        return Trouble(Where(self.read.source), words)


def _run(first: Record, items: Iterator[Item], waiting: list[Batch]) -> Iterator[Record | Trouble]:
    """Yield records up to spans of another format, which then wait."""
    yield first
    for item in items:
        if isinstance(item, Batch):
            waiting.append(item)
            return
        yield item
