"""What can go wrong when Tollbook is asked: its own words (RFC 9457), or that it is not there."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from tollbook.errors import TollbookError

_TEXT_MAX = 500


class ApiUnreachableError(TollbookError):
    """No answer: not connected, too slow, or the connection broke."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}; is tollbook up, and is the address right?")


class UnexpectedAnswerError(TollbookError):
    """An answer that is none of this version's."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}; client and server should be of one version")


class ApiError(TollbookError):
    """Tollbook refused, in its own words.

    Attributes:
        status: of HTTP.
        kind: name of the error, such as ``QueryError``; None where it gave none.
        parameter: which one is wrong; None where it is none.
    """

    def __init__(self, status: int, detail: str, kind: str | None, parameter: str | None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.parameter = status, kind, parameter


class WrongQuestionError(ApiError):
    """400, 413, 414, 422: something about the question; ``parameter`` says what."""


class NotAllowedError(ApiError):
    """401, 403: no token, or one without the permit."""


class NotFoundError(ApiError):
    """404: there is no such call, run or file."""


_KINDS: dict[int, type[ApiError]] = {
    HTTPStatus.BAD_REQUEST: WrongQuestionError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: WrongQuestionError,
    HTTPStatus.REQUEST_URI_TOO_LONG: WrongQuestionError,
    HTTPStatus.UNPROCESSABLE_ENTITY: WrongQuestionError,
    HTTPStatus.UNAUTHORIZED: NotAllowedError,
    HTTPStatus.FORBIDDEN: NotAllowedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
}


def error_of(status: int, body: bytes) -> ApiError:
    """Return the error that an answer is; what is no problem document is quoted in part."""
    told: dict[str, Any] = {}
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError:
        decoded = None
    if isinstance(decoded, dict):
        told = decoded
    detail = told.get("detail")
    if not isinstance(detail, str):
        detail = body[:_TEXT_MAX].decode("utf-8", "replace") or f"status {status}"
    kind, parameter = told.get("error"), told.get("parameter")
    return _KINDS.get(status, ApiError)(
        status, detail, kind if isinstance(kind, str) else None,
        parameter if isinstance(parameter, str) else None,
    )  # fmt: skip
