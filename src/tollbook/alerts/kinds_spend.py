"""Spend that is not as usual: the last hour, the last seven days, somebody new."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tollbook.alerts.baseline import (
    DAY_H,
    WEEK_H,
    Baseline,
    baseline,
    hour_of,
    median,
    moment_of,
)
from tollbook.alerts.signal import Signal, Unit, entity_filters
from tollbook.alerts.sums import Sums
from tollbook.money import PICO_PER_USD, usd_text
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.alerts.rule import Rule
    from tollbook.alerts.signal import Entity
    from tollbook.alerts.source import Source

_HALF: Final = timedelta(minutes=30)
HISTORY_DAYS: Final = 7
"""A ledger younger than that knows nobody: everybody would be new."""


def dollars(pico: int) -> str:
    """Return dollars for a sentence: two digits, or four where it is some cents."""
    places = 4 if 0 < abs(pico) < PICO_PER_USD else 2
    step: int = 10 ** (12 - places)
    rounded = (abs(pico) + step // 2) // step * step
    whole, _, part = usd_text(rounded).partition(".")
    return f"{'-' if pico < 0 else ''}${int(whole):,}.{part[:places]}"


def times(one: int, other: int) -> str:
    """Return how many times as much something is, for a sentence."""
    if other <= 0:
        return "far more than"
    tenths = (one * 10 + other // 2) // other
    return f"{tenths // 10}.{tenths % 10} times" if tenths < 1000 else f"{tenths // 10} times"  # noqa: PLR2004 -- a digit less


def made(
    rule: Rule, entity: Entity, span: tuple[datetime, datetime], sums: Sums, *, observed: str,
    expected: str | None, words: str, unit: Unit = "usd", excess: int = 0,
    tenant: str | None = None, runs: tuple[str, ...] = (), where: tuple[str, ...] = (),
) -> Signal:  # fmt: skip
    """Return a signal of a rule about one series."""
    return Signal(
        rule=rule.name, kind=rule.kind, severity=rule.severity, each=rule.each, entity=entity,
        since=span[0], until=span[1], where=(*entity_filters(rule, entity), *where),
        observed=observed, expected=expected, unit=unit, excess_pico=excess, calls=sums.calls,
        words=words, tenant=tenant, runs=runs,
    )  # fmt: skip


def burn_rate(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series whose last hours cost much more than the same hours of the weeks before."""
    since = now - timedelta(hours=rule.window_h)
    current = source.window(rule.each, rule.filters, since, now)
    candidates = {
        entity for entity, one in current.items()
        if one.cost >= rule.min_pico and one.calls >= rule.min_calls
    }  # fmt: skip
    watches_silence = rule.no_data == "alert"
    if not candidates and not watches_silence:
        return []
    last = hour_of(since)
    first = last - DAY_H * rule.baseline_days
    history = source.hours(
        rule.each, rule.filters, first, last, None if watches_silence else candidates
    )
    found = []
    for entity in sorted(candidates, key=str):
        usual = expected_of(rule, history.get(entity, {}), hour_of(now - _HALF), last)
        if usual is None:
            continue
        own = current[entity]
        excess = own.cost - usual.expected
        if own.cost > usual.threshold and excess >= rule.min_pico:
            words = (
                f"{dollars(own.cost)} in the last {_hours(rule.window_h)}, "
                f"{times(own.cost, usual.expected)} the usual {dollars(usual.expected)} "
                f"(median of {usual.samples} hours: {usual.method})"
            )
            found.append(made(
                rule, entity, (since, now), own, observed=usd_text(own.cost),
                expected=usd_text(usual.expected), words=words, excess=excess,
            ))  # fmt: skip
    if watches_silence:
        found += _silent(rule, source, now, set(current))
    return found


def expected_of(rule: Rule, own: dict[int, Sums], at: int, last: int) -> Baseline | None:
    """Return what a series is expected to cost in the window of a rule that ends in hour ``at``.

    Args:
        rule: says how much more is unusual.
        own: its sums by hour.
        at: the hour that the window is mostly in.
        last: the first hour that is not history.
    """
    active = [hour for hour, one in own.items() if one.calls]
    if not active:
        return None
    first = max(last - DAY_H * rule.baseline_days, min(active))
    if rule.window_h > 1:
        own = _rolled(own, first, last, rule.window_h)
    series = {hour: one for hour, one in own.items() if hour < last}
    return baseline(
        series, min(at, last + 1), first, zone_of(rule.tz), ratio_percent=rule.ratio_percent,
        deviations=rule.deviations,
    )  # fmt: skip


