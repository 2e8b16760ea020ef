"""Errors in Google's shape: a code that repeats the HTTP status, and a status in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.dialects.errors import error_type_of

if TYPE_CHECKING:
    from msgspec import Raw

_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""google.rpc.Code by HTTP status (https://cloud.google.com/apis/design/errors)."""
_MAX_CHARS: Final = 64


def google_error(raw: bytes | Raw) -> str | None:
    """Return ``status`` of an error object (``RESOURCE_EXHAUSTED``), else its code."""
    try:
        error: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    status = error.get("status") if isinstance(error, dict) else None
    if isinstance(status, str) and status.replace("_", "").isalnum() and len(status) <= _MAX_CHARS:
        return status
    return error_type_of(raw)


def google_error_body(status: int, error_type: str, message: str) -> bytes:
    """Return an error as the official SDK reads it, ours named as Google names its reasons."""
    words = _STATUS.get(status) or ("INVALID_ARGUMENT" if status < 500 else "INTERNAL")  # noqa: PLR2004 -- HTTP
    reason = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error_type.upper(),
        "domain": "tollbook",
    }
    error = {"code": status, "message": message, "status": words, "details": [reason]}
    return msgspec.json.encode({"error": error})
