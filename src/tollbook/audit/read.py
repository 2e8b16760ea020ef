"""What inputs hand over: spans with the place they were read at, and what could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.capture.otlp.spans import Span


class Where(NamedTuple):
    """A place in an input, for people to find it again."""

    source: str
    """The file as it was named (``-`` is stdin, ``archive.zip:member``, ``otlp://127.0.0.1:4318``)."""
    line: int | None = None
    """Counted from 1; None where the format has no lines."""
    offset: int | None = None
    """In bytes of the decompressed input, counted from 0."""


class Batch(NamedTuple):
    """Spans that were read together, a few thousand at most."""

    spans: Sequence[Span]
    where: Where
    """Of the record that holds all of them (a line, a message)."""
    has_traces: bool = True
    """False for logs of single calls: what their trace looked like is not known."""


class Trouble(Struct, frozen=True):
    """Something that could not be read; the rest was."""

    where: Where
    problem: str
    """Words without the data itself."""
    records: int | None = None
    """How many records are lost by it, None where that cannot be told."""


class InputRead(Struct, kw_only=True):
    """What was read of one input: the report says so."""

    source: str
    format: str = ""
    """``otlp-json``, ``otlp-jsonl``, ``otlp-protobuf``, ``jaeger``, ``zipkin``, ``tempo``, ..."""
    compression: str = ""
    size_bytes: int | None = None
    read_bytes: int = 0
    records: int = 0
    spans: int = 0
    content_dropped: int = 0
    """Attributes with what was said to a model or by it: dropped on reading."""
    troubles: int = 0
    usage_points: int = 0
    """Points of metrics that tell how much was used; there are no spans in them."""
    notes: list[str] = []
    """How it was understood, in words: which column of a log was taken for what."""


class Input(Protocol):
    """One source, read once."""

    read: InputRead

    def __iter__(self) -> Iterator[Batch | Trouble]:
        """Yield what it holds; never raises on what the source holds."""
