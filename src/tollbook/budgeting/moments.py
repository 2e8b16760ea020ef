"""Moments that people give and are shown, future ones too."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from tollbook import clock
from tollbook.reports.errors import QueryError
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FROM_NOW: Final = re.compile(r"(?P<count>\d{1,6})(?P<unit>[mhdw])", re.ASCII)
_UNIT_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def later_ns(text: str, tz: str, option: str) -> int:
    """Return a moment in nanoseconds since the epoch; ``24h`` is so long from now.

    Raises:
        QueryError: it is no time, or the zone is none.
    """
    match = _FROM_NOW.fullmatch(text.strip())
    if match is not None:
        return clock.unix_ns() + int(match["count"]) * _UNIT_S[match["unit"]] * clock.NS_PER_S
    if text.strip() == "all":
        raise QueryError(f"--{option}", "'all' is no moment")
    start = parse_period(text, zone_of(tz), clock.utc_now(), f"--{option}").start
    return (start - _EPOCH) // timedelta(microseconds=1) * 1000


def text_of(at_ns: int, tz: str = "UTC") -> str:
    """Return a moment in ISO 8601 on a zone's clock, to the second."""
    moment = _EPOCH + timedelta(microseconds=at_ns // 1000)
    local = moment.astimezone(zone_of(tz)).replace(microsecond=0)
    return local.isoformat().replace("+00:00", "Z")


def text_of_s(at_s: int, tz: str = "UTC") -> str:
    """Return a moment given in seconds since the epoch, as :func:`text_of` does."""
    return text_of(at_s * clock.NS_PER_S, tz)
