"""The range of a page: the one before it, and the steps that its charts have.

The range before is as long, by the clock on the wall, so that midnight stays midnight over a change
of daylight saving time; before a calendar month stands the month before, as far as this one has
come.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from tollbook.reports.errors import QueryError
from tollbook.reports.times import Period, start_of_day
from tollbook.reports.zone import EPOCH, hour_label, zone_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tollbook.console.pages.context import PageContext
    from tollbook.reports.params import Pairs

Grain = Literal["hour", "day", "week", "month"]
GRAINS: Final[tuple[Grain, ...]] = ("hour", "day", "week", "month")
BUCKETS_MAX: Final = 800
"""Steps that a chart has at most; a longer range gets longer steps."""
_STEP: Final = {"hour": 1 / 24, "day": 1, "week": 7, "month": 30}
_HOURS_DAYS: Final = 2
_DAYS_DAYS: Final = 100
_WEEKS_DAYS: Final = 750


def grain_of(context: PageContext) -> Grain:
    """Return the steps of a page's charts: those in its URL (``per``), or as the range asks for.

    Raises:
        QueryError: ``per`` is not one of them.
    """
    found = context.get("per")
    period = seen(context)
    days = (period.end - period.start) / timedelta(days=1)
    if found is None:
        return auto_grain(days)
    if found not in GRAINS:
        raise QueryError("per", f"{found[:64]!r} is not one of {', '.join(GRAINS)}")
    at = GRAINS.index(found)
    while days / _STEP[GRAINS[at]] > BUCKETS_MAX and GRAINS[at] != "month":
        at += 1
    return GRAINS[at]


def auto_grain(days: float) -> Grain:
    """Return the steps that suit a range of so many days."""
    if days <= _HOURS_DAYS:
        return "hour"
    if days <= _DAYS_DAYS:
        return "day"
    return "week" if days <= _WEEKS_DAYS else "month"


def seen(context: PageContext) -> Period:
    """Return the part of a page's range that has passed: months and days end in the future."""
    period = context.period()
    return Period(period.start, min(period.end, max(context.now, period.start)))


def previous(context: PageContext) -> Pairs | None:
    """Return the range before a page's own, as pairs of a query; None where there is none.

    Raises:
        QueryError: a range that is not understood.
    """
    given = dict(context.range_pairs())
    period = context.period()
    if "billing_period" in given or period.start <= EPOCH + timedelta(days=1):
        return None
    before = shifted(period, context.now, zone_of(context.tz))
    kept = [(name, given[name]) for name in ("tz", "booked_before") if name in given]
    return [("since", _text(before.start)), ("until", _text(before.end)), *kept]


def shifted(period: Period, now: datetime, zone: ZoneInfo) -> Period:
    """Return the range before a range, of which only what has passed counts."""
    end = min(period.end, now) if now > period.start else period.end
    start, until = (_wall(one, zone) for one in (period.start, end))
    month_after = (start.replace(day=1) + timedelta(days=31)).replace(day=1)
    is_month = start.day == 1 and start.time() == datetime.min.time()
    if is_month and _wall(period.end, zone) == month_after:
        first = (start - timedelta(days=1)).replace(day=1)
        end_before = start if end == period.end else min(first + (until - start), start)
        return Period(_moment(first, zone), _moment(end_before, zone))
    return Period(_moment(start - (until - start), zone), period.start)


def buckets(period: Period, grain: Grain, tz: str) -> list[str]:
    """Return the names of all steps in a range, as reports name them."""
    zone = zone_of(tz)
    if grain == "hour":
        at = period.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = int((period.end - at) / timedelta(hours=1)) + 1
        return list(
            dict.fromkeys(
                hour_label(zone, at + timedelta(hours=n))
                for n in range(min(hours, BUCKETS_MAX + 1))
                if at + timedelta(hours=n) < period.end
            )
        )
    found: list[str] = []
    day = _wall(period.start, zone).date()
    if grain == "week":
        day -= timedelta(days=day.weekday())
    elif grain == "month":
        day = day.replace(day=1)
    while start_of_day(day, zone) < period.end and len(found) <= BUCKETS_MAX:
        found.append(day.isoformat()[:7] if grain == "month" else day.isoformat())
        if grain == "month":
            day = (day + timedelta(days=31)).replace(day=1)
        else:
            day += timedelta(days=7 if grain == "week" else 1)
    return found


def bucket_changes(grain: str, name: str) -> dict[str, Any]:
    """Return the parameters of an URL whose range is one step of a chart."""
    if grain in ("day", "month"):
        return {"period": name, "since": None, "until": None}
    start = datetime.fromisoformat(name)
    if grain == "hour":
        # An hour is one of an UTC clock; that which a change of the clock cuts begins in its midst.
        until = start.astimezone(UTC).replace(minute=0) + timedelta(hours=1)
        return {"period": None, "since": name, "until": _text(until)}
    after = start.date() + timedelta(days=7)
    return {"period": None, "since": name, "until": after.isoformat()}


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    return max(wall.replace(tzinfo=zone).astimezone(UTC), EPOCH)


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
