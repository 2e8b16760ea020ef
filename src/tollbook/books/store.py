"""Open the books: one SQLite file, created and upgraded as needed.

Writers in several processes are serialised by SQLite (WAL, BEGIN IMMEDIATE, busy timeout);
an upgrade is one transaction, so two processes that start at once do it once.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from tollbook.books.errors import BooksError, NewerDatabaseError
from tollbook.books.records import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT_S: Final = 10.0
REVISIONS: Final = tuple(f"{number:04}" for number in range(1, 14))
"""Every schema version this program knows, oldest first; as in migrations/versions."""
HEAD: Final = REVISIONS[-1]
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_RESTORE: Final = "restore it from a backup, or move it away to begin with empty books"
_PERMIT: Final = "check the owner and mode of the data directory and its disk"


class Books:
    """The open database; a context manager that closes it. Make one with :func:`open_books`."""

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self.path = path
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Run queries on one consistent state.

        Raises:
            BooksError: the database cannot be read.
        """
        with _explained(self.path), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Run a transaction as the only writer; committed at the end, or undone if it raises.

        Raises:
            BooksError: the database cannot be written.
        """
        with _explained(self.path), self._engine.connect() as connection:
            writing = connection.execution_options(tollbook_begin="IMMEDIATE")
            with writing.begin():
                yield writing

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def open_books(data_dir: Path) -> Books:
    """Open ``data_dir/books.sqlite``, creating or upgrading it.

    Raises:
        NewerDatabaseError: written by a newer version of the program.
        BooksError: not a database, or it cannot be read or written.
    """
    path = data_dir / FILE_NAME
    _create_private(path)
    engine = _engine(path)
    try:
        with _explained(path):
            if _version(path) != HEAD:
                _upgrade(path, engine)
    except BaseException:
        engine.dispose()
        raise
    return Books(path, engine)


def _create_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise BooksError(path, f"cannot be opened: {error.strerror}", _PERMIT) from error


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where begin() says, DDL included
        # WAL: readers and the writer do not wait for each other. recursive_triggers: INSERT OR
        # REPLACE cannot slip past the triggers that forbid deletion.
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "recursive_triggers = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        kind = connection.get_execution_options().get("tollbook_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _version(path: Path) -> str | None:
    """Return the schema version without importing Alembic; None for an empty database.

    Raises:
        NewerDatabaseError: a version this program does not know.
        BooksError: a database that is not Tollbook's.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not names:
            return None
        if "alembic_version" not in names:
            raise BooksError(path, "is a database of another program", _RESTORE)
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    finally:
        connection.close()
    return _known(path, row[0] if row else None)


def _known(path: Path, version: str | None) -> str | None:
    if version is not None and version not in REVISIONS:
        raise NewerDatabaseError(path, version, HEAD)
    return version


def _upgrade(path: Path, engine: sa.Engine) -> None:
    # Imported here: an up-to-date database, the usual case, opens in a third of the time without.
    from alembic import command  # noqa: PLC0415 -- see above
    from alembic.config import Config  # noqa: PLC0415 -- see above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    with Books(path, engine).write() as connection:
        found = None
        if sa.inspect(connection).has_table("alembic_version"):
            row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
            found = _known(path, row[0] if row else None)
        if found != HEAD:  # another process may have upgraded while this one waited
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn a database's own errors into one line; constraints are the caller's to explain."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except (sa.exc.DBAPIError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        problem = str(cause)
        advice = _PERMIT if isinstance(cause, sqlite3.OperationalError) else _RESTORE
        if "locked" in problem:
            advice = "another process holds it; try again"
        raise BooksError(path, problem, advice) from error
