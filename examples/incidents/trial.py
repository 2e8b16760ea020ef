"""One world, one trouble: what the built-in rules say of it, how soon, and what else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from examples.incidents.world import World
from tollbook.alerts.backtest import backtest
from tollbook.alerts.evaluate import evaluate
from tollbook.alerts.finance import nobody
from tollbook.alerts.rule import DEFAULT_RULES, Kind
from tollbook.alerts.source import LedgerSource
from tollbook.simulator.incidents import (
    HISTORY_DAYS,
    SLOW_GROWTH,
    START,
    WITHOUT_TROUBLE,
    calls_of,
    plan_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tollbook.alerts.backtest import Fired
    from tollbook.alerts.signal import Signal
    from tollbook.simulator.incidents import Plan

TENANTS: Final = 20
PER_HOUR: Final = 60.0
DAYS: Final = 14
_STEP: Final = timedelta(minutes=5)
_FAST: Final = (Kind.BURN_RATE, Kind.RUNAWAY_RUN, Kind.RETRY_STORM, Kind.ERROR_STORM)
_AFTERWARDS: Final = timedelta(days=8)
"""Rules of seven days speak of a trouble as long as it is in their window."""


class Trial(Struct, frozen=True, kw_only=True):
    """What came of one world."""

    scenario: str
    seed: int
    calls: int
    detected_after_h: float | None
    """Hours from the beginning of the trouble to the first incident about it, with rules evaluated
    as of each full hour; None: not detected, or there was no trouble."""
    detected_after_min: float | None
    """The same in minutes with rules about the last hour evaluated every five minutes; None: none
    of these rules tells of it within six hours."""
    excess_usd: float | None
    """Estimate: dollars of the largest incident about it."""
    rules: tuple[str, ...]
    false_alarms: tuple[str, ...]
    """Titles of the incidents that were about nothing."""
    incidents: int


def run_trial(
    scenario: str, seed: int, *, tenants: int = TENANTS, per_hour: float = PER_HOUR,
    days: int = DAYS, fine: bool = True,
) -> Trial:  # fmt: skip
    """Make a world, run the built-in rules over it, and judge what they say."""
    if scenario == SLOW_GROWTH:
        days *= 2
    plan = plan_of(scenario, seed, days=days, tenants=tenants)
    world = World()
    try:
        calls = world.made(calls_of(plan, tenants=tenants, per_hour=per_hour))
        since = START + timedelta(days=HISTORY_DAYS)
        found = backtest(world.reader, DEFAULT_RULES.values(), since, plan.until)
        ours = [one for one in found.fired if _is_about(one, plan)]
        first = min((one.incident.opened_at for one in ours), default=None)
        return Trial(
            scenario=scenario, seed=seed, calls=calls,
            detected_after_h=None if first is None else (first - plan.begins) / timedelta(hours=1),
            detected_after_min=_fine(world, plan) if fine else None,
            excess_usd=max((round(one.incident.excess_pico * 1e-12, 2) for one in ours),
                           default=None),
            rules=tuple(dict.fromkeys(name for one in ours for name in one.incident.rules)),
            false_alarms=tuple(one.incident.title for one in found.fired if one not in ours),
            incidents=len(found.fired),
        )  # fmt: skip
    finally:
        world.close()


def _is_about(one: Fired, plan: Plan) -> bool:
    if plan.scenario in WITHOUT_TROUBLE:
        return False
    incident = one.incident
    if not plan.begins <= incident.opened_at <= plan.ends + _AFTERWARDS:
        return False
    if plan.model is not None and plan.model in incident.title:
        return True
    return plan.tenant is None or incident.tenant == plan.tenant


def _fine(world: World, plan: Plan) -> float | None:
    """Return after how many minutes a fast rule tells, if it is evaluated every five minutes."""
    if plan.tenant is None:
        return None
    rules = [rule for rule in DEFAULT_RULES.values() if rule.kind in _FAST]
    source = LedgerSource(world.reader)
    now: datetime = plan.begins
    while now < min(plan.ends, plan.begins + timedelta(hours=6)):
        now += _STEP
        source.forget(now)
        signals = evaluate(rules, source, nobody, now).signals
        if any(_is_of(signal, plan) for signal in signals):
            return (now - plan.begins) / timedelta(minutes=1)
    return None


def _is_of(signal: Signal, plan: Plan) -> bool:
    return plan.tenant in signal.entity or signal.tenant == plan.tenant


def table_of(trials: Sequence[Trial]) -> str:
    """Return the results as a table in Markdown, one row for each scenario."""
    lines = [
        "| trouble | worlds | detected | hours | minutes | rules | false alarms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for scenario in dict.fromkeys(one.scenario for one in trials):
        own = [one for one in trials if one.scenario == scenario]
        hours = [one.detected_after_h for one in own if one.detected_after_h is not None]
        minutes = [one.detected_after_min for one in own if one.detected_after_min is not None]
        rules = dict.fromkeys(name for one in own for name in one.rules)
        false = sum(len(one.false_alarms) for one in own)
        detected = "-" if scenario in WITHOUT_TROUBLE else f"{len(hours)} of {len(own)}"
        lines.append(
            f"| {scenario.replace('_', ' ')} | {len(own)} | {detected} | {_span(hours)} | "
            f"{_span(minutes)} | {', '.join(rules) or '-'} | {false} |"
        )
    return "\n".join(lines)


def _span(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"
