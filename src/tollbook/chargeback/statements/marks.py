"""What people say of a statement after it was kept: that it is final, or was entered by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from tollbook import clock
from tollbook.books.events import add_event
from tollbook.books.tables_statements import statement_marks
from tollbook.chargeback.statements.errors import StatementError

if TYPE_CHECKING:
    from tollbook.books.store import Books

FINAL: Final = "final"
WITHDRAWN: Final = "withdrawn"
MARKS: Final = (FINAL, WITHDRAWN)


class Mark(NamedTuple):
    """One thing that was said."""

    mark: str
    at_ns: int
    author: str
    reason: str


def mark_statement(books: Books, statement_id: str, mark: str, *, author: str, reason: str) -> None:
    """Say that a statement is ``final``, or ``withdrawn``; saying so again changes nothing.

    Args:
        books: where it is kept.
        statement_id: whole.
        mark: one of :data:`MARKS`.
        author: who says so.
        reason: why; not empty.

    Raises:
        StatementError: no reason is given, or there is no such mark.
        BooksError: the books cannot be written.
    """
    if mark not in MARKS:
        raise StatementError(statement_id, f"{mark[:40]!r} is none of {', '.join(MARKS)}")
    if not reason.strip():
        raise StatementError(statement_id, "expected a reason; give one with --reason")
    with books.write() as connection:
        said = connection.execute(
            sa.select(statement_marks.c.mark_id).where(
                statement_marks.c.statement_id == statement_id, statement_marks.c.mark == mark
            )
        ).first()
        if said is not None:
            return
        connection.execute(
            statement_marks.insert().values(
                statement_id=statement_id, mark=mark, at_ns=clock.unix_ns(), author=author,
                reason=reason.strip(),
            )
        )  # fmt: skip
        add_event(
            connection, actor=author, action=f"statement.{mark}",
            detail={"statement": statement_id, "reason": reason.strip()},
        )  # fmt: skip


def marks_of(books: Books, statement_id: str) -> list[Mark]:
    """Return what was said of a statement since it was kept, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = (
        sa.select(statement_marks)
        .where(statement_marks.c.statement_id == statement_id)
        .order_by(statement_marks.c.mark_id)
    )
    with books.read() as connection:
        return [
            Mark(row.mark, row.at_ns, row.author, row.reason) for row in connection.execute(query)
        ]
