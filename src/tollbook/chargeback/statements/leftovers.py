"""Lines of loads that were cut off by a crash: found and removed while nobody loads any."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from tollbook.books.errors import BooksError
from tollbook.books.tables_statements import statement_lines, statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.books.store import Books

LOCK_FILE: Final = "statements.lock"
"""Held (flock) by every process while it loads lines; the system lets go of it in a crash."""
_DELETED_LINES: Final = 50_000
"""Lines deleted in one transaction: others may write to the books in between."""


@contextmanager
def loading(books: Books) -> Iterator[None]:
    """Hold the right to have lines there whose statement is not: nobody removes them meanwhile.

    Raises:
        BooksError: the lock's file cannot be opened.
    """
    with _lock_file(books) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


def remove_leftovers(books: Books) -> int:
    """Remove the lines of loads that a crash cut off, and return how many lines they were.

    Nothing is removed while any process loads lines: those of a living load look the same.

    Raises:
        BooksError: the books cannot be written.
    """
    with _lock_file(books) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        return sum(_remove(books, load_id) for load_id in _cut_off(books))


@contextmanager
def _lock_file(books: Books) -> Iterator[int]:
    path = books.path.parent / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise BooksError(path, problem, "check the owner and mode of the directory") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _cut_off(books: Books) -> list[str]:
    """Return the loads without a statement; one step of the index for each load, not each line."""
    row = statement_lines.c
    found: list[str] = []
    with books.read() as connection:
        kept = set(connection.execute(sa.select(statements.c.load_id)).scalars())
        following = sa.select(sa.func.min(row.load_id))
        load_id = connection.execute(following).scalar()
        while load_id is not None:
            if load_id not in kept:
                found.append(load_id)
            load_id = connection.execute(following.where(row.load_id > load_id)).scalar()
    return found


def _remove(books: Books, load_id: str) -> int:
    row = statement_lines.c
    with books.read() as connection:
        last = sa.select(sa.func.max(row.line)).where(row.load_id == load_id)
        lines = connection.execute(last).scalar() or 0
    for upto in range(_DELETED_LINES, lines + _DELETED_LINES, _DELETED_LINES):
        with books.write() as connection:
            connection.execute(
                statement_lines.delete().where(row.load_id == load_id, row.line <= upto)
            )
    return lines
