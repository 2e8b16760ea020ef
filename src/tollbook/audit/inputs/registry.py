"""The formats that are read record by record: each is a module, and this is what it offers.

A module of ``MODULES`` has three names:

``NAME: str``
    Of the format, as ``--kind`` and the report have it.
``sniff(head: bytes, first: object | None) -> bool``
    Whether an input is of this format. ``head`` is how it begins (up to 64 KiB, decompressed) and
    ``first`` its first record, a dict, or None where there was none. It looks at content alone,
    raises nothing, and says no when in doubt: the modules are asked in the order of ``MODULES``.
``read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]``
    Turns records to spans. Troubles of the records are yielded on as they are; what is wrong with
    one record is a Trouble at ``about.where(record)``; nothing raises on what a record holds.

Records are the same whatever the file: elements of one JSON array, lines of JSON, objects one
after the other, elements of the list that an API's answer has under ``data`` or the like (the
members beside the list are :attr:`Record.beside`), rows of CSV or TSV (all values text), rows of
Parquet. Files larger than memory are streamed, so what is kept between records must be bounded.
What was said to a model or by it is never copied to a span.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from msgspec import Struct

from tollbook.audit.read import InputRead, Where

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.audit.read import Batch, Trouble

MODULES: Final[tuple[str, ...]] = tuple(
    f"tollbook.audit.inputs.{name}"
    for name in (
        "litellm", "langsmith", "langfuse", "phoenix", "honeycomb", "helicone", "openrouter",
        "datadog", "table",
    )
)  # fmt: skip
"""In the order in which they are asked; the generic table comes last."""


class Record(NamedTuple):
    """One JSON object or one row."""

    value: dict[str, Any]
    line: int | None
    """Where it begins, counted from 1; of Parquet the row."""
    offset: int | None = None
    """In bytes of the decompressed input."""
    key: str = ""
    """The member whose list it was in (``data``, ``spans``, ...); empty for lines and arrays."""
    beside: Mapping[str, Any] = {}
    """Short members of the object that holds that list, as far as they stand before it."""


class About(Struct, frozen=True, kw_only=True):
    """What a reader is told beside the records."""

    source: str
    read: InputRead
    """Counters to add to: ``content_dropped`` for what is left out while mapping."""
    mapping: Path | None = None
    """TOML that says which column is what, of the person who asked."""

    def where(self, record: Record) -> Where:
        """Return the place of a record."""
        return Where(self.source, record.line, record.offset)


class Format(Protocol):
    """What a module of ``MODULES`` is."""

    NAME: str

    def sniff(self, head: bytes, first: object | None) -> bool:
        """Whether an input is of this format."""

    def read(self, records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
        """Yield the spans of records."""


def formats() -> tuple[Format, ...]:
    """Return the formats, in the order in which they are asked."""
    return tuple([import_module(name) for name in MODULES])
