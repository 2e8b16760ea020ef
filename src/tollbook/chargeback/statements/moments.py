"""Dates and times as providers write them, to nanoseconds since the epoch, UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from tollbook.clock import NS_PER_S

if TYPE_CHECKING:
    from datetime import tzinfo

HOUR_NS: Final = 3600 * NS_PER_S
DAY_NS: Final = 24 * HOUR_NS
_AMERICAN: Final = re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})")
_COMPACT: Final = re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})")
_SECONDS: Final = re.compile(r"\d{9,10}")
"""Since the epoch, from 1973 on; eight digits are a date."""
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}([ T].{1,40})?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_S: Final = 7_258_118_400  # the year 2200
_MICRO_NS: Final = 1000


class NotATimeError(ValueError):
    """A cell that is no date or time; the text says so."""

    def __init__(self, value: object) -> None:
        if value is None or value == "":
            super().__init__("is missing")
            return
        super().__init__(f"{str(value)[:40]!r} is not a date or time such as 2026-10-01T00:00:00Z")


def ns_of(moment: datetime) -> int:
    """Return an aware moment as nanoseconds since the epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * _MICRO_NS


def moment_of(ns: int) -> datetime:
    """Return the moment of a time, in UTC."""
    return _EPOCH + timedelta(microseconds=ns // _MICRO_NS)


def at_ns(value: Any, zone: tzinfo = UTC) -> int:
    """Return a date (its midnight) or a moment, of any of the forms that exports have.

    Args:
        value: text (ISO 8601, ``2026-10-01 00:00:00 UTC``, ``10/31/2026`` with the month first as
            Microsoft writes it, ``20261031``), seconds since the epoch, a date or a datetime.
        zone: of what names none.

    Raises:
        NotATimeError: anything else.
    """
    if isinstance(value, str) and zone is UTC:
        return _text_ns(value)
    return _any_ns(value, zone)


@lru_cache(maxsize=8192)
def _text_ns(text: str) -> int:
    # Exports repeat the same hours and days, row after row.
    return _any_ns(text, UTC)


def _any_ns(value: Any, zone: tzinfo) -> int:
    try:
        moment = _moment(value, zone)
    except (ValueError, OverflowError) as error:
        raise NotATimeError(value) from error
    if moment is None or not 0 <= (ns := ns_of(moment)) < _LATEST_S * NS_PER_S:
        raise NotATimeError(value)
    return ns


def _moment(value: Any, zone: tzinfo) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=zone)
    text = str(value).strip()
    if _SECONDS.fullmatch(text):
        return _EPOCH + timedelta(seconds=int(text))
    for form in (_AMERICAN, _COMPACT):
        found = form.fullmatch(text)
        if found is not None:
            return datetime(int(found["year"]), int(found["month"]), int(found["day"]), tzinfo=zone)
    if not _ISO.fullmatch(text):
        return None
    moment = datetime.fromisoformat(re.sub(r"\s*UTC$", "+00:00", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def month_span(ns: int) -> tuple[int, int]:
    """Return the calendar month, in UTC, that a time is in."""
    moment = moment_of(ns)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    after = (first + timedelta(days=32)).replace(day=1)
    return ns_of(first), ns_of(after)


def month_named(text: str) -> tuple[int, int]:
    """Return the span of ``2026-10`` or ``202610``.

    Raises:
        NotATimeError: it is no month.
    """
    plain = text.strip().replace("-", "")
    if not re.fullmatch(r"\d{6}", plain):
        raise NotATimeError(text)
    return month_span(at_ns(plain + "01"))


def day_span(ns: int) -> tuple[int, int]:
    """Return the day, in UTC, that a time is in."""
    start = ns // DAY_NS * DAY_NS
    return start, start + DAY_NS
