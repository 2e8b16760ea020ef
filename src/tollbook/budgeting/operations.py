"""What can be asked of and done to budgets: routes, commands and forms of the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, document_history
from tollbook.budgeting import deeds, shelf
from tollbook.budgeting.course import AskCourse, course
from tollbook.budgeting.moments import text_of
from tollbook.budgeting.shown import as_written, document_row, rule_row, top_up_row
from tollbook.budgeting.standing import STATES, Stand, order_of, stand_row, standings
from tollbook.budgeting.whatif import AskWhatIf, what_if
from tollbook.budgeting.written import BudgetError
from tollbook.budgets.rules import read_rules
from tollbook.desk import Operation
from tollbook.desk.permits import Scope
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from tollbook.desk import Desk

CURRENCY: Final = "USD"
STANDING_NOTE: Final = (
    "source gateways: the live counters of this host's workers, with what calls under way hold;"
    " source ledger: what is booked, which lags by a second and knows no holds. exhausted_at is an"
    " estimate: the pace since the window began, carried on."
)


class AskAll(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing more."""


class AskOne(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which budget."""

    name: str


class AskStanding(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which budgets and owners."""

    name: str | None = None
    state: str | None = None
    """One of blocked, over, warned, on track to exceed, ok."""
    owner: str | None = None
    """A value of any of the fields of the owner, such as a tenant."""
    limit: int = 1_000


def list_budgets(desk: Desk, asked: AskAll) -> dict[str, Any]:
    """Return the budgets in force, those of the settings first."""
    del asked
    found = shelf.in_force(desk.books, desk.config.budgets, clock.unix_ns())
    rules = read_rules(found.budgets, shelf.SOURCE)
    rows = [rule_row(rule, found.documents.get(rule.budget.name)) for rule in rules]
    return {"rows": rows, "problems": list(found.problems), "currency": CURRENCY}


def show_budget(desk: Desk, asked: AskOne) -> dict[str, Any]:
    """Return one budget: its settings, versions and top-ups, also after its removal."""
    now_ns = clock.unix_ns()
    found = shelf.in_force(desk.books, desk.config.budgets, now_ns)
    history = document_history(desk.books, Subject.BUDGET, asked.name)
    budget = next((one for one in found.budgets if one.name == asked.name), None)
    if budget is None and not history:
        raise BudgetError(asked.name, "there is none of that name; see tollbook budget list")
    each: list[Any] = [] if budget is None else list(budget.each)
    row, settings = None, None
    if budget is not None:
        (rule,) = read_rules([budget], shelf.SOURCE)
        row = rule_row(rule, found.documents.get(asked.name))
        settings = as_written(budget)
    top_ups = shelf.top_ups_of(desk.books, asked.name)
    return {
        "rows": [document_row(one) for one in history],
        "name": asked.name,
        "in_force": row,
        "settings": settings,
        "top_ups": [top_up_row(one, each, now_ns) for one in top_ups],
        "currency": CURRENCY,
    }


def standing(desk: Desk, asked: AskStanding) -> dict[str, Any]:
    """Return where each owner of the budgets in force stands, the blocked first."""
    if asked.state is not None and asked.state not in STATES:
        raise QueryError("state", f"expected one of {', '.join(STATES)}")
    now_ns = clock.unix_ns()
    now_s = now_ns // clock.NS_PER_S
    found = shelf.in_force(desk.books, desk.config.budgets, now_ns)
    if asked.name is not None:
        kept = tuple(one for one in found.budgets if one.name == asked.name)
        if not kept:
            raise BudgetError(asked.name, "there is none of that name in force")
        found = found._replace(budgets=kept)
    stands = standings(desk.reader, desk.data_dir, found, now_s)
    counts = dict.fromkeys(STATES, 0)
    for one in stands:
        counts[one.state(now_s)] += 1
    chosen = [
        one
        for one in stands
        if (asked.state is None or one.state(now_s) == asked.state)
        and (asked.owner is None or asked.owner in one.owner)
    ]
    chosen.sort(key=lambda one: order_of(one, now_s))
    return {
        "rows": [_row(one, found, now_s) for one in chosen[: max(1, asked.limit)]],
        "matching": len(chosen),
        "states": counts,
        "problems": list(found.problems),
        "note": STANDING_NOTE,
        "currency": CURRENCY,
    }


def _row(stand: Stand, found: shelf.InForce, now_s: int) -> dict[str, Any]:
    """Return a standing; a stop ends when its document does, not with its window."""
    row = stand_row(stand, now_s)
    document = found.documents.get(stand.rule.budget.name)
    if document is None or not document.name.startswith(shelf.STOP_PREFIX):
        return row
    until_ns = document.effective_until_ns
    until = None if until_ns is None else text_of(until_ns, stand.rule.budget.timezone)
    return row | {"resets_at": until, "blocked_until": until, "window_words": "until resumed"}


LIST: Final = Operation(
    "budgets.list", "GET", "/budgets", AskAll, list_budgets,
    "List the budgets in force.", scope=Scope.BUDGETS,
)  # fmt: skip
SHOW: Final = Operation(
    "budgets.show", "GET", "/budgets/show", AskOne, show_budget,
    "Show a budget, its versions and its top-ups.", scope=Scope.BUDGETS,
)  # fmt: skip
STANDING: Final = Operation(
    "budgets.standing", "GET", "/budgets/standing", AskStanding, standing,
    "Show where each owner of the budgets stands.", scope=Scope.BUDGETS,
)  # fmt: skip
COURSE: Final = Operation(
    "budgets.course", "GET", "/budgets/course", AskCourse, course,
    "Show how spending grew within a budget's window.", scope=Scope.BUDGETS,
)  # fmt: skip
WHAT_IF: Final = Operation(
    "budgets.what_if", "GET", "/budgets/what-if", AskWhatIf, what_if,
    "Tell what a budget would have done to past calls.", scope=Scope.BUDGETS,
)  # fmt: skip
SET: Final = Operation(
    "budgets.set", "POST", "/budgets/set", deeds.SetBudget, deeds.set_budget,
    "Set a budget.", scope=Scope.BUDGETS,
)  # fmt: skip
REMOVE: Final = Operation(
    "budgets.remove", "POST", "/budgets/remove", deeds.RemoveBudget, deeds.remove_budget,
    "Take a budget out of force.", scope=Scope.BUDGETS,
)  # fmt: skip
TOP_UP: Final = Operation(
    "budgets.top_up", "POST", "/budgets/top-ups", deeds.TopUpBudget, deeds.top_up,
    "Give an owner of a budget more until a moment.", scope=Scope.BUDGETS,
)  # fmt: skip
STOP: Final = Operation(
    "budgets.stop", "POST", "/budgets/stop", deeds.StopOwner, deeds.stop,
    "Refuse all calls of one owner.", scope=Scope.BUDGETS,
)  # fmt: skip
RESUME: Final = Operation(
    "budgets.resume", "POST", "/budgets/resume", deeds.ResumeOwner, deeds.resume,
    "Let a stopped owner go on.", scope=Scope.BUDGETS,
)  # fmt: skip
OPERATIONS: Final = (LIST, SHOW, STANDING, COURSE, WHAT_IF, SET, REMOVE, TOP_UP, STOP, RESUME)
