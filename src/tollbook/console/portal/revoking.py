"""Taking tokens back before they expire, and the list of those that were given out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import sqlalchemy as sa

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.books.tables_portal import portal_revocations, portal_tokens

if TYPE_CHECKING:
    from tollbook.books.store import Books

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Kind = Literal["token", "tenant", "key"]


def revoke(books: Books, kind: Kind, name: str, *, reason: str, author: str | None) -> int:
    """Take back a token, all of a tenant's until now, or all that a key has signed.

    Returns:
        The moment from which on they open nothing (epoch, UTC).

    Raises:
        BooksError: the books cannot be written.
    """
    at_ns = clock.unix_ns()
    with books.write() as connection:
        connection.execute(
            portal_revocations.insert().values(
                kind=kind, name=name, at_ns=at_ns, author=author or current_user(), reason=reason,
            )
        )  # fmt: skip
    return at_ns


def issued_tokens(
    books: Books, *, tenant: str | None = None, limit: int = 200
) -> list[dict[str, Any]]:
    """Return the newest tokens that have not expired, newest first, and whether they still open.

    Raises:
        BooksError: the books cannot be read.
    """
    columns = portal_tokens.c
    query = sa.select(portal_tokens).where(columns.expires_at_ns > clock.unix_ns())
    if tenant is not None:
        query = query.where(columns.tenant_id == tenant)
    with books.read() as connection:
        rows = connection.execute(query.order_by(columns.issued_at_ns.desc()).limit(limit)).all()
        revoked = connection.execute(sa.select(portal_revocations)).all()
    names = {(one.kind, one.name) for one in revoked}
    tenants: dict[str, int] = {}
    for one in revoked:
        if one.kind == "tenant":
            tenants[one.name] = max(one.at_ns, tenants.get(one.name, 0))
    return [
        {
            "jti": row.jti, "tenant": row.tenant_id, "kid": row.kid,
            "parts": msgspec.json.decode(row.parts, type=list[str]),
            "issued_at": moment(row.issued_at_ns),
            "expires_at": moment(row.expires_at_ns),
            "author": row.author,
            "state": "revoked"
            if {("token", row.jti), ("key", row.kid)} & names
            or tenants.get(row.tenant_id, -1) >= row.issued_at_ns
            else "valid",
        }
        for row in rows
    ]  # fmt: skip


def moment(at_ns: int) -> datetime:
    """Return a time of the books as one with a zone."""
    return _EPOCH + timedelta(microseconds=at_ns // 1_000)
