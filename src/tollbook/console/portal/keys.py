"""Keys that sign portals' tokens: kept in the books, rotated by adding one.

Nothing is ever changed: the newest key signs, the ones before it still open what they signed for
as long as a token may last, and a key that may have been seen is revoked by a line of its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from tollbook import clock, ids
from tollbook.books.events import current_user
from tollbook.books.tables_portal import portal_keys, portal_revocations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.store import Books

LIFETIME_MAX_S: Final = 86_400
"""Of a token; so a key before the newest is good for that long after the newest was made."""
_SECRET_BYTES: Final = 32
"""As long as the hash of HS256 (RFC 7518 section 3.2)."""
KEYS_MAX: Final = 64
"""The newest that are looked at."""


class SigningKey(NamedTuple):
    """A key; ``secret`` never leaves this package."""

    kid: str
    secret: bytes
    created_at_ns: int
    author: str
    is_signing: bool
    """The newest that is not revoked."""
    opens_until_ns: int | None
    """Until when what it signed is accepted; None: until further notice."""
    revoked_at_ns: int | None

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"

    def opens(self, at_ns: int) -> bool:
        """Whether a token that it signed is accepted at a moment."""
        is_over = self.opens_until_ns is not None and self.opens_until_ns <= at_ns
        return self.revoked_at_ns is None and not is_over


def signing_keys(books: Books) -> list[SigningKey]:
    """Return the newest keys, newest first.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        return read_keys(connection)


def read_keys(connection: sa.Connection) -> list[SigningKey]:
    """Return the newest keys inside a transaction of the caller's, newest first."""
    newest_first = (portal_keys.c.created_at_ns.desc(), sa.text("rowid DESC"))
    rows = connection.execute(sa.select(portal_keys).order_by(*newest_first).limit(KEYS_MAX)).all()
    revoked: dict[str, int] = {
        row.name: row.at_ns
        for row in connection.execute(
            sa.select(portal_revocations).where(portal_revocations.c.kind == "key")
        )
    }
    found: list[SigningKey] = []
    following_ns: int | None = None
    for row in rows:
        until_ns = None
        if following_ns is not None:
            until_ns = following_ns + LIFETIME_MAX_S * clock.NS_PER_S
        is_signing = row.kid not in revoked and not any(one.is_signing for one in found)
        found.append(
            SigningKey(row.kid, row.secret, row.created_at_ns, row.author, is_signing, until_ns,
                       revoked.get(row.kid))
        )  # fmt: skip
        following_ns = row.created_at_ns
    return found


def add_key(books: Books, *, author: str | None) -> str:
    """Make a key that signs from now on, and return its id.

    Raises:
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        return write_key(connection, author)


def write_key(connection: sa.Connection, author: str | None) -> str:
    """Make a key inside a transaction of the caller's, and return its id."""
    kid = ids.to_text(ids.new_id())
    connection.execute(
        portal_keys.insert().values(
            kid=kid, secret=os.urandom(_SECRET_BYTES), created_at_ns=clock.unix_ns(),
            author=author or current_user(),
        )
    )  # fmt: skip
    return kid


def signing_key(connection: sa.Connection, author: str | None) -> SigningKey:
    """Return the key that signs, inside a transaction that writes; the first use makes one."""
    found = _signing(read_keys(connection))
    if found is None:
        write_key(connection, author)
        found = _signing(read_keys(connection))
        assert found is not None, "it was just made"
    return found


def _signing(keys: Sequence[SigningKey]) -> SigningKey | None:
    return next((one for one in keys if one.is_signing), None)
