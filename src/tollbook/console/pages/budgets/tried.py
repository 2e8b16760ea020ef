"""What a rule would have done to past calls, before it is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.budgets import forms
from tollbook.console.pages.budgets.listed import CHANGE
from tollbook.console.pages.budgets.tables import MANY
from tollbook.console.pages.view import (
    Choice,
    Column,
    Controls,
    Field,
    Figure,
    Figures,
    Notice,
    Section,
    Table,
    Text,
    View,
)
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.console.pages.context import PageContext

_FILTERS: Final = {"model": "model_requested"}
_RANGES: Final = (
    ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("last-month", "since last month"),
    ("month", "this month"), ("today", "today"),
)  # fmt: skip


def tried(context: PageContext) -> View:
    """Return the page that tries a rule, or the budget ``name`` with changes."""
    name = context.get("name")
    names = [one.name for one in forms.rule_fields({})]
    given = {one: value for one in names if (value := context.get(one)) is not None}
    sections: list[Section] = []
    filled: dict[str, Any] = dict(given)
    if name is not None:
        shown = context.ask("budgets.show", name=name)
        filled = dict(shown["settings"] or {})
        if any(one.startswith("limit_") for one in given):
            filled = {one: value for one, value in filled.items() if not one.startswith("limit_")}
        filled |= given
    since = context.get("since") or "30d"
    if name is not None or given.keys() & {one for one in names if one.startswith("limit_")}:
        sections += _answer(context, name, given, since)
        if context.may(CHANGE):
            sections.append(forms.confirmed(filled, name))
    else:
        sections.append(Text(text="Give a limit above and see whom it would have refused. Nothing"
                                  " is set by looking."))  # fmt: skip
    fields = (
        *([Field(name="name", label="Budget", kind="hidden", value=name)] if name else []),
        *forms.rule_fields(filled),
        Field(name="since", label="Calls of the last", kind="select", value=since,
              options=_RANGES if since in dict(_RANGES) else (*_RANGES, (since, since))),
    )  # fmt: skip
    return View(
        title="What if" if name is None else f"What if {name} were different",
        subtitle="The calls of the ledger, replayed through a rule before it is set.",
        sections=tuple(sections), command=_command(name, given, since), tz=context.tz,
        controls=Controls(has_range=False, has_filters=False, fields=fields),
        trail=(Choice("Budgets", "/budgets"),),
    )  # fmt: skip


def _answer(
    context: PageContext, name: str | None, given: Mapping[str, str], since: str
) -> list[Section]:
    try:
        found = context.ask("budgets.what_if", name=name, since=since, tz=context.tz, **given)
    except TollbookError as error:
        return [Notice(text=error.message, tone="bad")]
    blocked = found["blocked_calls"]
    sections: list[Section] = [
        Notice(text=found["said"], tone="warn" if blocked else "good"),
        Figures(items=(
            Figure(label="Calls refused", value=blocked, kind="count",
                   note=f"of {found['calls']:,}"),
            Figure(label="Owners refused", value=found["blocked_owners"], kind="count",
                   note=f"of {found['owners']:,}"),
            Figure(label="What those calls cost", value=found["blocked_cost_usd"], kind="usd"),
            Figure(label="First refused at", value=found["first_blocked_at"], kind="time"),
        )),
        _owners(context, found, since),
    ]  # fmt: skip
    if found["steps"]:
        sections.append(_steps(found["steps"]))
    return sections


def _owners(context: PageContext, found: Mapping[str, Any], since: str) -> Table:
    rows = []
    for row in found["rows"][:MANY]:
        where = [
            f"{_FILTERS.get(field, field)}={'' if value == 'unknown' else value}"
            for field, value in row["owner_fields"].items()
        ]
        calls = context.url("/calls", where=where, since=since)
        rows.append(dict(row) | {"_links": {"owner": calls, "calls": calls}} | (
            {"_tone": "bad"} if row["blocked_calls"] else {}
        ))  # fmt: skip
    columns = (
        Column("owner", "Owner"), Column("calls", "Calls", "count"),
        Column("cost_usd", "Cost", "usd"), Column("blocked_calls", "Refused", "count"),
        Column("blocked_cost_usd", "Their cost", "usd"),
        Column("unpriced_calls", "for want of a price", "count"),
        Column("waited_calls", "Waited", "count", help="Until holds of other calls settled."),
        Column("first_blocked_at", "First refused", "time"),
    )  # fmt: skip
    return Table(
        name="owners", title="By owner", columns=columns, rows=rows,
        note=found["note"] + _left_out(found),
        empty="No call of this range counts against the rule.",
    )  # fmt: skip


def _left_out(found: Mapping[str, Any]) -> str:
    number = found["owners"] - min(MANY, len(found["rows"]))
    return f" {number:,} owners with fewer refusals are left out." if number > 0 else ""


def _steps(steps: list[dict[str, Any]]) -> Table:
    columns = (
        Column("at_percent", "From", "percent"), Column("what", "Step"),
        Column("calls", "Calls touched", "count"), Column("cost_usd", "Their cost", "usd"),
    )  # fmt: skip
    return Table(
        name="steps", title="By step", columns=columns, rows=steps,
        note="Calls that would have met the step: slowed, sent to the cheaper model, or refused."
             " Slower and cheaper calls are counted as they were.",
    )  # fmt: skip


def _command(name: str | None, given: Mapping[str, str], since: str) -> str:
    words = ["tollbook budget what-if", *([name] if name else [])]
    for field, value in given.items():
        if field == "rolling":
            words.append("--rolling" if value == "true" else "--calendar")
        else:
            words.append(f"--{field.replace('_', '-')} {_quoted(value)}")
    return " ".join([*words, f"--since {_quoted(since)}"])


def _quoted(value: str) -> str:
    import shlex  # noqa: PLC0415 -- used here only

    return shlex.quote(value)
