"""Run a guarded query, and bring its rows into JSON."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import duckdb
from msgspec import Struct

from tollbook.console.sql.errors import SqlError
from tollbook.console.sql.guard import guarded
from tollbook.reports.errors import QueryTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS_MAX: Final = 10_000
ROWS_DEFAULT: Final = 1_000
TIMEOUT_S: Final = 30.0
_CELL_CHARS_MAX: Final = 20_000
_ANSWER_CHARS_MAX: Final = 16_000_000


class SqlAnswer(Struct, frozen=True, kw_only=True):
    """Rows of a query."""

    columns: list[str]
    rows: list[dict[str, Any]]
    """Amounts as decimal text, times in UTC, ids as text."""
    has_more: bool
    """There are more rows than were asked for."""
    tenant: str | None
    """The only one whose entries were seen; None: all."""
    currency: str = "USD"


def run_sql(
    connect: Callable[[], duckdb.DuckDBPyConnection],
    text: str,
    *,
    tenant: str | None = None,
    limit: int = ROWS_DEFAULT,
    timeout_s: float = TIMEOUT_S,
) -> SqlAnswer:
    """Answer a query.

    Args:
        connect: returns a connection of its own for reading, which is closed after.
        text: one SELECT in DuckDB's dialect over ``entries`` and ``calls``.
        tenant: the only one whose entries it may see; None for all.
        limit: most rows.
        timeout_s: longest run, in seconds.

    Raises:
        SqlError: it is not allowed, or the database does not understand it.
        QueryTimeoutError: it took too long.
    """
    if not 1 <= limit <= ROWS_MAX:
        raise SqlError(f"limit {limit} is not between 1 and {ROWS_MAX}")
    statement = guarded(text, tenant, limit)
    connection = connect()
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        # A transaction that may not write, whatever was overlooked above.
        connection.execute("BEGIN TRANSACTION READ ONLY")
        found = connection.execute(statement)
        names = [str(column[0]) for column in found.description or ()]
        rows = found.fetchmany(limit + 1)
    except duckdb.InterruptException as error:
        raise QueryTimeoutError(timeout_s) from error
    except duckdb.Error as error:
        raise SqlError(_first_line(str(error))) from error
    finally:
        timer.cancel()
        connection.close()
    shown, chars = [], 0
    for row in rows[:limit]:
        values = [_plain(value) for value in row]
        chars += sum(len(value) for value in values if isinstance(value, str))
        if chars > _ANSWER_CHARS_MAX:
            raise SqlError("the answer is too large; ask for fewer rows or columns")
        shown.append(dict(zip(names, values, strict=True)))
    return SqlAnswer(columns=names, rows=shown, has_more=len(rows) > limit, tenant=tenant)


def _first_line(text: str) -> str:
    """Return what the database says, without the statement, which is not as it was written."""
    return text.partition("\n\nLINE ")[0].splitlines()[0][:300]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; containers piece by piece."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    for kind, shown in _SHOWN:
        if isinstance(value, kind):
            return shown(value)
    return value


def _moment(at: datetime) -> str:
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


_SHOWN: Final[tuple[tuple[Any, Callable[[Any], str]], ...]] = (
    (datetime, _moment),  # before date, of which it is one
    (Decimal, "{:f}".format),
    ((date, time, timedelta, UUID), str),
    (bytes, lambda value: value[:_CELL_CHARS_MAX].hex()),
    (str, lambda value: value[:_CELL_CHARS_MAX]),
)
