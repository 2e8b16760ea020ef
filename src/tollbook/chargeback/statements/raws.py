"""What was received, byte for byte, compressed and in parts."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from tollbook.books.tables_statements import statement_raws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.books.store import Books

_READ_BYTES: Final = 1024 * 1024
_PART_BYTES: Final = 4 * 1024 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS


def sha256_of(raw: bytes | Path) -> tuple[str, int]:
    """Return the digest in hex and the size in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    for data in _pieces(raw):
        digest.update(data)
        size += len(data)
    return digest.hexdigest(), size


def keep_raw(books: Books, raw_sha256: str, raw: bytes | Path) -> None:
    """Keep bytes under their digest; bytes that are there are left as they are.

    The last part is written last and empty: without it they are not whole, and are written on.

    Raises:
        BooksError: the books cannot be written.
        OSError: the file cannot be read.
    """
    with books.read() as connection:
        last = connection.execute(
            sa.select(statement_raws.c.part, sa.func.length(statement_raws.c.data))
            .where(statement_raws.c.raw_sha256 == raw_sha256)
            .order_by(statement_raws.c.part.desc())
            .limit(1)
        ).first()
    if last is not None and last[1] == 0:
        return
    # The same bytes compress to the same parts, so those that an interrupted keeping left stand.
    for part, data in enumerate(_compressed(raw)):
        with books.write() as connection:
            connection.execute(
                sa.insert(statement_raws).prefix_with("OR IGNORE").values(
                    raw_sha256=raw_sha256, part=part, data=data
                )
            )  # fmt: skip


def raw_of(books: Books, raw_sha256: str) -> Iterator[bytes]:
    """Yield what was received, piece by piece.

    Raises:
        BooksError: the books cannot be read.
    """
    inflate = zlib.decompressobj(_GZIP)
    part = 0
    while True:
        with books.read() as connection:
            data = connection.execute(
                sa.select(statement_raws.c.data).where(
                    statement_raws.c.raw_sha256 == raw_sha256, statement_raws.c.part == part
                )
            ).scalar()
        if not data:
            return
        while data:
            yield inflate.decompress(data, _PART_BYTES)
            data = inflate.unconsumed_tail
        part += 1


def _compressed(raw: bytes | Path) -> Iterator[bytes]:
    deflate = zlib.compressobj(level=6, wbits=_GZIP)
    waiting = bytearray()
    for data in _pieces(raw):
        waiting += deflate.compress(data)
        while len(waiting) >= _PART_BYTES:
            yield bytes(waiting[:_PART_BYTES])
            del waiting[:_PART_BYTES]
    waiting += deflate.flush()
    if waiting:
        yield bytes(waiting)
    yield b""


def _pieces(raw: bytes | Path) -> Iterator[bytes]:
    if isinstance(raw, bytes):
        for at in range(0, len(raw), _READ_BYTES):
            yield raw[at : at + _READ_BYTES]
        return
    with raw.open("rb") as file:
        while data := file.read(_READ_BYTES):
            yield data
