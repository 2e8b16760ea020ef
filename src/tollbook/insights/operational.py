"""``insights.operational``: what an operator looks at first: burn, deviation, the dearest calls."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from tollbook import clock
from tollbook.desk.registry import operations
from tollbook.insights.asked import (
    Asked,
    Finding,
    answer,
    checked_limit,
    dimension_of,
    query_of,
    shown,
)
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import percent, rounded
from tollbook.reports.times import parse_period
from tollbook.reports.top_calls import top_calls
from tollbook.reports.unit_quantiles import QUANTILES, UnitQuantiles, unit_quantiles
from tollbook.reports.wide import wide_rows
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.desk import Desk
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_BASELINE_DAYS: Final = 30
_WEEK_DAYS: Final = 7
_EACH: Final = 3
_NEAR_PERCENT: Final = 80
_KEYS_SHOWN: Final = 20
_P99: Final = QUANTILES.index(99)
METHOD: Final = (
    "Burn rate: the cost of calls of the last hour against the average hour of the 30 days "
    "before, and against the average of the same hour of the day in those days. Deviation: the "
    "last 24 hours against the average of the seven times 24 hours before. Dearest calls and the "
    "99th percentile of a request's cost (nearest rank; operations where no request is named) "
    "are of the last 24 hours. Keys near their cap are owners of budgets by key with 80 % or "
    "more of the limit spent, as the budgets themselves count."
)


class OperationalRequest(Asked, kw_only=True):
    """As of when, by what; ``until`` is the moment that counts as now."""

    by: str = "feature"


class Burn(NamedTuple):
    """Pico of one group."""

    hour: int = 0
    baseline: int = 0
    """Of the 30 days before the last hour."""
    same_hours: int = 0
    """Of those, the same hour of each day."""
    day: int = 0
    week: int = 0
    """Of the seven days before the last 24 hours."""

    def plus(self, **more: int) -> Burn:
        """Return the sums."""
        return self._replace(**{name: getattr(self, name) + more[name] for name in more})


def operational(desk: Desk, asked: OperationalRequest) -> dict[str, Any]:
    """Answer with groups by how much faster they spend than they did."""
    by = dimension_of(asked.by)
    now = clock.utc_now()
    if asked.until is not None:
        now = parse_period(asked.until, zone_of(asked.tz), now, "--until").start
    base = query_of(_plain(asked))
    query = replace(base, since=now - _DAY, until=now, by=(by,), measures=("calls", "cost_usd"))
    groups = read_burn(desk.reader, query, now)
    requests = unit_quantiles(desk.reader, "request", query)
    calls = unit_quantiles(desk.reader, "operation", query)
    total = Burn()
    for burn in groups.values():
        total = total.plus(**burn._asdict())
    ranked = sorted(groups.items(), key=lambda item: (-item[1].day, str(item[0])))
    rows = [
        {by: _name(by, name)} | _measures(burn, _p99(requests, calls, name))
        for name, burn in ranked[: checked_limit(asked.limit)]
    ]
    return answer(desk, query, Finding(
        rows=rows, by=(by,), totals=_measures(total, None), method=METHOD,
        headline=_words(total), at_stake=total.day,
        more={
            "top_calls": [
                {
                    by: _name(by, one.group[0]), "call_id": one.call_id,
                    "called_at": one.called_at, "tenant": one.tenant or UNKNOWN,
                    "model": one.model, "cost_usd": usd_text(one.cost),
                    "input_tokens": one.input_tokens, "output_tokens": one.output_tokens,
                }
                for one in top_calls(desk.reader, query, _EACH)
            ],
            "keys": keys_near_cap(desk),
        },
    ))  # fmt: skip


def _plain(asked: OperationalRequest) -> Asked:
    return Asked(tz=asked.tz, where=asked.where)


def read_burn(reader: Reader, query: SpendQuery, now: datetime) -> dict[str | None, Burn]:
    """Return what each group spent in the last hour, day, week and month.

    Raises:
        QueryTimeoutError: it took too long.
    """
    (by,) = query.by
    groups: dict[str | None, Burn] = defaultdict(Burn)

    def add(field: str, since: datetime, until: datetime) -> None:
        asked = replace(query, since=since, until=until, measures=("cost_usd",))
        for row in wide_rows(reader, asked):
            groups[row[by]] = groups[row[by]].plus(**{field: row["cost_usd"] or 0})

    add("hour", now - _HOUR, now)
    add("baseline", now - _HOUR - _BASELINE_DAYS * _DAY, now - _HOUR)
    add("day", now - _DAY, now)
    add("week", now - (_WEEK_DAYS + 1) * _DAY, now - _DAY)
    for row in _same_hours(reader, query, now):
        groups[row[by]] = groups[row[by]].plus(same_hours=row["cost_usd"] or 0)
    return dict(groups)


def _same_hours(reader: Reader, query: SpendQuery, now: datetime) -> list[dict[str, Any]]:
    """Return the sums of the clock hour that half an hour ago was in, on each day before."""
    (by,) = query.by
    middle = (now - _HOUR / 2).replace(minute=0, second=0, microsecond=0)
    asked = replace(
        query, since=middle - _BASELINE_DAYS * _DAY, until=middle, by=("hour", by),
        measures=("cost_usd",), tz="UTC",
    )  # fmt: skip
    return [row for row in wide_rows(reader, asked) if row["hour"].hour == middle.hour]


def _measures(burn: Burn, p99: UnitQuantiles | None) -> dict[str, Any]:
    hourly = rounded(burn.baseline, _BASELINE_DAYS * 24)
    usual = rounded(burn.same_hours, _BASELINE_DAYS)
    daily = rounded(burn.week, _WEEK_DAYS)
    return {
        "last_hour_usd": usd_text(burn.hour), "baseline_hour_usd": usd_text(hourly),
        "same_hour_usd": usd_text(usual), "burn_percent": percent(burn.hour, usual),
        "last_day_usd": usd_text(burn.day), "baseline_day_usd": usd_text(daily),
        "deviation_usd": usd_text(burn.day - daily),
        "deviation_percent": percent(burn.day - daily, daily),
        "p99_request_usd": None if p99 is None else usd_text(p99.quantiles[_P99]),
        "requests": None if p99 is None else p99.units,
    }  # fmt: skip


def _p99(
    requests: dict[tuple[Any, ...], UnitQuantiles], calls: dict[tuple[Any, ...], UnitQuantiles],
    name: str | None,
) -> UnitQuantiles | None:  # fmt: skip
    return requests.get((name,)) or calls.get((name,))


def keys_near_cap(desk: Desk) -> list[dict[str, Any]]:
    """Return owners of budgets by key that have spent most of their limit, the nearest first."""
    standing = operations().get("budgets.standing")
    if standing is None:
        return []
    answered = standing.run(desk, msgspec.convert({}, standing.request))
    rows = msgspec.to_builtins(answered)["rows"]
    near = [row for row in rows if "api_key" in str(row.get("owner")) and _spent(row) is not None]
    near = [row for row in near if (_spent(row) or 0) >= _NEAR_PERCENT]
    near.sort(key=lambda row: -(_spent(row) or 0))
    return near[:_KEYS_SHOWN]


def _spent(row: dict[str, Any]) -> int | None:
    text = row.get("percent")
    return None if text is None else int(str(text).partition(".")[0])


def _name(by: str, name: str | None) -> str | None:
    return UNKNOWN if by == "tenant" and name is None else name


def _words(total: Burn) -> str:
    usual = rounded(total.same_hours, _BASELINE_DAYS)
    daily = rounded(total.week, _WEEK_DAYS)
    text = f"The last hour cost {shown(total.hour)}"
    if usual > 0:
        text += f", {percent(total.hour, usual)} % of what this hour of the day usually costs"
    text += f"; the last 24 hours {shown(total.day)}"
    if daily > 0:
        change = percent(abs(total.day - daily), daily)
        text += f", {change} % {'more' if total.day >= daily else 'less'} than a day of last week"
    return f"{text}."
