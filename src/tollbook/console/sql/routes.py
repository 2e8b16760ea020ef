"""The API's route of read-only SQL."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, Router, post
from litestar.params import JSONBody  # noqa: TC002 -- read when the handler is made
from msgspec import Struct

from tollbook.books.events import record_event
from tollbook.console.permit import needs, principal_of_request
from tollbook.console.sql.run import ROWS_DEFAULT, SqlAnswer, run_sql
from tollbook.desk.permits import Scope

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.desk.permits import Principal
    from tollbook.reports.reader import DuckdbReader

_Asked = Request[Any, Any, Any]
_BODY_MAX_BYTES: Final = 65_536
_SAID_CHARS_MAX: Final = 500


class SqlRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A query."""

    sql: str
    """One SELECT in DuckDB's dialect over ``entries`` and ``calls``."""
    tenant: str | None = None
    """Only this tenant's entries."""
    limit: int = ROWS_DEFAULT
    """Most rows, at most 10,000."""


class SqlDesk:
    """Answers queries of people, and notes who asked what.

    Args:
        reader: of the ledger.
        books: where it is noted.
    """

    def __init__(self, reader: DuckdbReader, books: Books) -> None:
        self._reader, self._books = reader, books

    def answer(self, principal: Principal, request: SqlRequest) -> SqlAnswer:
        """Answer a query; a principal of one tenant sees that one's entries only.

        Raises:
            SqlError: it is not allowed or not understood.
            QueryTimeoutError: it took too long.
        """
        tenant = principal.tenant if principal.tenant is not None else request.tenant
        record_event(
            self._books, actor=principal.name, action="sql.query",
            detail={"sql": request.sql[:_SAID_CHARS_MAX], "tenant": tenant},
        )  # fmt: skip
        with self._reader.lent() as cursor:
            return run_sql(lambda: cursor, request.sql, tenant=tenant, limit=request.limit)


def sql_router(desk: SqlDesk) -> Router:
    """Return the route."""

    @post(
        "/sql", operation_id="sql", status_code=HTTPStatus.OK, sync_to_thread=True,
        request_max_body_size=_BODY_MAX_BYTES,
    )  # fmt: skip
    def sql(request: _Asked, data: JSONBody[SqlRequest]) -> Response[SqlAnswer]:
        """Answer one SELECT over the ledger's entries; nothing is changed by it."""
        found = desk.answer(principal_of_request(request), data)
        return Response(found, headers={"cache-control": "no-store"})

    return Router("/api/v1", route_handlers=[sql], tags=["sql"], opt=needs(Scope.SQL))
