"""Ask the ledger's database, within a time limit, from any thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

import duckdb

from tollbook.reports.errors import QueryTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S: Final = 60.0


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
        self._lock = threading.Lock()

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement.

        Raises:
            QueryTimeoutError: it took too long and was interrupted.
        """
        with self._lock:
            cursor = self._connection.cursor()
        timer = threading.Timer(self._timeout_s, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return cursor.execute(sql, list(values) or None).fetchall()
        except duckdb.InterruptException as error:
            raise QueryTimeoutError(self._timeout_s) from error
        finally:
            timer.cancel()
            cursor.close()
