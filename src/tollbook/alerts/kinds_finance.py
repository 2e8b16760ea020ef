"""Limits of people: keys and budgets near their cap, margins below target, months over budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tollbook.alerts.baseline import hour_of, moment_of
from tollbook.alerts.kinds_spend import dollars, made
from tollbook.alerts.signal import Signal
from tollbook.alerts.sums import Sums
from tollbook.errors import TollbookError
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.times import start_of_day
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.alerts.finance import Ask
    from tollbook.alerts.rule import Rule
    from tollbook.alerts.signal import Unit
    from tollbook.alerts.source import Source

_WEEK: Final = timedelta(days=7)
_TENTH: Final = 10


def cap_near(rule: Rule, ask: Ask, now: datetime) -> list[Signal]:
    """Return budgets whose owner has used most of them."""
    found = []
    for row in _standings(ask):
        percent = row.get("percent")
        if not isinstance(percent, int) or percent < rule.percent:
            continue
        left = f"{_amount(row, 'spent')} of {_amount(row, 'limit')}"
        words = f"{percent} % used: {left}; it resets at {row['resets_at']}"
        found.append(_of_budget(
            rule, row, now, observed=str(percent), expected=str(rule.percent), unit="percent",
            words=words,
        ))  # fmt: skip
    return found


def _amount(row: dict[str, Any], name: str) -> str:
    if row["unit"] == "usd":
        return dollars(pico_from_usd(row[name]))
    return f"{row[name]} {row['unit']}"


def _standings(ask: Ask) -> list[dict[str, Any]]:
    answer = ask("budgets.standing", {})
    return [] if answer is None else list(answer.get("rows", ()))


def _of_budget(
    rule: Rule, row: dict[str, Any], now: datetime, *, observed: str, expected: str, unit: Unit,
    words: str, excess: int = 0,
) -> Signal:  # fmt: skip
    owner: dict[str, str] = dict(row.get("owner_fields") or {})
    start = row.get("window_start")
    since = now - timedelta(hours=rule.window_h) if start is None else _moment(start)
    return Signal(
        rule=rule.name, kind=rule.kind, severity=rule.severity, each=("budget", *owner),
        entity=(row["budget"], *owner.values()), since=since, until=max(now, since + _SECOND),
        where=tuple(f"{_DIMENSION.get(name, name)}={value}" for name, value in owner.items()),
        observed=observed, expected=expected, unit=unit, excess_pico=excess, calls=0, words=words,
        tenant=owner.get("tenant"),
    )  # fmt: skip


_SECOND: Final = timedelta(seconds=1)
_DIMENSION: Final = {"key": "api_key", "tenant_id": "tenant"}


def _moment(text: str) -> datetime:
    # "2026-11-01 00:00 CET" is for people; what has an offset is read.
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.fromisoformat(text[:10])
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def margin_below(rule: Rule, ask: Ask, now: datetime) -> list[Signal]:
    """Return tenants, plans or features whose margin misses its target this month."""
    by = rule.each[0] if rule.each else "tenant"
    try:
        answer = ask("margin.show", {"by": by, "since": "month", "tz": rule.tz})
    except TollbookError:
        return []  # on the first moment of a month there is nothing between its start and now
    found = []
    for row in [] if answer is None else answer.get("rows", ()):
        if not row.get("alerts") or row["margin_percent"] is None:
            continue  # whose revenue is not known has no margin; the margin page says whose
        since = start_of_day(now.astimezone(zone_of(rule.tz)).date().replace(day=1),
                             zone_of(rule.tz))  # fmt: skip
        name = None if row[by] == "unknown" else row[by]
        is_whole = not rule.each
        short = -pico_from_usd(row["gross_margin_usd"])
        found.append(made(
            rule, () if is_whole else (name,), (since, now), Sums(calls=int(row["calls"])),
            observed=row["margin_percent"], expected=None, unit="percent",
            excess=max(0, short), words="; ".join(row["alerts"]),
        ))  # fmt: skip
    return found


def forecast_over(rule: Rule, source: Source, ask: Ask, now: datetime) -> list[Signal]:
    """Return what will cost more than its month's limit, if it goes on as in the last days.

    An estimate: month to date and the hourly mean of the last seven days for the rest of it; of
    budgets, their pace since the window began, once a tenth of it is over.
    """
    found = []
    if rule.limit is not None and pico_from_usd(rule.limit):
        found += _over_limit(rule, source, now)
    for row in _standings(ask):
        if row["unit"] != "usd" or row.get("window") not in ("month", "week"):
            continue
        start, end = _moment(row["window_start"]), _moment(row["resets_at"])
        gone, whole = hour_of(now) - hour_of(start), hour_of(end) - hour_of(start)
        if gone * _TENTH < whole or gone <= 0:
            continue
        limit = pico_from_usd(row["limit"]) + pico_from_usd(row.get("top_ups") or "0")
        spent = pico_from_usd(row["spent"])
        over = spent * whole // gone - limit
        if limit and over >= rule.min_pico:
            words = (
                f"on track for {dollars(limit + over)} of {dollars(limit)} by {row['resets_at']} "
                f"({dollars(spent)} so far; estimate: the pace since the window began)"
            )
            found.append(_of_budget(
                rule, row, now, observed=usd_text(limit + over), expected=usd_text(limit),
                unit="usd", words=words, excess=over,
            ))  # fmt: skip
    return found


def _over_limit(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    zone = zone_of(rule.tz)
    first = now.astimezone(zone).date().replace(day=1)
    start = start_of_day(first, zone)
    end = start_of_day((first + timedelta(days=31)).replace(day=1), zone)
    until = moment_of(hour_of(now))
    if until <= start:
        return []
    limit, rest = pico_from_usd(rule.limit or "0"), hour_of(end) - hour_of(now)
    week = source.window(rule.each, rule.filters, until - _WEEK, until)
    found = []
    for entity, own in sorted(
        source.window(rule.each, rule.filters, start, until).items(), key=lambda one: str(one[0])
    ):
        projected = own.cost + week.get(entity, Sums()).cost * rest // 168
        over = projected - limit
        if over >= rule.min_pico:
            words = (
                f"on track for {dollars(projected)} of {dollars(limit)} this month "
                f"({dollars(own.cost)} so far; estimate: the hourly mean of the last 7 days)"
            )
            found.append(made(
                rule, entity, (start, until), own, observed=usd_text(projected),
                expected=usd_text(limit), words=words, excess=over,
            ))  # fmt: skip
    return found
