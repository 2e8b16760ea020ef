"""``insights.forecast``: days ahead and the end of the month, with an interval and its trial."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.insights.forecast_days import Days, History, read_days
from tollbook.insights.forecast_model import HIGH, LOW, ORIGINS, Band, Forecast, TooShort, forecast
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

AHEAD_MAX: Final = 366
HISTORY: Final = "180d"
_GROUP_ORIGINS: Final = 16
"""Many groups are forecast at once."""
METHOD: Final = (
    "An estimate. History: spend of complete local days since the first with any. Three methods "
    "are tried on it: the shape of a week (each day against the mean of the seven around it, the "
    "median of eight weeks) on the level of the last 14 days (their median without that shape); "
    "the same with the damped Theil-Sen trend of the last 28 days; and the median of the "
    "last three weeks for each weekday. Each forecasts the history from up to 48 (a group: 16) "
    "earlier days as if what followed were not known; the nearest is used. Low and high are the "
    f"{LOW}th and {HIGH}th percentile of "
    "actual to forecast in that trial; a method that was mostly too low or too high is corrected "
    "by the median. What is known of the running month is not forecast: it is "
    "added as it is, and of today only the share that usually comes after this time of day is "
    "expected. Groups are forecast each for itself and need not add up to the total."
)


class ForecastRequest(Asked, kw_only=True):
    """How far, by what; ``since`` is where the history starts, ``until`` the moment it ends."""

    by: str | None = None
    days: int = 30
    """Days ahead, today not counted."""


class Outlook(NamedTuple):
    """What is known and expected of one group; None where nothing can be forecast."""

    known: int
    """Of the running month."""
    today: int
    """Known of today."""
    month: Band | None
    ahead: Band | None
    """From now on."""
    model: Forecast | None
    reason: str | None
    rest_of_today: int = 0


class MonthOutlook(NamedTuple):
    """The outlook of all, and of each group under its value; None is not set."""

    total: Outlook
    groups: dict[str | None, Outlook]


def month_outlook(reader: Reader, query: SpendQuery, by: str | None = None) -> MonthOutlook:
    """Return what a month will come to.

    Args:
        reader: the ledger.
        query: history (180 days are enough) up to the moment that counts as now, and filters.
        by: dimension of the groups; None: all only.

    Raises:
        QueryTimeoutError: it took too long.
    """
    days = read_days(reader, query, by)
    ahead = days.days_to_month_end
    return MonthOutlook(
        outlook(days.total, days, ahead),
        {
            name: outlook(history, days, ahead, _GROUP_ORIGINS)
            for name, history in days.groups.items()
        },
    )


def outlook(history: History, days: Days, ahead: int, origins: int = ORIGINS) -> Outlook:
    """Return the outlook of one history: the month's end, and so many days after today."""
    known = history.between(days.month, days.today + timedelta(days=1))
    today = history.amounts.get(days.today, 0)
    first, amounts = history.complete(days.first, days.today)
    horizon = 1 + max(ahead, days.days_to_month_end)
    model = forecast(amounts, first.weekday(), horizon, origins)
    if isinstance(model, TooShort):
        return Outlook(known, today, None, None, None, model.reason)
    rest = round(model.days[0].expected * days.rest_of_today)
    parts = [rest, *(band.expected for band in model.days[1:])]
    return Outlook(
        known, today, model.sum_band(known, parts[: 1 + days.days_to_month_end]),
        model.sum_band(0, parts[: 1 + ahead]), model, None, rest,
    )  # fmt: skip


