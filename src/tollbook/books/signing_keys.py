"""Keys that this installation signs with: made once, kept in the books."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from tollbook import clock
from tollbook.books.tables_people import signing_keys

if TYPE_CHECKING:
    from tollbook.books.store import Books

_KEY_BYTES: Final = 32


def signing_key(books: Books, name: str) -> bytes:
    """Return the key of a name, 256 random bits; the first call makes it.

    Args:
        books: where it is kept.
        name: what is signed with it, such as ``csrf``.

    Raises:
        BooksError: the books cannot be read or written.
    """
    query = sa.select(signing_keys.c.secret).where(signing_keys.c.name == name)
    with books.read() as connection:
        found = connection.execute(query).scalar()
    if found is not None:
        return bytes(found)
    with books.write() as connection:
        found = connection.execute(query).scalar()  # another process may have been first
        if found is not None:
            return bytes(found)
        made = secrets.token_bytes(_KEY_BYTES)
        row = {"name": name, "secret": made, "created_at_ns": clock.unix_ns()}
        connection.execute(signing_keys.insert().values(row))
    return made
