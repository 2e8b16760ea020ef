"""How far each feed has been pulled, so that the next pull goes on there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from tollbook import clock
from tollbook.books.tables_statements import statement_watermarks

if TYPE_CHECKING:
    from tollbook.books.store import Books


class Watermark(NamedTuple):
    """Of one feed of one provider and account."""

    source: str
    scope: str | None
    until_ns: int
    """Pulled whole up to here."""
    at_ns: int
    """When it was last pulled."""


def watermarks(
    books: Books, provider: str, account: str | None
) -> dict[tuple[str, str | None], Watermark]:
    """Return the watermarks of a provider's account by source and scope.

    Raises:
        BooksError: the books cannot be read.
    """
    row = statement_watermarks.c
    query = (
        sa.select(
            row.source, row.scope, sa.func.max(row.until_ns).label("until_ns"),
            sa.func.max(row.at_ns).label("at_ns"),
        )
        .where(row.provider == provider, row.account.is_not_distinct_from(account))
        .group_by(row.source, row.scope)
    )  # fmt: skip
    with books.read() as connection:
        return {
            (one.source, one.scope): Watermark(one.source, one.scope, one.until_ns, one.at_ns)
            for one in connection.execute(query)
        }


def set_watermark(
    books: Books, provider: str, account: str | None, source: str, scope: str | None, until_ns: int
) -> None:
    """Note that a feed was pulled up to a moment.

    Raises:
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        connection.execute(
            statement_watermarks.insert().values(
                provider=provider, account=account, source=source, scope=scope, until_ns=until_ns,
                at_ns=clock.unix_ns(),
            )
        )  # fmt: skip
