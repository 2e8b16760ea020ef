"""Where one tenant stands in the budgets that are its alone.

A budget counts here if it is one for each tenant, or for this tenant by name: one that others share
would tell of them. Amounts of dollars are our cost, so without leave to show that, a budget in
dollars says only how much of it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.budgeting.shelf import SOURCE, in_force
from tollbook.budgets.rules import UNKNOWN, read_rules
from tollbook.budgets.window import span_at
from tollbook.console.portal.revoking import moment
from tollbook.console.portal.tenant.query import own_query
from tollbook.money import usd_text
from tollbook.reports.query import Filter
from tollbook.reports.times import Period
from tollbook.reports.wide import wide_rows
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.budgeting.shelf import TopUp
    from tollbook.budgets.rules import Rule
    from tollbook.budgets.window import Span
    from tollbook.desk import Desk

_COUNTED: Final = (
    Filter("status", ("rejected",), negate=True),
    Filter("kind", ("adjustment",), negate=True),
    Filter("price_state", ("cached", "free"), negate=True),
)
"""As budgets count, see ``ledger.budgetsums.COUNTED``."""
_WILD: Final = frozenset("*?[")
_DIMENSIONS: Final = {"model": "model_requested"}
_MEASURES: Final[dict[str, tuple[str, ...]]] = {
    "usd": ("cost_usd",), "tokens": ("input_tokens", "output_tokens"), "requests": ("calls",),
}  # fmt: skip
"""By unit. What is under way at once is no sum of a ledger, so limits on that are not shown."""
_ROLLING_S: Final = {
    "minute": 60, "hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400,
}  # fmt: skip
_WHOLE_PERCENT: Final = 1000


def own_budgets(desk: Desk, tenant: str, *, shows_cost: bool) -> list[dict[str, Any]]:
    """Return the budgets of a tenant: what they limit, what is used, and when they begin anew.

    Raises:
        QueryTimeoutError: it took too long.
        BooksError: the books cannot be read.
    """
    now_ns = clock.unix_ns()
    held = in_force(desk.books, desk.config.budgets, now_ns)
    found = []
    for rule in read_rules(held.budgets, SOURCE):
        owner = _owner(rule, tenant)
        if owner is not None and rule.unit in _MEASURES:
            more = sum(
                one.amount for one in held.top_ups if _adds(one, rule, owner)
            )  # fmt: skip
            found.append(_state(desk, tenant, rule, more, now_ns, shows_cost=shows_cost))
    return found


def _owner(rule: Rule, tenant: str) -> tuple[str, ...] | None:
    """Return as whom a rule knows the tenant; None where it is not of the tenant alone."""
    pattern = rule.budget.match.get("tenant")
    is_named = pattern == tenant and not set(tenant) & _WILD
    if list(rule.budget.each) == ["tenant"]:
        is_matched = all(
            test.fullmatch(tenant) is not None
            for name, test in rule.patterns
            if name == "tenant"
        )  # fmt: skip
        return (tenant,) if is_matched else None
    return () if not rule.budget.each and is_named else None


def _adds(top_up: TopUp, rule: Rule, owner: tuple[str, ...]) -> bool:
    return (top_up.budget, top_up.owner, top_up.unit) == (rule.budget.name, owner, rule.unit)


def _state(
    desk: Desk, tenant: str, rule: Rule, more: int, now_ns: int, *, shows_cost: bool
) -> dict[str, Any]:
    budget, now_s = rule.budget, now_ns // clock.NS_PER_S
    is_rolling = budget.rolling or budget.window == "minute"
    span = span_at(budget.window, budget.timezone, now_s)
    if is_rolling:
        span = span._replace(start_s=now_s - _ROLLING_S[budget.window], end_s=now_s + 1)
    used, limit = _used(desk, tenant, rule, span), rule.limit + more
    is_secret = rule.unit == "usd" and not shows_cost
    return {
        "name": budget.name, "unit": rule.unit, "window": budget.window,
        "is_hard": budget.mode == "hard",
        "limit": None if is_secret else _told(rule.unit, limit),
        "used": None if is_secret else _told(rule.unit, used),
        "left": None if is_secret else _told(rule.unit, max(0, limit - used)),
        "used_percent": _percent(used, limit),
        "is_rolling": is_rolling,
        "resets_at": None if is_rolling else moment(span.end_s * clock.NS_PER_S),
    }  # fmt: skip


def _used(desk: Desk, tenant: str, rule: Rule, span: Span) -> int:
    """Return what a window has, from the ledger: in pico for dollars, else pieces."""
    start, end = moment(span.start_s * clock.NS_PER_S), moment(span.end_s * clock.NS_PER_S)
    tests = {name: test for name, test in rule.patterns if name != "tenant"}
    by = [_DIMENSIONS.get(name, name) for name in tests]
    query = own_query(
        tenant, Period(start, end), measures=_MEASURES[rule.unit], by=by, where=_COUNTED
    )
    total = 0
    for row in wide_rows(desk.reader, query):
        values = {name: row[column] or UNKNOWN for name, column in zip(tests, by, strict=True)}
        if all(test.fullmatch(values[name]) for name, test in tests.items()):
            total += sum(row[name] or 0 for name in _summed(rule.unit, row))
    return total


def _summed(unit: str, row: Mapping[str, Any]) -> Sequence[str]:
    """Return the columns that a unit is the sum of; tokens are there as their disjoint kinds."""
    if unit == "tokens":
        return [name for name in row if name in TOKEN_KINDS]
    return _MEASURES[unit]


def _told(unit: str, amount: int) -> str | int:
    return usd_text(amount) if unit == "usd" else amount


def _percent(used: int, limit: int) -> str:
    if limit <= 0:
        return "100.0"
    tenths = used * _WHOLE_PERCENT // limit
    return f"{tenths // 10}.{tenths % 10}"
