"""Shares that go wrong: errors, retries, cache hits, calls of nobody, calls without a price."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tollbook.alerts.baseline import DAY_H, hour_of, moment_of
from tollbook.alerts.kinds_spend import dollars, made
from tollbook.alerts.sums import Sums, total
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tollbook.alerts.rule import Rule
    from tollbook.alerts.signal import Entity, Signal
    from tollbook.alerts.source import Source

_HUNDRED: Final = 100
_CACHE_USUAL_PERCENT: Final = 20
"""Who reads less than that from the cache has nothing that could collapse."""


def error_storm(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series of whose calls many more fail than usual."""
    return _storm(rule, source, now, lambda one: one.errors, "calls failed")


def retry_storm(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series of whose calls many more are further attempts than usual."""
    return _storm(rule, source, now, lambda one: one.retries, "calls were further attempts")


def _storm(
    rule: Rule, source: Source, now: datetime, part: Callable[[Sums], int], what: str
) -> list[Signal]:
    since = now - timedelta(hours=rule.window_h)
    current = source.window(rule.each, rule.filters, since, now)
    wanted = {
        entity: one for entity, one in current.items()
        if part(one) >= max(1, rule.min_calls)
        and part(one) * _HUNDRED >= rule.percent * one.calls
    }  # fmt: skip
    if not wanted:
        return []
    before = _past(rule, source, since, set(wanted))
    found = []
    for entity, own in sorted(wanted.items(), key=lambda one: str(one[0])):
        past = before.get(entity, Sums())
        count = part(own)
        # Exact comparison of two shares, without a division.
        is_usual = past.calls and (
            count * past.calls * _HUNDRED < rule.ratio_percent * part(past) * own.calls
        )
        # What the attempts cost by themselves no sum says: their share of the dollars.
        excess = own.cost * count // own.calls
        if is_usual or excess < rule.min_pico:
            continue
        usual = _share(part(past), past.calls)
        words = (
            f"{count:,} of {own.calls:,} {what} ({_share(count, own.calls)} %), usually {usual} %"
        )
        found.append(made(
            rule, entity, (since, now), own, observed=_share(count, own.calls), expected=usual,
            unit="percent", words=words, excess=excess,
        ))  # fmt: skip
    return found


def _past(rule: Rule, source: Source, since: datetime, wanted: set[Entity]) -> dict[Entity, Sums]:
    last = hour_of(since)
    first = last - rule.baseline_days * DAY_H
    hours = source.hours(rule.each, rule.filters, first, last, wanted)
    return {entity: total(hours.get(entity, {}).values()) for entity in wanted}


def _share(part: int, whole: int) -> str:
    """Return percent with one digit after the point."""
    if not whole:
        return "0.0"
    tenths = (part * 1000 + whole // 2) // whole
    return f"{tenths // 10}.{tenths % 10}"


def cache_collapse(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series that read much less of their input from the provider's cache than before."""
    until = moment_of(hour_of(now))
    since = until - timedelta(hours=rule.window_h)
    current = source.window(rule.each, rule.filters, since, until)
    before = source.window(
        rule.each, rule.filters, since - timedelta(days=rule.baseline_days), since
    )
    found = []
    for entity, own in sorted(current.items(), key=lambda one: str(one[0])):
        past = before.get(entity)
        if past is None or own.calls < rule.min_calls or past.calls < rule.min_calls:
            continue
        tokens, was = own.read + own.uncached, past.read + past.uncached
        if not tokens or not was or past.read * _HUNDRED < _CACHE_USUAL_PERCENT * was:
            continue
        # Fallen by more than the limit: own.read/tokens < past.read/was * (1 - limit).
        if own.read * was * _HUNDRED >= past.read * tokens * (_HUNDRED - rule.percent):
            continue
        lost = past.read * tokens // was - own.read
        excess = _paid_more(lost, own, past)
        if excess < rule.min_pico:
            continue
        words = (
            f"{_share(own.read, tokens)} % of the input came from the cache, usually "
            f"{_share(past.read, was)} %; {lost:,} tokens at full price, {dollars(excess)}"
        )
        found.append(made(
            rule, entity, (since, until), own, observed=_share(own.read, tokens),
            expected=_share(past.read, was), unit="percent", words=words, excess=excess,
        ))  # fmt: skip
    return found


def _paid_more(tokens: int, own: Sums, past: Sums) -> int:
    """Return what tokens cost at the full price above that of the cache, in pico."""
    if not own.uncached or not past.read:
        return 0
    full = own.uncached_cost * tokens // own.uncached
    return max(0, full - past.read_cost * tokens // past.read)


def unattributed(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return how much of what is spent is nobody's, where that is too much."""
    until = moment_of(hour_of(now))
    since = until - timedelta(hours=rule.window_h)
    by = (*rule.each, "tenant") if "tenant" not in rule.each else rule.each
    wholes: dict[Entity, list[Sums]] = {}
    nobody: dict[Entity, list[Sums]] = {}
    at = by.index("tenant")
    for key, one in source.window(by, rule.filters, since, until).items():
        entity = key[: len(rule.each)]
        wholes.setdefault(entity, []).append(one)
        if key[at] is None:
            nobody.setdefault(entity, []).append(one)
    found = []
    for entity, some in sorted(nobody.items(), key=lambda one: str(one[0])):
        whole, own = total(wholes[entity]), total(some)
        if own.calls < rule.min_calls or own.cost < rule.min_pico:
            continue
        if own.cost * _HUNDRED > rule.percent * whole.cost:
            words = (
                f"{dollars(own.cost)} of {dollars(whole.cost)} in {rule.window_h} hours have no "
                f"tenant ({_share(own.cost, whole.cost)} %, {own.calls:,} calls)"
            )
            found.append(made(
                rule, entity, (since, until), own, observed=_share(own.cost, whole.cost),
                expected=str(rule.percent), unit="percent", words=words, excess=own.cost,
                where=("tenant=",),
            ))  # fmt: skip
    return found


def unpriced(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return models that were called without anybody knowing what that costs."""
    until = moment_of(hour_of(now))
    since = until - timedelta(hours=rule.window_h)
    where = (*rule.filters, Filter("price_state", ("unpriced",)))
    return [
        made(
            rule, entity, (since, until), own, observed=str(own.unknown), expected="0",
            unit="count", where=("price_state=unpriced",),
            words=f"{own.unknown:,} calls in {rule.window_h} hours have no price; add a price card",
        )
        for entity, own in sorted(
            source.window(rule.each, where, since, until).items(), key=lambda one: str(one[0])
        )
        if own.unknown >= max(1, rule.min_calls)
    ]  # fmt: skip
