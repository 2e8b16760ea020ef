"""A billing period: a calendar month in the zone in which months are closed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Self

from tollbook.errors import TollbookError
from tollbook.reports.query import BILLING_PERIOD, LATEST
from tollbook.reports.times import start_of_day
from tollbook.reports.zone import EPOCH, zone_of

_NS_PER_S = 10**9


class PeriodNameError(TollbookError):
    """A text that names no month."""

    def __init__(self, text: str) -> None:
        super().__init__(f"--period: {text[:64]!r} is not a month such as 2026-10")


class Period(NamedTuple):
    """One month; ``name`` is ``2026-10`` and sorts as time does."""

    name: str
    timezone: str = "UTC"

    @classmethod
    def parse(cls, text: str, timezone: str = "UTC") -> Self:
        """Read ``2026-10``.

        Raises:
            PeriodNameError: it is no month between 1970 and 2200.
        """
        if not BILLING_PERIOD.fullmatch(text):
            raise PeriodNameError(text)
        if not f"{EPOCH:%Y-%m}" < text < f"{LATEST:%Y-%m}":
            raise PeriodNameError(text)
        return cls(text, timezone)

    @classmethod
    def of(cls, at: datetime, timezone: str = "UTC") -> Self:
        """Return the month that a moment is in."""
        return cls(f"{at.astimezone(zone_of(timezone)):%Y-%m}", timezone)

    @property
    def start(self) -> datetime:
        """The first moment, in UTC."""
        return start_of_day(self._first, zone_of(self.timezone))

    @property
    def end(self) -> datetime:
        """The first moment that is no longer in it, in UTC."""
        return self.following.start

    @property
    def start_ns(self) -> int:
        """The first moment, since the epoch."""
        return _ns(self.start)

    @property
    def end_ns(self) -> int:
        """The first moment that is no longer in it, since the epoch."""
        return _ns(self.end)

    @property
    def following(self) -> Period:
        """The next month."""
        return Period(f"{self._first + timedelta(days=31):%Y-%m}", self.timezone)

    @property
    def previous(self) -> Period:
        """The month before."""
        return Period(f"{self._first - timedelta(days=1):%Y-%m}", self.timezone)

    @property
    def _first(self) -> date:
        return date.fromisoformat(f"{self.name}-01")


def _ns(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _NS_PER_S
