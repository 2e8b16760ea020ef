"""Moments in requests, cards and answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from tollbook import clock
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_CHARS: Final = len("2026-11-01")


def ns_of(moment: datetime) -> int:
    """Return a moment in nanoseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def asked_ns(text: str, tz: str, option: str) -> int:
    """Return the start of a time as people write it, in nanoseconds since the epoch.

    Raises:
        QueryError: it is no time, or the zone is none.
    """
    return ns_of(parse_period(text, zone_of(tz), clock.utc_now(), option).start)


def text_of(at_ns: int) -> str:
    """Return the canonical text of a moment: a date at midnight UTC, else with seconds."""
    moment = _EPOCH + timedelta(microseconds=at_ns // 1000)
    text = moment.isoformat().replace("+00:00", "Z")
    return text[:_DATE_CHARS] if text.endswith("T00:00:00Z") else text


def optional_text(at_ns: int | None) -> str | None:
    """Return the text of a moment, None where there is none."""
    return None if at_ns is None else text_of(at_ns)
