"""Errors as RFC 9457 problem details: one line that says what to do, and no internals.

People who look at a page get the same words as a page.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from tollbook.books.documents import DocumentError, DocumentsChangedError
from tollbook.books.errors import KeyInputError, KeyNotFoundError, LabelTakenError
from tollbook.config.problems import ConfigError
from tollbook.console.audits.errors import (
    AuditBusyError,
    AuditTimeoutError,
    NoSuchAuditError,
    UploadError,
    UploadTooLargeError,
)
from tollbook.errors import TollbookError
from tollbook.reports.errors import (
    CallNotFoundError,
    QueryError,
    QueryTimeoutError,
    ReaderStoppedError,
    RunNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request
    from litestar.types import ExceptionHandlersMap

log = logging.getLogger(__name__)

_ROOMS: Final = (
    "tollbook.chargeback.", "tollbook.people.", "tollbook.budgeting.", "tollbook.insights.",
    "tollbook.alerts.",
)  # fmt: skip
"""Whose errors refuse what was asked; what fails below them has errors of its own."""
_PROGRAMS: Final = ("/api/", "/v1/", "/static/", "/portal/")
_DATA: Final = (".json", ".csv")
MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final = (
    (QueryError, HTTPStatus.BAD_REQUEST),
    (CallNotFoundError, HTTPStatus.NOT_FOUND),
    (RunNotFoundError, HTTPStatus.NOT_FOUND),
    (QueryTimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
    (ReaderStoppedError, HTTPStatus.SERVICE_UNAVAILABLE),
    # Cards and rules that are given in a request are read as those of a file are.
    (ConfigError, HTTPStatus.BAD_REQUEST),
    (DocumentError, HTTPStatus.BAD_REQUEST),
    (DocumentsChangedError, HTTPStatus.CONFLICT),
    (KeyInputError, HTTPStatus.BAD_REQUEST),
    (LabelTakenError, HTTPStatus.CONFLICT),
    (KeyNotFoundError, HTTPStatus.NOT_FOUND),
    (UploadTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UploadError, HTTPStatus.BAD_REQUEST),
    (AuditBusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (AuditTimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
    (NoSuchAuditError, HTTPStatus.NOT_FOUND),
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


def _answer(
    request: Request[Any, Any, Any], status: int, detail: str,
    headers: Mapping[str, str] | None = None, **further: Any,
) -> Response[Any]:  # fmt: skip
    """Return a problem as whoever asked can read it."""
    if wants_page(request.scope["path"], request.headers.get("accept", "")):
        from tollbook.console.pages.failure import failure_page  # noqa: PLC0415 -- it needs us

        return failure_page(request, status, detail, headers)
    return problem(status, detail, headers, **further)


def wants_page(path: str, accept: str) -> bool:
    """Whether a request came from somebody who looks at a page."""
    return "text/html" in accept and not path.startswith(_PROGRAMS) and not path.endswith(_DATA)


def _tollbook_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    assert isinstance(error, TollbookError)
    status = next(
        (status for kind, status in _STATUS if isinstance(error, kind)), _other_status(error)
    )
    further: dict[str, Any] = {"error": type(error).__name__, "exit_code": error.exit_code}
    if isinstance(error, QueryError):
        # The text names the option of a command; a program wants the parameter of the query.
        further["parameter"] = error.option.removeprefix("--").replace("-", "_")
    return _answer(request, status, error.message, **further)


def _other_status(error: TollbookError) -> HTTPStatus:
    if error.exit_code == 1:
        return HTTPStatus.CONFLICT
    is_refusal = type(error).__module__.startswith(_ROOMS)
    return HTTPStatus.BAD_REQUEST if is_refusal else HTTPStatus.INTERNAL_SERVER_ERROR


def _http_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, error.detail, headers=error.headers)


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("GET or POST %s failed", request.url.path, exc_info=error)
    return _answer(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "an unexpected error; the ledger's log has the details",
        error=type(error).__name__,
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    TollbookError: _tollbook_error,
    HTTPException: _http_error,
    Exception: _defect,
}
