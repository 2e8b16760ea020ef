"""The shelf of reconciliations: runs as they came out, and what people said of what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.books.tables_reconciliations import differences, remarks
from tollbook.books.tables_reconciliations import reconciliations as runs
from tollbook.chargeback.reconcile.errors import NoDifferenceError, NoRunError
from tollbook.chargeback.reconcile.model import Difference, Reconciliation, Shown, State

if TYPE_CHECKING:
    from tollbook.books.store import Books

_NOTE_MAX: Final = 4_000
_NAME_MAX: Final = 200
_SHORT_MIN: Final = 4


def keep_run(books: Books, run: Reconciliation) -> None:
    """Keep a run and its differences.

    Raises:
        BooksError: the books cannot be written.
    """
    body = msgspec.json.encode(replace(run, differences=())).decode()
    with books.write() as connection:
        last = connection.execute(sa.select(sa.func.max(runs.c.number))).scalar()
        connection.execute(
            runs.insert().values(
                run_id=run.run_id, number=(last or 0) + 1, provider=run.provider,
                period=run.period, created_at_ns=run.created_at_ns, body=body,
            )
        )  # fmt: skip
        if run.differences:
            connection.execute(
                differences.insert(),
                [
                    {
                        "run_id": run.run_id, "place": at, "fingerprint": one.fingerprint,
                        "cause": one.cause.value, "amount_pico": str(one.amount),
                        "body": msgspec.json.encode(one).decode(),
                    }
                    for at, one in enumerate(run.differences)
                ],
            )  # fmt: skip


def reconciliations_of(
    books: Books, period: str | None = None, provider: str | None = None
) -> list[Reconciliation]:
    """Return the newest run of each provider and period, with its differences and its state.

    Args:
        books: where they are kept.
        period: only of this one, such as ``2026-10``.
        provider: only of this one.

    Raises:
        BooksError: the books cannot be read.
    """
    newest = sa.select(sa.func.max(runs.c.number)).group_by(runs.c.provider, runs.c.period)
    query = sa.select(runs).where(runs.c.number.in_(newest))
    if period is not None:
        query = query.where(runs.c.period == period)
    if provider is not None:
        query = query.where(runs.c.provider == provider)
    with books.read() as connection:
        found = connection.execute(query.order_by(runs.c.period, runs.c.provider)).all()
        return [_run(connection, row) for row in found]


def reconciliations(books: Books, period: str) -> list[Reconciliation]:
    """Return the newest run of each provider for a period, by provider; see the one above."""
    return reconciliations_of(books, period)


def accepted_months(books: Books) -> frozenset[tuple[str, str]]:
    """Return providers and months whose newest reconciliation is accepted.

    Raises:
        BooksError: the books cannot be read.
    """
    newest = sa.select(sa.func.max(runs.c.number)).group_by(runs.c.provider, runs.c.period)
    query = sa.select(runs.c.run_id, runs.c.provider, runs.c.period).where(
        runs.c.number.in_(newest)
    )
    with books.read() as connection:
        return frozenset(
            (row.provider, row.period)
            for row in connection.execute(query).all()
            if _said(connection, row.run_id)[0] is State.ACCEPTED
        )


def run_history(books: Books, period: str, provider: str) -> list[Reconciliation]:
    """Return every run of a provider and period, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(runs).where(runs.c.period == period, runs.c.provider == provider)
    with books.read() as connection:
        found = connection.execute(query.order_by(runs.c.number)).all()
        return [_run(connection, row) for row in found]


def _run(connection: sa.Connection, row: Any) -> Reconciliation:
    run = msgspec.json.decode(row.body, type=Reconciliation)
    found = connection.execute(
        sa.select(differences.c.body)
        .where(differences.c.run_id == run.run_id)
        .order_by(differences.c.place)
    )
    kept = tuple(msgspec.json.decode(one.body, type=Difference) for one in found)
    state, _, _ = _said(connection, run.run_id)
    return replace(run, differences=kept, state=state)


def shown(books: Books, runs_: list[Reconciliation]) -> list[Shown]:
    """Return the differences of runs with state, owner, newest note and when first seen.

    Raises:
        BooksError: the books cannot be read.
    """
    found = []
    with books.read() as connection:
        for run in runs_:
            for one in run.differences:
                state, owner, note = _said(connection, one.fingerprint)
                first = connection.execute(
                    sa.select(sa.func.min(runs.c.created_at_ns))
                    .join(differences, differences.c.run_id == runs.c.run_id)
                    .where(differences.c.fingerprint == one.fingerprint)
                ).scalar()
                found.append(
                    Shown(
                        difference=one, run_id=run.run_id,
                        first_seen_ns=run.created_at_ns if first is None else first,
                        state=state, owner=owner, note=note,
                    )
                )  # fmt: skip
    return found


def remark(
    books: Books,
    about: str,
    *,
    author: str | None,
    state: State | None = None,
    owner: str | None = None,
    note: str | None = None,
) -> str:
    """Append what somebody says of a difference or of a run, and return which it is about.

    Args:
        books: where it is kept.
        about: a fingerprint or the id of a run, or the beginning of one.
        author: who says it; None for this process's user.
        state: what becomes of it; None leaves that.
        owner: who looks after it; None leaves that.
        note: in words.

    Raises:
        NoDifferenceError: nothing, or several, begin so; or there is nothing to say.
        BooksError: the books cannot be written.
    """
    if state is None and not owner and not note:
        raise NoDifferenceError(about, "there is nothing to say of it; give an owner or a note")
    if len(note or "") > _NOTE_MAX or len(owner or "") > _NAME_MAX:
        raise NoDifferenceError(
            about, f"a note has at most {_NOTE_MAX} characters, an owner {_NAME_MAX}"
        )
    with books.write() as connection:
        whole = _whole(connection, about)
        connection.execute(
            remarks.insert().values(
                about=whole, at_ns=clock.unix_ns(), author=author or current_user(),
                state=None if state is None else state.value, owner=owner or None,
                note=note or None,
            )
        )  # fmt: skip
    return whole


def remarks_on(books: Books, about: str) -> list[dict[str, Any]]:
    """Return what was said of a difference or a run, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        return [
            {name: getattr(row, name) for name in ("at_ns", "author", "state", "owner", "note")}
            for row in connection.execute(
                sa.select(remarks).where(remarks.c.about == about).order_by(remarks.c.remark_id)
            )
        ]


def find_run(books: Books, run_id: str) -> Reconciliation:
    """Return a run by its id.

    Raises:
        NoRunError: there is none.
    """
    with books.read() as connection:
        row = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).first()
        if row is None:
            raise NoRunError(run_id)
        return _run(connection, row)


def _whole(connection: sa.Connection, about: str) -> str:
    if len(about) < _SHORT_MIN or not about.isascii() or not about.replace("-", "").isalnum():
        raise NoDifferenceError(about[:64], "expected the id of a difference or of a run")
    found: set[str] = set()
    for column in (differences.c.fingerprint, runs.c.run_id):
        found.update(
            connection.execute(
                sa.select(column).where(column.startswith(about, autoescape=True)).distinct()
            ).scalars()
        )
    if about in found:
        return about
    if len(found) != 1:
        raise NoDifferenceError(about, "several begin so" if found else "there is none")
    return found.pop()


def _said(connection: sa.Connection, about: str) -> tuple[State, str | None, str | None]:
    state, owner, note = State.OPEN, None, None
    for row in connection.execute(
        sa.select(remarks).where(remarks.c.about == about).order_by(remarks.c.remark_id)
    ):
        state = State(row.state) if row.state else state
        owner = row.owner or owner
        note = row.note or note
    return state, owner, note
