"""Exports that were made: what was asked, what it rested on, and the digests of the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook.books.tables_exports import exports

if TYPE_CHECKING:
    from tollbook.books.store import Books


class ExportFile(Struct, frozen=True, kw_only=True):
    """One file of an export, in its directory."""

    name: str
    dataset: str
    rows: int
    size_bytes: int
    sha256: str


class ExportRecord(Struct, frozen=True, kw_only=True):
    """One export. ``manifest`` is what stands beside the files as ``manifest.json``."""

    export_id: str
    kind: str  # such as focus, journal, statements
    billing_period: str | None = None
    view: str
    """``billed``: of the billing period as billed; ``known``: as known when it was made."""
    created_at_ns: int
    author: str
    manifest: dict[str, Any]

    @property
    def files(self) -> list[ExportFile]:
        """The files, as the manifest lists them."""
        return msgspec.convert(self.manifest.get("files", []), list[ExportFile])


def record_export(books: Books, record: ExportRecord) -> None:
    """Keep that an export was made.

    Raises:
        BooksError: the books cannot be written.
    """
    row = msgspec.structs.asdict(record) | {
        "manifest": msgspec.json.encode(record.manifest).decode()
    }
    with books.write() as connection:
        connection.execute(exports.insert().values(row))


def list_exports(
    books: Books,
    *,
    kind: str | None = None,
    billing_period: str | None = None,
    limit: int = 1000,
) -> list[ExportRecord]:
    """Return exports, the newest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(exports).order_by(exports.c.created_at_ns.desc(), exports.c.export_id.desc())
    if kind is not None:
        query = query.where(exports.c.kind == kind)
    if billing_period is not None:
        query = query.where(exports.c.billing_period == billing_period)
    with books.read() as connection:
        return [_record(row) for row in connection.execute(query.limit(limit))]


def find_export(books: Books, export_id: str) -> ExportRecord | None:
    """Return an export by its id, None where there is none.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(exports).where(exports.c.export_id == export_id)
    with books.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _record(row)


def _record(row: Any) -> ExportRecord:
    fields = {name: getattr(row, name) for name in ExportRecord.__struct_fields__}
    return ExportRecord(**(fields | {"manifest": msgspec.json.decode(row.manifest)}))
