"""The type of a provider's error, whatever shape its server gives it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from msgspec import Raw

MAX_ERROR_TYPE_CHARS = 128
_is_code = re.compile(r"[\w.:/ -]{1,128}").fullmatch
_decode = msgspec.json.decode


def error_type_of(raw: bytes | Raw) -> str | None:
    """Return ``code`` of an error object, else its ``type``; None if it has neither.

    The code goes first because it is the narrower one: OpenAI's 429 has type ``tokens`` and code
    ``rate_limit_exceeded``. An error that is only text (Ollama) is ``error``.
    """
    try:
        error: Any = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(error, str):
        return "error"
    if not isinstance(error, dict):
        return None
    for key in ("code", "type"):
        value = error.get(key)
        if isinstance(value, str) and _is_code(value):
            return value
    code = error.get("code")
    return str(code) if isinstance(code, int) else None
