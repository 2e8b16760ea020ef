"""Values of other formats to those of spans: ids, times, kinds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

NS_PER_US: Final = 1000
_NS_MAX: Final = 2**63 - 1
_is_hex: Final = re.compile(r"[0-9a-fA-F]+").fullmatch
_fraction: Final = re.compile(r"\.(\d{1,9})\d*")
KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def trace_id_of(value: object) -> str:
    """Return 32 hex digits for an id of any length; what is no hex is hashed."""
    return _id_of(value, 32)


def span_id_of(value: object) -> str:
    """Return 16 hex digits for an id of any length; what is no hex is hashed."""
    return _id_of(value, 16)


def _id_of(value: object, digits: int) -> str:
    if value is None or isinstance(value, (dict, list, bool)) or value == "":
        return ""
    text = str(value).removeprefix("0x")
    if len(text) <= digits and _is_hex(text):
        return text.lower().rjust(digits, "0")
    return sha256(text.encode(errors="replace")).hexdigest()[:digits]


def ns_of_us(value: object) -> int:
    """Return nanoseconds for a number of microseconds, which may be text; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:  # noqa: PLR2004 -- digits of 64 bits
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    if not 0 <= value <= _NS_MAX // NS_PER_US:  # NaN is neither
        return 0
    return int(value * NS_PER_US)


def ns_of_iso(value: object) -> int:
    """Return nanoseconds since the epoch for a time of ISO 8601; 0 for anything else."""
    if not isinstance(value, str):
        return 0
    found = _fraction.search(value)
    try:
        at = datetime.fromisoformat(_fraction.sub("", value, count=1))
    except ValueError:
        return 0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    whole_s = int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return max(0, whole_s * 10**9 + (int(found[1].ljust(9, "0")) if found else 0))


def kind_of(value: object) -> int:
    """Return the SpanKind of OTLP for ``CLIENT``, ``SpanKind.CLIENT`` or a number."""
    if isinstance(value, int):
        return value if 0 <= value <= 5 else 0  # noqa: PLR2004 -- consumer is the last
    return KINDS.get(str(value).rpartition(".")[2].lower(), 0)


def text(value: object) -> str:
    """Return a text, nothing for what is none."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, nothing for what is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """Return an object, an empty one for what is none."""
    return value if isinstance(value, dict) else {}
