"""One budget: its owners, its course, its steps, top-ups, versions, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.console.pages.budgets import forms
from tollbook.console.pages.budgets.chart import against_limit
from tollbook.console.pages.budgets.listed import CHANGE
from tollbook.console.pages.budgets.tables import MANY, NOTE, amount, moment, standings_table
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Controls,
    Figure,
    Figures,
    Notice,
    Section,
    Table,
    Text,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.console.pages.context import PageContext


def budget(context: PageContext) -> View:
    """Return the page of the budget ``name``."""
    name = context.need("name", "the name of a budget, such as /budget?name=tenants")
    shown = context.ask("budgets.show", name=name)
    rule = shown["in_force"]
    sections: list[Section] = []
    if rule is None:
        sections.append(Notice(text="This budget is not in force.", tone="warn"))
    else:
        sections += _in_force(context, name, rule)
    sections += [_top_ups(shown), _versions(shown)]
    if context.may(CHANGE):
        sections += _forms(context, shown)
    what_if = Choice("What if it were different", context.url("/budget-what-if", name=name))
    return View(
        title=name, subtitle=None if rule is None else _words(rule), sections=tuple(sections),
        command=f"tollbook budget show {name}", trail=(Choice("Budgets", "/budgets"),),
        actions=() if rule is None else (what_if,), tz=context.tz,
        controls=Controls(has_range=False, has_filters=False),
    )  # fmt: skip


def _words(rule: Mapping[str, Any]) -> str:
    each = f" for each {rule['each'].replace(',', ' and ')}" if rule["each"] else " for all"
    match = f", only calls with {rule['match']}" if rule["match"] else ""
    end = "then calls are refused" if rule["mode"] == "hard" else "then it warns"
    return (
        f"{amount(rule['unit'], rule['limit'])}{each}{match}, {rule['window_words']}"
        f" ({rule['timezone']}); {end}. From {rule['source']}."
    )


def _in_force(context: PageContext, name: str, rule: Mapping[str, Any]) -> list[Section]:
    owner = context.get("owner")
    found = context.ask("budgets.standing", name=name, owner=owner, limit=MANY)
    rows, unit = found["rows"], rule["unit"]
    sections: list[Section] = [_figures(rule, found)]
    course = context.ask("budgets.course", name=name, owner=owner)
    if course["rows"]:
        left_out = course["owners_left_out"]
        others = f" {left_out:,} owners that spent less are left out." if left_out > 0 else ""
        sections.append(Chart(
            name="course", title="Spent in this window, against the limit", values=course["rows"],
            spec=against_limit("at", "spent", "owner", "limit", title=unit, is_usd=unit == "usd"),
            summary=f"What owners have spent up to each {course['step']} since"
                    f" {course['window_start']}; dashed: the limit.{others}",
        ))  # fmt: skip
    sections.append(standings_table(
        context, rows, unit=unit, note=NOTE,
        empty="Nobody whom it counts has spent anything in this window.",
    ))  # fmt: skip
    if rule["step_rows"]:
        sections.append(_steps(rule))
    return sections


def _figures(rule: Mapping[str, Any], found: Mapping[str, Any]) -> Figures:
    states, rows = found["states"], found["rows"]
    resets = rows[0]["resets_at"] if rows else None
    return Figures(items=(
        Figure(label="Limit", value=amount(rule["unit"], rule["limit"]),
               note=f"For each {rule['each']}" if rule["each"] else "One for all"),
        Figure(label="Blocked", value=states["blocked"], kind="count",
               tone="bad" if states["blocked"] else "good"),
        Figure(label="Owners", value=sum(states.values()), kind="count"),
        Figure(label="Resets", value=moment(resets) or "rolls", note=f"{rule['window_words']},"
               f" {rule['timezone']}"),
    ))  # fmt: skip


def _steps(rule: Mapping[str, Any]) -> Table:
    columns = (
        Column("at_percent", "From", "percent"), Column("at_amount", "That is"),
        Column("what", "What happens"),
    )  # fmt: skip
    rows = [
        {**one, "at_amount": amount(rule["unit"], one["at_amount"])} for one in rule["step_rows"]
    ]
    return Table(
        name="steps", title="Steps, in advance", columns=columns, rows=rows,
        note="Of what is spent, without what calls under way hold; with top-ups the amounts rise.",
    )  # fmt: skip


def _top_ups(shown: Mapping[str, Any]) -> Table:
    columns = (
        Column("owner", "Owner"), Column("amount", "More"), Column("expires_at", "Until", "time"),
        Column("is_expired", "Over"), Column("author", "By"), Column("reason", "Reason"),
        Column("created_at", "Given", "time"),
    )  # fmt: skip
    rows = [row | {"amount": amount(row["unit"], row["amount"])} for row in shown["top_ups"]]
    return Table(
        name="top_ups", title="Top-ups", columns=columns, rows=rows[::-1],
        empty="Nobody was given more.",
    )  # fmt: skip


def _versions(shown: Mapping[str, Any]) -> Table:
    columns = (
        Column("version", "Version", "count"), Column("effective_from", "From", "time"),
        Column("effective_until", "Until", "time"), Column("settings", "Settings", "code"),
        Column("author", "By"), Column("reason", "Reason"), Column("created_at", "Set", "time"),
    )  # fmt: skip
    rows = [
        row
        | {
            "settings": "removed"
            if row["is_removal"]
            else ", ".join(f"{field} {_plain(value)}" for field, value in row["settings"].items())
        }
        for row in shown["rows"]
    ]
    return Table(
        name="versions", title="History", columns=columns, rows=rows[::-1],
        empty="It stands in the settings, which keep no history.",
    )  # fmt: skip


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{field}={pattern}" for field, pattern in value.items())
    if isinstance(value, list):
        parts = (forms.step_text(one) if isinstance(one, dict) else str(one) for one in value)
        return " ".join(parts)
    return str(value)


def _forms(context: PageContext, shown: Mapping[str, Any]) -> list[Section]:
    name, rule = shown["name"], shown["in_force"]
    if rule is None:
        return []
    if rule["is_stop"]:
        return [forms.resume(name)]
    each = rule["each"].split(",") if rule["each"] else []
    owner = context.get("owner")
    found: list[Section] = [forms.top_up(name, rule["unit"], each, owner)]
    field = each[0] if len(each) == 1 else "tenant"
    found.append(forms.stop(field, owner))
    if rule["source"] == "settings":
        found.append(Text(text="This budget stands in the settings; it is changed there, under"
                               " [[budgets]]."))  # fmt: skip
    else:
        found += [forms.editor(shown["settings"], name), forms.remove(name)]
    return found
