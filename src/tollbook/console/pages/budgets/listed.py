"""All budgets: who is blocked and until when, who is on the way, and the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.budgets import forms
from tollbook.console.pages.budgets.tables import MANY, NOTE, amount, standings_table
from tollbook.console.pages.view import (
    Choice,
    Column,
    Controls,
    Figure,
    Figures,
    Notice,
    Section,
    Table,
    View,
)
from tollbook.desk.permits import Access, Permit, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.console.pages.context import PageContext

CHANGE: Final = Permit(Scope.BUDGETS, Access.WRITE)
_LABELS: Final = {
    "blocked": "Blocked", "over": "Over", "warned": "Warned",
    "on track to exceed": "On track to exceed", "ok": "In bounds",
}  # fmt: skip


def budgets(context: PageContext) -> View:
    """Return the page of all budgets."""
    listed = context.ask("budgets.list")
    state = context.get("state")
    found = context.ask(
        "budgets.standing", state=state, owner=context.get("owner"), limit=MANY
    )  # fmt: skip
    states = found["states"]
    sections: list[Section] = [
        Notice(text=problem, tone="bad") for problem in found["problems"]
    ]  # fmt: skip
    sections += [
        _figures(context, listed["rows"], states),
        standings_table(
            context,
            found["rows"],
            unit=None,
            note=_note(found),
            empty="No owner of a budget has spent anything in its window."
            if state is None
            else f"Nobody is {state}.",
        ),
        _rules(context, listed["rows"]),
    ]
    if context.may(CHANGE):
        sections += [forms.editor({}, None), forms.stop()]
    return View(
        title="Budgets", sections=tuple(sections), command="tollbook budget standing",
        subtitle="Who may spend how much, who is blocked and until when.",
        controls=Controls(has_range=False, has_filters=False, tabs=_tabs(context, states, state)),
        actions=(Choice("What if", context.url("/budget-what-if")),), tz=context.tz,
    )  # fmt: skip


def _note(found: Mapping[str, Any]) -> str:
    left_out = found["matching"] - len(found["rows"])
    more = f" {left_out:,} more are not shown; search for them." if left_out > 0 else ""
    return f"{NOTE}{more}"


def _tabs(context: PageContext, states: Mapping[str, int], state: str | None) -> tuple[Choice, ...]:
    total = sum(states.values())
    first = Choice(f"All {total:,}", context.url(state=None), state is None)
    others = (
        Choice(f"{_LABELS[one]} {number:,}", context.url(state=one), state == one)
        for one, number in states.items()
    )
    return (first, *others)


def _figures(
    context: PageContext, rules: list[dict[str, Any]], states: Mapping[str, int]
) -> Figures:
    stops = sum(1 for one in rules if one["is_stop"])
    blocked, near = states["blocked"], states["warned"] + states["over"]
    return Figures(items=(
        Figure(label="Blocked now", value=blocked, kind="count",
               tone="bad" if blocked else "good", url=context.url(state="blocked")),
        Figure(label="Warned or over", value=near, kind="count",
               tone="warn" if near else "plain", url=context.url(state="warned")),
        Figure(label="On track to exceed", value=states["on track to exceed"], kind="count",
               note="At the pace since the window began",
               url=context.url(state="on track to exceed")),
        Figure(label="Rules in force", value=len(rules) - stops, kind="count"),
        Figure(label="Stopped by hand", value=stops, kind="count",
               tone="warn" if stops else "plain"),
    ))  # fmt: skip


def _rules(context: PageContext, rules: list[dict[str, Any]]) -> Table:
    rows = [
        row
        | {
            "limit": amount(row["unit"], row["limit"]),
            "each": row["each"] or "one for all",
            "match": row["match"] or "all calls",
            "window_zone": "while it is stopped"
            if row["is_stop"]
            else f"{row['window_words']}, {row['timezone']}",
            "kind": "stop" if row["is_stop"] else row["mode"],
            "_links": {"name": context.url("/budget", name=row["name"])},
        }
        for row in rules
    ]
    columns = (
        Column("name", "Budget"), Column("limit", "Limit"), Column("each", "For each"),
        Column("match", "Only calls with"), Column("window_zone", "Window"),
        Column("kind", "Kind", "state"), Column("steps", "Steps"), Column("source", "From"),
        Column("effective_until", "Ends", "time"), Column("reason", "Reason"),
    )  # fmt: skip
    return Table(
        name="rules", title="Rules in force", columns=columns, rows=rows,
        empty="There is no budget yet. Set one below, or in [[budgets]] of the settings.",
    )  # fmt: skip
