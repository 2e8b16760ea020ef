"""What rules would have said: they are evaluated as of each hour of a time that is over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.alerts.baseline import DAY_H, hour_of, moment_of
from tollbook.alerts.cause import Causes
from tollbook.alerts.evaluate import evaluate, every
from tollbook.alerts.finance import nobody
from tollbook.alerts.incident import Incident
from tollbook.alerts.keeper import Keeper, Told
from tollbook.alerts.rule import Kind
from tollbook.alerts.shelf import MemoryShelf
from tollbook.alerts.shown import incident_row
from tollbook.alerts.source import GridSource, LedgerSource
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tollbook.alerts.rule import Rule
    from tollbook.reports.reader import Reader

HOURS_MAX: Final = 92 * DAY_H
UNTESTED: Final = frozenset([Kind.CAP_NEAR, Kind.MARGIN_BELOW])
"""They ask budgets and margins, which tell of now."""
_SLOW_H: Final = 6
"""Rules about days are looked at every six hours."""


class BacktestError(TollbookError):
    """A back-test that cannot be run."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"back-test: {problem}")


class Fired(Struct, frozen=True, kw_only=True):
    """An incident that would have been."""

    incident: Incident
    told: int
    """How often channels would have been told that it is there."""


class Backtest(Struct, frozen=True, kw_only=True):
    """What came of a back-test."""

    fired: tuple[Fired, ...]
    hours: int
    """As of so many hours rules were evaluated."""
    rules: tuple[str, ...]
    skipped: tuple[str, ...]
    """Rules that tell only of now."""
    problems: tuple[str, ...]


def backtest(
    reader: Reader, rules: Iterable[Rule], since: datetime, until: datetime,
    progress: Callable[[int, int | None], None] = lambda done, whole: None,  # noqa: ARG005 -- silent
) -> Backtest:  # fmt: skip
    """Evaluate rules as of each hour in ``[since, until)``; nothing is kept and nobody is told.

    Calls are as the ledger knows them now, late ones and corrections among them.

    Raises:
        BacktestError: the range is empty or too long.
        TooMuchError: there is more than memory is for.
        QueryTimeoutError: it took too long.
    """
    first, last = hour_of(since), hour_of(until)
    if last <= first or last - first > HOURS_MAX:
        raise BacktestError(f"expected 1 to {HOURS_MAX} hours between since and until")
    chosen = {rule.name: rule for rule in rules if not rule.is_paused}
    tested = {name: rule for name, rule in chosen.items() if rule.kind not in UNTESTED}
    reach = max((_reach_h(rule) for rule in tested.values()), default=0)
    ledger = LedgerSource(reader)
    source = GridSource(ledger, first - reach, last)
    # Drivers are looked up only where something fires, so the ledger is asked for these.
    causes, shelf = Causes(ledger), MemoryShelf()
    keeper = Keeper(shelf)
    told: dict[int, int] = {}
    problems: dict[str, None] = {}
    for hour in range(first + 1, last + 1):
        now = moment_of(hour)
        due = [
            rule for rule in tested.values()
            if every(rule) < timedelta(hours=1) or hour % _SLOW_H == 0
        ]  # fmt: skip
        evaluation = evaluate(due, source, nobody, now)
        problems |= dict.fromkeys(evaluation.problems)
        news = keeper.apply(evaluation, causes.of_all(evaluation.signals), tested)
        for one in news:
            if one.event is Told.TRIGGER:
                number = one.incident.incident_id
                told[number] = told.get(number, 0) + 1
        ledger.forget(now)
        progress(hour - first, last - first)
    return Backtest(
        fired=tuple(
            Fired(incident=one, told=told.get(one.incident_id, 0)) for one in shelf.found.values()
        ),
        hours=last - first, rules=tuple(tested),
        skipped=tuple(sorted(set(chosen) - set(tested))), problems=tuple(problems),
    )  # fmt: skip


def _reach_h(rule: Rule) -> int:
    """Return how many hours before a moment a rule looks at."""
    week = 7 * DAY_H
    return rule.baseline_days * DAY_H + rule.window_h + week


def fired_row(one: Fired) -> dict[str, Any]:
    """Return an incident of a back-test as answers have it."""
    return incident_row(one.incident) | {"told": one.told}
