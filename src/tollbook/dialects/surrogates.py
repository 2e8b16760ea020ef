r"""JSON with half of a surrogate pair, which JavaScript and Python write and msgspec refuses.

A text cut at a fixed length in UTF-16, or a model that stops in the middle of an emoji, ends in
``\ud83d`` without its other half. RFC 8259 section 8.2 allows it and calls readers unpredictable.
"""

from __future__ import annotations

import re

_HIGH = rb"u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"u[dD][c-fC-F][0-9a-fA-F]{2}"
_escapes = re.compile(rb"\\(?:" + _HIGH + rb"\\" + _LOW + rb"|(" + _HIGH + rb"|" + _LOW + rb")|.)")


def without_lone_surrogates(raw: bytes) -> bytes | None:
    r"""Return a document with U+FFFD for each half pair, of the same length; None if it has none.

    Only for reading it: what is passed on stays as it came.
    """
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return None
    mended = _escapes.sub(_mended, raw)
    return None if mended == raw else mended


def _mended(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else b"\\ufffd"
