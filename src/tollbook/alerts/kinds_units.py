"""One thing that costs more than it should: a request, a run, a token."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tollbook.alerts.baseline import DAY_H, hour_of, median, moment_of, quantile
from tollbook.alerts.kinds_spend import dollars, made, times
from tollbook.alerts.sums import Sums, total
from tollbook.money import pico_from_usd, usd_text

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.alerts.rule import Rule
    from tollbook.alerts.signal import Entity, Signal
    from tollbook.alerts.source import Source

_P99: Final = 99
_MTOK: Final = 1_000_000
_RUN_SAMPLES: Final = 20
_RUN_TIMES: Final = 20


def request_cost(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return series of which one request in a hundred has become dear.

    A request is what its callers call one, or else an operation: a call with its retries.
    """
    until = moment_of(hour_of(now))
    since = until - timedelta(hours=rule.window_h)
    current = _by_request(rule, source, since, until)
    found = []
    for entity, own in sorted(current.items(), key=lambda one: str(one[0])):
        if len(own) < max(1, rule.min_calls):
            continue
        high = quantile(own, _P99)
        past = _past_p99(rule, source, since, entity)
        if len(past) < 3:  # noqa: PLR2004 -- two days are no habit
            continue
        usual = median(past)
        threshold = max(usual * rule.ratio_percent // 100, max(past) * 120 // 100)
        excess = sum(one - usual for one in own if one > usual)
        if high > threshold and excess >= rule.min_pico:
            words = (
                f"p99 of {len(own):,} requests is {dollars(high)}, {times(high, usual)} the usual "
                f"{dollars(usual)} (median of {len(past)} days)"
            )
            found.append(made(
                rule, entity, (since, until), Sums(calls=len(own)), observed=usd_text(high),
                expected=usd_text(usual), words=words, excess=excess,
            ))  # fmt: skip
    return found


def _past_p99(rule: Rule, source: Source, since: datetime, entity: Entity) -> list[int]:
    """Return the p99 of each day before; by days of UTC, so that each is read once."""
    midnight = moment_of(hour_of(since) // DAY_H * DAY_H)
    found = []
    for day in range(1, rule.baseline_days + 1):
        start = midnight - timedelta(days=day)
        key = ("p99", rule.each, rule.filters, start)
        if key not in source.memo:
            source.memo[key] = {
                one: (len(own), quantile(own, _P99))
                for one, own in _by_request(rule, source, start, start + timedelta(days=1)).items()
            }
        count, high = source.memo[key].get(entity, (0, 0))
        if count >= max(1, rule.min_calls // 2):
            found.append(high)
    return found


def _by_request(
    rule: Rule, source: Source, since: datetime, until: datetime
) -> dict[Entity, list[int]]:
    by = (*rule.each, "request", "operation_id")
    width = len(rule.each)
    costs: dict[tuple[Entity, str | None], int] = {}
    for key, one in source.window(by, rule.filters, since, until).items():
        unit = (key[:width], key[width] if key[width] is not None else key[width + 1])
        if one.calls and one.unknown < one.calls:
            costs[unit] = costs.get(unit, 0) + one.cost
    found: dict[Entity, list[int]] = {}
    for (entity, _), cost in costs.items():
        found.setdefault(entity, []).append(cost)
    return found


def price_change(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return models whose tokens cost another price than before; the mix of tokens plays no part.

    Each kind of tokens is compared by itself: dollars by million tokens now and before.
    """
    until = moment_of(hour_of(now))
    since = until - timedelta(hours=rule.window_h)
    current = source.window(rule.each, rule.filters, since, until)
    earliest = since - timedelta(days=rule.baseline_days)
    before = source.window(rule.each, rule.filters, earliest, since)
    found = []
    for entity, own in sorted(current.items(), key=lambda one: str(one[0])):
        past = before.get(entity)
        if past is None or own.calls < rule.min_calls or past.calls < rule.min_calls:
            continue
        parts = _rates(own, past)
        excess = sum((now_rate - was) * tokens // _MTOK for _, now_rate, was, tokens in parts)
        changed = [
            (name, now_rate, was) for name, now_rate, was, _ in parts
            if abs(now_rate - was) * 100 > rule.percent * was
        ]  # fmt: skip
        if changed and abs(excess) >= rule.min_pico:
            name, now_rate, was = changed[0]
            words = (
                f"{name} tokens cost {dollars(now_rate)} a million, {dollars(was)} in the "
                f"{rule.baseline_days} days before"
            )
            found.append(made(
                rule, entity, (since, until), own, observed=usd_text(now_rate),
                expected=usd_text(was), words=words, excess=max(0, excess),
            ))  # fmt: skip
    return found


def _rates(own: Sums, past: Sums) -> list[tuple[str, int, int, int]]:
    """Return name, pico by million tokens now and before, and tokens now, of what has a price."""
    pairs = (
        ("input", own.uncached, own.uncached_cost, past.uncached, past.uncached_cost),
        ("output", own.output, own.output_cost, past.output, past.output_cost),
        ("cached input", own.read, own.read_cost, past.read, past.read_cost),
    )
    return [
        (name, paid * _MTOK // tokens, was_paid * _MTOK // was, tokens)
        for name, tokens, paid, was, was_paid in pairs
        if tokens and was and was_paid
    ]


def runaway_run(rule: Rule, source: Source, now: datetime) -> list[Signal]:
    """Return runs of agents that cost too much, take too many steps, or repeat one without end.

    Too much is the rule's limit, or twenty times the median of at least twenty runs.
    """
    since = now - timedelta(hours=rule.window_h)
    by = ("agent_run", "tenant", "step")
    runs: dict[str, list[tuple[Entity, Sums]]] = {}
    for key, one in source.window(by, rule.filters, since, now).items():
        if key[0] is not None and one.calls:
            runs.setdefault(key[0], []).append((key, one))
    sums = {run: total(one for _, one in own) for run, own in runs.items()}
    usual = median([one.cost for one in sums.values()]) if len(sums) >= _RUN_SAMPLES else 0
    limit = pico_from_usd(rule.limit or "0")
    found = []
    for run, own in sorted(sums.items()):
        if own.cost < rule.min_pico or own.calls < rule.min_calls:
            continue
        repeats = max((one.calls for key, one in runs[run] if key[2] is not None), default=0)
        reasons = []
        if limit and own.cost >= limit:
            reasons.append(f"{dollars(own.cost)}, more than {dollars(limit)}")
        elif usual and own.cost >= usual * _RUN_TIMES:
            reasons.append(f"{dollars(own.cost)}, {times(own.cost, usual)} the median run")
        if own.calls >= rule.limit_steps:
            reasons.append(f"{own.calls:,} calls, more than {rule.limit_steps:,}")
        if repeats >= rule.limit_repeats:
            reasons.append(f"one step {repeats:,} times")
        if reasons:
            tenants = {key[1] for key, _ in runs[run]}
            tenant = next(iter(tenants)) if len(tenants) == 1 else None
            found.append(made(
                rule, (run,), (since, now), own, observed=usd_text(own.cost),
                expected=usd_text(usual) if usual else None, excess=own.cost - usual,
                words=f"one run: {'; '.join(reasons)}", tenant=tenant, runs=(run,),
            ))  # fmt: skip
    return found
