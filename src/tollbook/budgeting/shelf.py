"""Which budgets are in force: those of the settings, those of the books, and the top-ups.

A budget of the books is a document (``Subject.BUDGET``) whose body is the JSON of
:class:`tollbook.config.budgets.Budget`, or ``null`` from the moment on that it was removed. A stop
is such a budget too: one owner, limit 0, with an end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Document, Subject, documents_at, documents_mark
from tollbook.books.events import current_user
from tollbook.books.tables_budgets import budget_top_ups
from tollbook.budgets.rules import read_rules
from tollbook.config.budgets import Budget
from tollbook.config.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.store import Books

REMOVED: Final = "null"
"""Body of the version that takes a budget out of force."""
STOP_PREFIX: Final = "stop-"
"""Names of stops begin so; no other budget's does."""
SOURCE: Final = "books"


class TopUp(Struct, frozen=True, kw_only=True):
    """More for one owner of one budget until a moment."""

    top_up_id: int = 0
    budget: str
    owner: tuple[str, ...]
    """Values of the budget's ``each``, in its order; empty where it is one for all."""
    unit: str
    """``usd``, ``tokens`` or ``requests``, as the budget's."""
    amount: int
    """Pico for ``usd``, else pieces."""
    expires_at_ns: int
    reason: str
    author: str = ""
    created_at_ns: int = 0


class InForce(NamedTuple):
    """What holds at a moment."""

    budgets: tuple[Budget, ...]
    """Those of the settings first; each name is there once."""
    documents: dict[str, Document]
    """By name, of those that are of the books."""
    top_ups: tuple[TopUp, ...]
    """That have not expired."""
    problems: tuple[str, ...]
    """Documents that cannot be used, in words for the operator."""


def in_force(books: Books, settings: Sequence[Budget], at_ns: int) -> InForce:
    """Return the budgets and top-ups that hold at a moment (epoch, UTC).

    A document that cannot be used (written by a newer version, or its name has come to stand in the
    settings since) is left out and told.

    Raises:
        BooksError: the books cannot be read.
    """
    budgets, documents, problems = list(settings), {}, []
    taken = {one.name for one in settings}
    for name, document in sorted(documents_at(books, Subject.BUDGET, at_ns).items()):
        try:
            budget = budget_of(document)
            if budget is None:
                continue
            if name in taken:
                problems.append(f"{document.document_id}: {name!r} is in the settings too")
                continue
            read_rules([budget], SOURCE)
        except (msgspec.DecodeError, ConfigError) as error:
            problems.append(f"{document.document_id}: cannot be used: {error}")
            continue
        budgets.append(budget)
        documents[name] = document
    return InForce(tuple(budgets), documents, top_ups_at(books, at_ns), tuple(problems))


def budget_of(document: Document) -> Budget | None:
    """Return what a document says, None where it says that the budget is removed.

    Raises:
        msgspec.DecodeError: it is none of this version.
    """
    return msgspec.json.decode(document.body, type=Budget | None)


def body_of(budget: Budget) -> str:
    """Return a budget as its document has it."""
    return msgspec.json.encode(budget, order="deterministic").decode()


def changes_mark(books: Books) -> tuple[int, int]:
    """Return what changes with every document and every top-up: whether to look, cheaply.

    What begins or ends at a moment changes nothing here; look again now and then.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        top_ups = connection.scalar(sa.select(sa.func.max(budget_top_ups.c.top_up_id)))
    return documents_mark(books), int(top_ups or 0)


def top_ups_at(books: Books, at_ns: int) -> tuple[TopUp, ...]:
    """Return the top-ups that have not expired at a moment, oldest first."""
    table = budget_top_ups.c
    return _top_ups(
        books, sa.select(budget_top_ups).where(table.expires_at_ns > at_ns,
                                               table.created_at_ns <= at_ns)
    )  # fmt: skip


def top_ups_of(books: Books, budget: str) -> tuple[TopUp, ...]:
    """Return every top-up of a budget, oldest first."""
    return _top_ups(books, sa.select(budget_top_ups).where(budget_top_ups.c.budget == budget))


def _top_ups(books: Books, query: sa.Select[tuple[object, ...]]) -> tuple[TopUp, ...]:
    with books.read() as connection:
        rows = connection.execute(query.order_by(budget_top_ups.c.top_up_id)).all()
    return tuple(
        TopUp(
            top_up_id=row.top_up_id, budget=row.budget,
            owner=msgspec.json.decode(row.owner, type=tuple[str, ...]), unit=row.unit,
            amount=int(row.amount), expires_at_ns=row.expires_at_ns, reason=row.reason,
            author=row.author, created_at_ns=row.created_at_ns,
        )
        for row in rows
    )  # fmt: skip


def keep_top_up(books: Books, top_up: TopUp, author: str | None) -> TopUp:
    """Keep a top-up, with its number, author (None: this process's user) and time.

    Raises:
        BooksError: the books cannot be written.
    """
    kept = msgspec.structs.replace(
        top_up, author=author or current_user(), created_at_ns=clock.unix_ns()
    )
    with books.write() as connection:
        done = connection.execute(budget_top_ups.insert().values(
            budget=kept.budget, owner=msgspec.json.encode(kept.owner).decode(), unit=kept.unit,
            amount=str(kept.amount), expires_at_ns=kept.expires_at_ns, reason=kept.reason,
            author=kept.author, created_at_ns=kept.created_at_ns,
        ))  # fmt: skip
        (number,) = done.inserted_primary_key or (0,)
    return msgspec.structs.replace(kept, top_up_id=number)
