"""Times as logs write them, to nanoseconds since the epoch; exact, without floats."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import tzinfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_UNITS: Final = {"unix_s": 10**9, "unix_ms": 10**6, "unix_us": 10**3, "unix_ns": 1}
FORMATS: Final = ("auto", "iso", *_UNITS)
_is_number = re.compile(r"-?\d{1,20}(\.\d{1,12})?").fullmatch
_iso = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?)?\s*"
    r"(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE,
).fullmatch
_SECONDS_MAX: Final = 10**11
"""What is larger counts milliseconds, then micro- and nanoseconds: no log is of the year 5138."""


def nanoseconds(  # noqa: PLR0911 -- one return for each form
    value: Any, zone: tzinfo = UTC, form: str = "auto"
) -> int | None:
    """Return a time in nanoseconds since the epoch, None for what is none.

    Args:
        value: a number or text of a number since the epoch, ISO 8601, or a datetime.
        zone: of texts that do not name one.
        form: one of :data:`FORMATS`, or a format of ``datetime.strptime``.
    """
    if isinstance(value, datetime):
        return _of_datetime(value, zone)
    if isinstance(value, bool) or value is None:
        return None
    if form in _UNITS:
        return _of_number(value, _UNITS[form])
    if isinstance(value, (int, Decimal)) or (isinstance(value, str) and _is_number(value.strip())):
        return None if form == "iso" else _of_number(value, None)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if form not in {"auto", "iso"}:
        try:
            return _of_datetime(datetime.strptime(text, form), zone)  # noqa: DTZ007 -- zoned below
        except ValueError:
            return None
    return _of_iso(text, zone)


def _of_iso(text: str, zone: tzinfo) -> int | None:
    found = _iso(text)
    if found is None:
        return None
    day, time, fraction, offset = found.groups()
    moment = f"{day}T{time or '00:00'}"
    if offset and offset.upper() not in {"Z", "UTC"}:
        hours, minutes = offset[:3], offset[3:].lstrip(":") or "00"
        moment += f"{hours}:{minutes}"
    elif offset:
        moment += "+00:00"
    try:
        whole_ns = _of_datetime(datetime.fromisoformat(moment), zone)
    except ValueError:
        return None
    return whole_ns + int((fraction or "").ljust(9, "0"))


def _of_datetime(moment: datetime, zone: tzinfo) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return (aware - _EPOCH) // _US * 1000


def _of_number(value: Any, unit_ns: int | None) -> int | None:
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except (ArithmeticError, TypeError, ValueError):
        return None
    if not number.is_finite() or abs(number) > 2**63:
        return None
    if unit_ns is None:
        unit_ns, size = 10**9, abs(number)
        while size >= _SECONDS_MAX and unit_ns > 1:
            unit_ns, size = unit_ns // 1000, size / 1000
    return int(number * unit_ns)
