"""Ask the ledger's database, within a time limit, from any thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import duckdb

from tollbook.reports.errors import QueryTimeoutError, ReaderStoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0


class Reader(Protocol):
    """What a report needs of a store."""

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement.

        Raises:
            QueryTimeoutError: it took too long.
        """


class DuckdbReader:
    """Reads through cursors of one connection; each question has its own, so threads may share it.

    A cursor sees what was committed before its statement began, and no writer waits for it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, timeout_s: float = TIMEOUT_S) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._is_stopped = False

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement.

        Raises:
            QueryTimeoutError: it took too long and was interrupted.
            ReaderStoppedError: the ledger is being closed.
        """
        with self.lent() as cursor:
            timer = threading.Timer(self._timeout_s, cursor.interrupt)
            timer.daemon = True
            timer.start()
            try:
                return cursor.execute(sql, list(values) or None).fetchall()
            except duckdb.InterruptException as error:
                if self._is_stopped:
                    raise ReaderStoppedError from error
                raise QueryTimeoutError(self._timeout_s) from error
            finally:
                timer.cancel()

    @contextmanager
    def lent(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor of its own, which is closed after.

        Raises:
            ReaderStoppedError: the ledger is being closed.
        """
        with self._changed:  # a connection gives out one cursor at a time
            if self._is_stopped:
                raise ReaderStoppedError
            cursor = self._connection.cursor()
            self._running.add(cursor)
        try:
            yield cursor
        finally:
            with self._changed:
                self._running.discard(cursor)
                cursor.close()
                self._changed.notify_all()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Answer nothing more, interrupt what runs, and close the connection once it has ended.

        Args:
            timeout_s: how long to wait for it, in seconds.

        Returns:
            Whether it had ended in time.
        """
        with self._changed:
            self._is_stopped = True
            for cursor in self._running:
                cursor.interrupt()
            has_ended = self._changed.wait_for(lambda: not self._running, timeout_s)
            if has_ended:
                self._connection.close()
            return has_ended
