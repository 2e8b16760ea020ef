"""Errors as RFC 9457 problem details: one line that says what to do, and no internals."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from tollbook.errors import TollbookError
from tollbook.reports.errors import (
    CallNotFoundError,
    QueryError,
    QueryTimeoutError,
    RunNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request
    from litestar.types import ExceptionHandlersMap

log = logging.getLogger(__name__)

_FINANCE: Final = "tollbook.chargeback."
MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final = (
    (QueryError, HTTPStatus.BAD_REQUEST),
    (CallNotFoundError, HTTPStatus.NOT_FOUND),
    (RunNotFoundError, HTTPStatus.NOT_FOUND),
    (QueryTimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
)


def problem_body(status: int, detail: str, **further: Any) -> bytes:
    """Return the JSON of a problem; ``further`` are extension members (RFC 9457 section 3.2)."""
    return msgspec.json.encode(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            **further,
        }
    )


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **further: Any
) -> Response[bytes]:
    """Return a problem as a response."""
    return Response(
        problem_body(status, detail, **further),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def _tollbook_error(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    assert isinstance(error, TollbookError)
    status = next(
        (status for kind, status in _STATUS if isinstance(error, kind)), _other_status(error)
    )
    further: dict[str, Any] = {"error": type(error).__name__, "exit_code": error.exit_code}
    if isinstance(error, QueryError):
        # The text names the option of a command; a program wants the parameter of the query.
        further["parameter"] = error.option.removeprefix("--").replace("-", "_")
    return problem(status, error.message, **further)


def _other_status(error: TollbookError) -> HTTPStatus:
    if error.exit_code == 1:
        return HTTPStatus.CONFLICT
    # The rooms of finance refuse what was asked; what fails below them has errors of its own.
    is_refusal = type(error).__module__.startswith(_FINANCE)
    return HTTPStatus.BAD_REQUEST if is_refusal else HTTPStatus.INTERNAL_SERVER_ERROR


def _http_error(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, headers=error.headers)


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("GET or POST %s failed", request.url.path, exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "an unexpected error; the ledger's log has the details",
        error=type(error).__name__,
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    TollbookError: _tollbook_error,
    HTTPException: _http_error,
    Exception: _defect,
}
