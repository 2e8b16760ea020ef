"""How spending grew within a budget's window, owner by owner, against the limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook import clock
from tollbook.budgeting import shelf
from tollbook.budgeting.deeds import find_rule
from tollbook.budgeting.moments import text_of_s
from tollbook.budgeting.standing import standings
from tollbook.budgeting.written import amount_text, owner_text
from tollbook.budgets.rules import UNKNOWN
from tollbook.ledger.budgetsums import COLUMNS
from tollbook.reports import measures
from tollbook.reports.query import SpendQuery
from tollbook.reports.wide import wide_rows
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from tollbook.budgets.rules import Rule
    from tollbook.desk import Desk

OWNERS_MAX: Final = 6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIMENSIONS: Final = {name: "model_requested" if name == "model" else name for name in COLUMNS}
_HOURLY_UP_TO_S: Final = 2 * 86_400
_MEASURES: Final = {
    "usd": (measures.COST,),
    "tokens": tuple(kind for kind in TOKEN_KINDS if kind in measures.NAMES),
    "requests": (measures.CALLS,),
}


class AskCourse(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which budget."""

    name: str
    owner: str | None = None
    """A value of any of the fields of its owners; unset: those nearest to their limit."""


def course(desk: Desk, asked: AskCourse) -> dict[str, Any]:
    """Return what was spent up to each hour or day of the window under way, by owner.

    What is booked, whatever its status: refused calls are in it with nothing.
    """
    now_ns = clock.unix_ns()
    now_s = now_ns // clock.NS_PER_S
    rule = find_rule(desk, asked.name, now_ns)
    found = shelf.in_force(desk.books, desk.config.budgets, now_ns)
    found = found._replace(budgets=(rule.budget,))
    stands = [
        one
        for one in standings(desk.reader, desk.data_dir, found, now_s)
        if asked.owner is None or asked.owner in one.owner
    ]
    stands.sort(key=lambda one: (-one.spent, one.owner))
    shown = {one.owner: one for one in stands[:OWNERS_MAX]}
    if rule.unit not in _MEASURES or not shown:
        return {"rows": [], "name": asked.name, "owners_left_out": len(stands) - len(shown)}
    start_s = next(iter(shown.values())).since_s
    step = "hour" if now_s - start_s <= _HOURLY_UP_TO_S else "day"
    zone = rule.budget.timezone
    sums = _sums(desk, rule, start_s, now_s, step)
    rows = []
    for owner, stand in shown.items():
        total = 0
        fields = dict(zip(rule.budget.each, owner, strict=True))
        for at, amount in sorted(sums.get(owner, {}).items()):
            total += amount
            rows.append({
                "at": at, "owner": owner_text(fields), "spent": amount_text(rule.unit, total),
                "limit": amount_text(rule.unit, stand.whole),
            })  # fmt: skip
    return {
        "rows": rows, "name": asked.name, "step": step, "unit": rule.unit, "timezone": zone,
        "window_start": text_of_s(start_s, zone), "owners_left_out": len(stands) - len(shown),
    }  # fmt: skip


def _sums(
    desk: Desk, rule: Rule, start_s: int, now_s: int, step: str
) -> dict[tuple[str, ...], dict[str, int]]:
    """Return amounts by owner and by hour or day."""
    budget = rule.budget
    names = [*budget.each, *(name for name in budget.match if name not in budget.each)]
    by = tuple(dict.fromkeys(_DIMENSIONS[name] for name in names))
    query = SpendQuery(
        since=_EPOCH + timedelta(seconds=start_s), until=_EPOCH + timedelta(seconds=now_s + 1),
        tz=budget.timezone, by=(step, *by), measures=_MEASURES[rule.unit],
    )  # fmt: skip
    found: dict[tuple[str, ...], dict[str, int]] = {}
    fields = dict.fromkeys(COLUMNS, UNKNOWN)
    for row in wide_rows(desk.reader, query):
        fields.update({name: row[_DIMENSIONS[name]] or UNKNOWN for name in names})
        owner = rule.owner(fields)
        if owner is None:
            continue
        at = row[step].isoformat(timespec="minutes") if step == "hour" else row[step].date()
        amounts = found.setdefault(owner, {})
        amount = sum(int(row[name] or 0) for name in query.measures)
        amounts[str(at)] = amounts.get(str(at), 0) + amount
    return found