def run_forecast(desk: Desk, asked: ForecastRequest) -> dict[str, Any]:
    """Answer with days (or groups), the month's end, and how well the method did before."""
    if not 1 <= asked.days <= AHEAD_MAX:
        raise QueryError("--days", f"{asked.days} is not between 1 and {AHEAD_MAX}")
    by = None if asked.by is None else dimension_of(asked.by)
    if asked.since is None and asked.period is None:
        asked = msgspec.structs.replace(asked, since=HISTORY)
    query = query_of(asked, measures=("cost_usd",))
    days = read_days(desk.reader, query, by, checked_limit(asked.limit))
    whole = outlook(days.total, days, asked.days)
    day_rows = _day_rows(days, whole, asked.days)
    rows = day_rows if by is None else _group_rows(days, by, asked)
    return answer(desk, query, Finding(
        rows=rows, by=() if by is None else (by,), method=METHOD,
        totals={
            "month": days.month.isoformat()[:7], "month_known_usd": usd_text(whole.known),
            **_bands("month", whole.month), "days_ahead": asked.days,
            **_bands("ahead", whole.ahead), "reason": whole.reason,
        },
        headline=_words(days, whole),
        at_stake=None if whole.month is None else whole.month.expected,
        more={
            "days": day_rows,
            "backtest": None if whole.model is None else whole.model.backtest,
            "model": None if whole.model is None else whole.model.backtest.method,
        },
    ))  # fmt: skip


def _bands(name: str, band: Band | None) -> dict[str, str | None]:
    low, expected, high = (None, None, None) if band is None else map(usd_text, band)
    return {f"{name}_low_usd": low, f"{name}_expected_usd": expected, f"{name}_high_usd": high}


def _day_rows(days: Days, whole: Outlook, ahead: int) -> list[dict[str, Any]]:
    """Return complete days, today as far as it is known with what is expected, and days ahead."""
    first, amounts = days.total.complete(days.first, days.today)
    start = first
    rows: list[dict[str, Any]] = []
    for at in range(len(amounts)):
        day = start + timedelta(days=at)
        rows.append(_day(day, days.total.amounts.get(day, 0), None, "known"))
    if whole.model is None:
        return [*rows, _day(days.today, whole.today, None, "running")]
    bands = whole.model.days
    rest = whole.rest_of_today
    low, high = bands[0].low, bands[0].high
    expected = bands[0].expected
    running = Band(
        whole.today + (rest * low // expected if expected else 0), whole.today + rest,
        whole.today + (rest * high // expected if expected else 0),
    )  # fmt: skip
    rows.append(_day(days.today, whole.today, running, "running"))
    rows += [
        _day(days.today + timedelta(days=at), None, bands[at], "forecast")
        for at in range(1, ahead + 1)
    ]
    return rows


def _day(day: date, actual: int | None, band: Band | None, state: str) -> dict[str, Any]:
    low, expected, high = (None, None, None) if band is None else map(usd_text, band)
    return {
        "day": day.isoformat(), "state": state,
        "actual_usd": None if actual is None else usd_text(actual),
        "low_usd": low, "expected_usd": expected, "high_usd": high,
    }  # fmt: skip


def _group_rows(days: Days, by: str, asked: ForecastRequest) -> list[dict[str, Any]]:
    """Return the groups with the largest spend in the history, each forecast for itself."""
    sums = {name: sum(one.amounts.values()) for name, one in days.groups.items()}
    largest = sorted(sums, key=lambda name: (-sums[name], str(name)))
    rows = []
    for name in largest:
        found = outlook(days.groups[name], days, asked.days, _GROUP_ORIGINS)
        backtest = None if found.model is None else found.model.backtest
        rows.append({
            by: UNKNOWN if by == "tenant" and name is None else name,
            "month_known_usd": usd_text(found.known), **_bands("month", found.month),
            **_bands("ahead", found.ahead),
            "error_percent": None if backtest is None else backtest.error_percent,
            "coverage_percent": None if backtest is None else backtest.coverage_percent,
            "model": found.reason if backtest is None else backtest.method,
        })  # fmt: skip
    return rows


def _words(days: Days, whole: Outlook) -> str:
    month = f"{days.month:%B}"
    if whole.month is None:
        return f"{month} has cost {shown(whole.known)} so far. No forecast: {whole.reason}."
    low, expected, high = whole.month
    return (
        f"{month} will come to {shown(expected)} (between {shown(low)} and {shown(high)}); "
        f"{shown(whole.known)} of it is spent."
    )