def _rolled(own: dict[int, Sums], first: int, last: int, width: int) -> dict[int, Sums]:
    """Return the sums of the ``width`` hours up to each hour."""
    rolled = {}
    for hour in range(first, last):
        found = Sums()
        for part in range(hour - width + 1, hour + 1):
            one = own.get(part)
            if one is not None:
                found = found.plus(one)
        rolled[hour] = found
    return rolled


def _silent(rule: Rule, source: Source, now: datetime, heard: set[Entity]) -> list[Signal]:
    """Return series without a call in the window that usually have many."""
    since = now - timedelta(hours=rule.window_h)
    last = hour_of(since)
    first = last - DAY_H * rule.baseline_days
    found = []
    for entity, own in source.hours(rule.each, rule.filters, first, last).items():
        if entity in heard:
            continue
        usual = baseline(
            own, hour_of(now - _HALF), max(first, min(own)), zone_of(rule.tz), ratio_percent=100,
            deviations=0, value=lambda one: one.calls,
        )  # fmt: skip
        if usual is not None and usual.expected >= max(1, rule.min_calls):
            words = f"no calls in the last {_hours(rule.window_h)}, usually {usual.expected:,}"
            found.append(made(
                rule, entity, (since, now), Sums(), observed="0", expected=str(usual.expected),
                unit="count", words=words,
            ))  # fmt: skip
    return found


def _hours(count: int) -> str:
    return "hour" if count == 1 else f"{count} hours"


def deviation(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series whose last week costs much more than the weeks before it."""
    until = moment_of(hour_of(now))
    width = timedelta(hours=rule.window_h)
    since = until - width
    current = source.window(rule.each, rule.filters, since, until)
    weeks = max(2, rule.baseline_days * DAY_H // rule.window_h)
    before = [
        source.window(rule.each, rule.filters, since - width * (at + 1), since - width * at)
        for at in range(weeks)
    ]
    found = []
    for entity, own in sorted(current.items(), key=lambda one: str(one[0])):
        past = [one[entity].cost for one in before if entity in one and one[entity].calls]
        if own.cost < rule.min_pico or own.calls < rule.min_calls or len(past) < 2:  # noqa: PLR2004 -- one week is no habit
            continue
        usual = median(past)
        threshold = max(usual * rule.ratio_percent // 100, max(past) * 110 // 100)
        excess = own.cost - usual
        if own.cost > threshold and excess >= rule.min_pico:
            days = rule.window_h * 10 // DAY_H
            words = (
                f"{dollars(own.cost)} in the last {days // 10} days, {times(own.cost, usual)} the "
                f"usual {dollars(usual)} (median of the {len(past)} before)"
            )
            found.append(made(
                rule, entity, (since, until), own, observed=usd_text(own.cost),
                expected=usd_text(usual), words=words, excess=excess,
            ))  # fmt: skip
    return found


def new_spender(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series that cost something and never did in the days before."""
    until = moment_of(hour_of(now))
    since = until - timedelta(hours=rule.window_h)
    current = source.window(rule.each, rule.filters, since, now)
    wanted = {
        entity for entity, one in current.items()
        if one.cost >= rule.min_pico and one.calls >= rule.min_calls and None not in entity
    }  # fmt: skip
    if not wanted:
        return []
    earliest = since - timedelta(days=rule.baseline_days)
    before = source.window(rule.each, rule.filters, earliest, since)
    known = {entity for entity, one in before.items() if one.calls}
    week = since - timedelta(hours=WEEK_H)
    if not source.window((), (), earliest, week).get((), Sums()).calls:
        return []
    return [
        made(
            rule, entity, (since, now), current[entity], observed=usd_text(current[entity].cost),
            expected="0.000000000000", excess=current[entity].cost,
            words=f"{dollars(current[entity].cost)} in {rule.window_h} hours, and nothing in the "
            f"{rule.baseline_days} days before",
        )
        for entity in sorted(wanted - known, key=str)
    ]  # fmt: skip
