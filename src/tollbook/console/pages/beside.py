"""What other rooms know of a page's subject: forecast, budgets, incidents, margin.

Each is asked by the name of its operation and left out where that is not there, not allowed or has
nothing to say: no page of spend depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tollbook.console.pages.budgets.tables import moment
from tollbook.console.pages.shown import usd
from tollbook.console.pages.view import Column, Figure, Table
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.console.pages.context import PageContext

_NEAR: Final = 80
"""Percent of a budget from which it is near its limit."""
_SHOWN: Final = 8
_OVER: Final = ("blocked", "over", "warned")


def forecast(context: PageContext, where: Iterable[str] = ()) -> list[Figure]:
    """Return the month's end as it is expected."""
    filters = [one for one in (*context.all("where"), *where) if one]
    answer = context.try_ask("insights.forecast", tz=context.tz, where=filters)
    totals = {} if answer is None else answer.get("totals", {})
    expected = totals.get("month_expected_usd")
    if expected is None:
        return []
    low, high = totals.get("month_low_usd"), totals.get("month_high_usd")
    return [
        Figure(
            label=f"Forecast, {totals.get('month', 'the month')}", value=expected, kind="usd",
            note="an estimate" if low is None else f"an estimate: {usd(low)} to {usd(high)}",
            url=context.url("/forecast") if context.has_page("/forecast") else None,
        )
    ]  # fmt: skip


def budget_rows(context: PageContext, tenant: str | None = None) -> list[dict[str, Any]]:
    """Return where budgets stand, the worst first; of a tenant those that name it."""
    answer = context.try_ask("budgets.standing", owner=tenant)
    rows = [] if answer is None else answer.get("rows", [])
    if tenant is None:
        return list(rows)
    return [row for row in rows if row.get("owner_fields", {}).get("tenant") == tenant]


def budget_used(context: PageContext) -> dict[str, int]:
    """Return by tenant how much of the budget nearest to its limit is used, in percent."""
    used: dict[str, int] = {}
    for row in budget_rows(context):
        tenant, part = row.get("owner_fields", {}).get("tenant"), row.get("percent")
        if tenant is not None and part is not None:
            used[tenant] = max(used.get(tenant, 0), int(part))
    return used


def budgets_table(context: PageContext, rows: list[dict[str, Any]], title: str) -> list[Table]:
    """Return budgets as a table; none where there are none."""
    if not rows:
        return []
    columns = (
        Column("budget", "Budget", "name"), Column("owner", "Of", "name"),
        Column("state", "State", "state"), Column("percent", "Used", "share"),
        Column("resets_at", "Resets", "text"),
    )  # fmt: skip
    is_linked = context.has_page("/budget")
    shown = [
        {column.name: row.get(column.name) for column in columns}
        | {
            "resets_at": moment(row.get("resets_at")),
            "_links": {"budget": f"/budget?{urlencode({'name': row['budget']})}"}
            if is_linked
            else {},
        }
        for row in rows[:_SHOWN]
    ]
    return [Table(name="budgets", title=title, columns=columns, rows=shown)]


def is_near(row: dict[str, Any]) -> bool:
    """Whether a budget is near its limit, or beyond."""
    return row.get("state") in _OVER or (row.get("percent") or 0) >= _NEAR


def incidents_table(context: PageContext, tenant: str | None = None) -> list[Table]:
    """Return open incidents as a table; none where there are none."""
    answer = context.try_ask("incidents.list")
    rows = [] if answer is None else answer.get("rows", [])
    rows = [
        row
        for row in rows
        if row.get("state") != "resolved" and (tenant is None or row.get("tenant") == tenant)
    ]
    if not rows:
        return []
    columns = (
        Column("title", "What", "name"), Column("excess_usd", "Dollars above", "amount"),
        Column("state", "State", "state"), Column("opened_at", "Since", "time"),
    )  # fmt: skip
    link = context.has_page("/incident")
    shown = [
        {column.name: row.get(column.name) for column in columns}
        | {"_links": {"title": f"/incident?id={row['id']}"} if link else {}}
        for row in rows[:_SHOWN]
    ]
    return [Table(name="incidents", title="Incidents", columns=columns, rows=shown)]


def margins(context: PageContext) -> dict[str, dict[str, Any]]:
    """Return revenue and margin by tenant, in the page's range."""
    given = {
        name: value
        for name, value in context.range_pairs()
        if name in ("since", "until", "period", "tz")
    }
    answer = context.try_ask("margin.show", **given)
    rows = [] if answer is None else answer.get("rows", [])
    return {row.get("tenant") or UNKNOWN: row for row in rows}
