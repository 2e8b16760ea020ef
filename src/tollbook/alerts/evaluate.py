"""Evaluate rules as of a moment: every signal, and which rules were looked at."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.alerts.baseline import hour_of
from tollbook.alerts.kinds_finance import cap_near, forecast_over, margin_below
from tollbook.alerts.kinds_spend import burn_rate, deviation, new_spender
from tollbook.alerts.kinds_storms import (
    cache_collapse,
    error_storm,
    retry_storm,
    unattributed,
    unpriced,
)
from tollbook.alerts.kinds_units import price_change, request_cost, runaway_run
from tollbook.alerts.rule import Kind
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tollbook.alerts.finance import Ask
    from tollbook.alerts.rule import Rule
    from tollbook.alerts.signal import Signal
    from tollbook.alerts.source import Source

SIGNALS_MAX: Final = 100
"""Of one rule in one evaluation, the dearest: a storm of alerts tells nobody anything."""

_OF_SUMS: Final[MappingProxyType[Kind, Callable[[Rule, Source, datetime], list[Signal]]]] = (
    MappingProxyType({
        Kind.BURN_RATE: burn_rate, Kind.DEVIATION: deviation, Kind.NEW_SPENDER: new_spender,
        Kind.REQUEST_COST: request_cost, Kind.PRICE_CHANGE: price_change,
        Kind.RUNAWAY_RUN: runaway_run, Kind.ERROR_STORM: error_storm,
        Kind.RETRY_STORM: retry_storm, Kind.CACHE_COLLAPSE: cache_collapse,
        Kind.UNATTRIBUTED: unattributed, Kind.UNPRICED: unpriced,
    })
)  # fmt: skip
_ALWAYS: Final = frozenset([Kind.BURN_RATE, Kind.RUNAWAY_RUN, Kind.ERROR_STORM, Kind.RETRY_STORM])
_HOURLY: Final = frozenset([Kind.DEVIATION, Kind.REQUEST_COST, Kind.MARGIN_BELOW])
_SOON: Final = timedelta(minutes=10)


class Evaluation(NamedTuple):
    """What rules said as of a moment."""

    at: datetime
    signals: tuple[Signal, ...]
    evaluated: frozenset[str]
    """Names of the rules that were looked at: the others say nothing about now."""
    problems: tuple[str, ...]


def every(rule: Rule) -> timedelta:
    """Return how often a rule is looked at: those about the last hour always."""
    if rule.kind in _ALWAYS:
        return timedelta(0)
    return timedelta(hours=1) if rule.kind in _HOURLY else _SOON


def is_due(rule: Rule, last: datetime | None, now: datetime) -> bool:
    """Whether a rule must be looked at; hourly ones once in each clock hour."""
    if last is None:
        return True
    if every(rule) >= timedelta(hours=1):
        return hour_of(now) != hour_of(last)
    return now - last >= every(rule)


def evaluate(rules: Iterable[Rule], source: Source, ask: Ask, now: datetime) -> Evaluation:
    """Return what the rules say as of a moment.

    A rule that cannot be evaluated says so as a problem, and does not hinder the others.
    """
    signals: list[Signal] = []
    evaluated, problems = set(), []
    for rule in rules:
        if rule.is_paused:
            continue
        try:
            found = _one(rule, source, ask, now)
        except TollbookError as error:
            problems.append(f"alert rule {rule.name!r}: {error.message}")
            continue
        found.sort(key=lambda one: -one.excess_pico)
        signals += found[:SIGNALS_MAX]
        evaluated.add(rule.name)
        if len(found) > SIGNALS_MAX:
            problems.append(
                f"alert rule {rule.name!r}: fires for {len(found)} series; the {SIGNALS_MAX} "
                "dearest are kept; raise min_usd or min_calls"
            )
    return Evaluation(now, tuple(signals), frozenset(evaluated), tuple(problems))


def _one(rule: Rule, source: Source, ask: Ask, now: datetime) -> list[Signal]:
    if rule.kind is Kind.CAP_NEAR:
        return cap_near(rule, ask, now)
    if rule.kind is Kind.MARGIN_BELOW:
        return margin_below(rule, ask, now)
    if rule.kind is Kind.FORECAST_OVER:
        return forecast_over(rule, source, ask, now)
    return _OF_SUMS[rule.kind](rule, source, now)
