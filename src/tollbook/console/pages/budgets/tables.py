"""Tables that the pages of budgets share, and how amounts of several units are shown in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.shown import count, usd
from tollbook.console.pages.view import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Kind

TONES: Final = {"blocked": "bad", "over": "bad", "warned": "warn", "on track to exceed": "warn"}
AMOUNTS: Final = ("limit", "whole", "top_ups", "spent", "held", "left", "over")
_FILTERS: Final = {"model": "model_requested"}
NOTE: Final = (
    "The blocked first. Where gateways run here, spent and held are their live counters; else they"
    " are what the ledger has booked. When a limit is used up is an estimate: the pace since the"
    " window began, carried on."
)
MANY: Final = 60
"""Most owners on a page; the rest is a search away."""


def amount(unit: str, value: str | None) -> str | None:
    """Return an amount with its unit, as a person reads it."""
    if value is None:
        return None
    return usd(value) if unit == "usd" else f"{count(int(value))} {unit}"


def kind_of(unit: str) -> Kind:
    """Return the kind of columns that hold amounts of a unit."""
    return "usd" if unit == "usd" else "count"


def moment(text: str | None) -> str | None:
    """Return a moment to the minute, on the clock that it is given in."""
    if text is None:
        return None
    day, _, clock = text.partition("T")
    return f"{day} {clock[:5]} {'UTC' if clock.endswith('Z') else clock[8:]}"


def next_step(row: Mapping[str, Any]) -> str | None:
    """Return the step that comes next: from how much spent, and what happens."""
    step = row["next_step"]
    if step is None:
        return None
    return f"at {amount(row['unit'], step['at_amount'])}: {step['what']}"


def _amounts(row: Mapping[str, Any], unit: str | None) -> dict[str, Any]:
    if unit is None:
        return {name: amount(row["unit"], row[name]) for name in AMOUNTS}
    return numbers(row)


def numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's amounts as columns of their unit take them."""
    return {
        name: row[name] if row["unit"] == "usd" else int(row[name])
        for name in AMOUNTS
        if row.get(name) is not None
    }


def calls_url(context: PageContext, row: Mapping[str, Any]) -> str:
    """Return the URL of the calls that a standing counts: its owner's, since its window began."""
    where = []
    for field, value in row["owner_fields"].items():
        text = "" if value == "unknown" else value.replace("\\", "\\\\").replace(",", "\\,")
        where.append(f"{_FILTERS.get(field, field)}={text}")
    return context.url("/calls", where=where, since=row["window_start"], until=None, period=None)


def standings_table(
    context: PageContext, rows: Sequence[Mapping[str, Any]], *, unit: str | None, empty: str,
    note: str | None = None,
) -> Table:  # fmt: skip
    """Return standings as a table; of one unit, or of several, then amounts are words."""
    kind: Kind = "text" if unit is None else kind_of(unit)
    shown = []
    for row in rows:
        percent, calls = row["percent"], calls_url(context, row)
        links = {"owner": calls, "spent": calls}
        if unit is None:
            links["budget"] = context.url("/budget", name=row["budget"])
        shown.append(dict(row) | _amounts(row, unit) | {
            "share": percent,
            "resets": moment(row["blocked_until"] or row["resets_at"]) or row["window_words"],
            "used_up": moment(row["exhausted_at"]),
            "step": next_step(row), "_links": links,
        } | ({"_tone": TONES[row["state"]]} if row["state"] in TONES else {}))  # fmt: skip
    columns = [
        Column("state", "State", "state"),
        *([Column("budget", "Budget", "name")] if unit is None else []),
        Column("owner", "Owner", "name"),
        Column("share", "Used", "share", help="Spent of the limit with its top-ups."),
        Column("spent", "Spent", kind),
        Column("held", "Held", kind, help="Reserved by calls under way."),
        Column("left", "Left", kind),
        Column("whole", "Limit", kind, help="With top-ups."),
        Column("resets", "Resets", "name", help="On the clock of the budget's zone."),
        Column(
            "used_up", "Used up at", "name", help="If spending goes on as since the window began."
        ),
    ]
    if unit is not None and any(row["next_step"] for row in rows):
        columns.append(Column("step", "Next step"))
    return Table(
        name="standing", title="Where owners stand", columns=tuple(columns), rows=shown,
        empty=empty, note=note, search="owner",
    )  # fmt: skip
