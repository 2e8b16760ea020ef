"""Margin: what tenants, plans, features and months pay and cost, the least profitable first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.console.pages.charts import points
from tollbook.console.pages.finance_parts import (
    REASON,
    Answered,
    answered,
    calls_url,
    columns,
    command,
    figures,
    permitted,
    pico,
    searched,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.shown import usd
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Controls,
    Field,
    Figure,
    Form,
    Notice,
    Table,
    Text,
    View,
)
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_BY: Final = (("tenant", "Tenants"), ("plan", "Plans"), ("feature", "Features"),
              ("month", "Months"))  # fmt: skip
_DOTS: Final = 500
_EXAMPLE: Final = """line_id,tenant,amount,issued,start,end
INV-1-1,acme,1200.00,2026-10-01,2026-10-01,2026-10-31
INV-2-1,globex,300.00,2026-10-01,2026-10-01,2026-10-31"""


def margin(context: PageContext) -> View:
    """Return the margin of the page's range."""
    by = context.get("by") or "tenant"
    asked = _range(context) | {"by": by}
    found = answered(context, "margin.show", **asked)
    rows = sorted(found.rows, key=lambda row: (by == "month" and str(row[by]),
                                               pico(row, "gross_margin_usd")))  # fmt: skip
    sections: list[Section] = [*found.notices("bad")]
    if found.problem is None:
        sections += _told(context, found, rows, by)
    sections += _targets(context)
    sections += permitted(context, _import_form(), _fetch_form(context), _target_form())
    tabs = tuple(Choice(label, context.url(by=name), name == by) for name, label in _BY)
    return View(
        title="Margin", sections=tuple(sections), tz=context.tz,
        subtitle="Revenue less cost, the least profitable first.",
        controls=Controls(has_filters=False, tabs=tabs), command=command("margin", **asked),
    )  # fmt: skip


def _range(context: PageContext) -> dict[str, str]:
    """Return the page's range as the operation takes it, without filters."""
    given = dict(context.range_pairs())
    if "period" in given:
        return {name: given[name] for name in ("period", "tz") if name in given}
    return {name: given[name] for name in ("since", "until", "tz") if name in given}


def _told(
    context: PageContext, found: Answered, rows: list[dict[str, Any]], by: str
) -> list[Section]:
    total = found.answer["totals"]
    silent = sum("no revenue" in row["notes"] for row in rows)
    below = sum(bool(row["alerts"]) for row in rows)
    sections: list[Section] = []
    if silent:
        sections.append(Notice(
            text=f"{silent:,} of {len(rows):,} rows cost something and have no revenue in this "
            "range: their margin is not known. Import revenue, or say which customer is which "
            "tenant.",
        ))  # fmt: skip
    if total["unpriced_calls"]:
        sections.append(Notice(
            text=f"{total['unpriced_calls']:,} calls have no known cost, so margins are too high "
            "by what they cost.", url=context.url("/prices/unpriced"), action="Give them a price",
        ))  # fmt: skip
    sections += [
        Notice(text=f"{one['amount']} {one['currency']} of {one['day']} is not in it: there is no "
               "exchange rate of that day.", url="/prices/fx", action="Import rates")
        for one in found.answer["unconverted"][:3]
    ]  # fmt: skip
    sections.append(figures(
        Figure(label="Revenue", value=total["revenue_usd"], kind="usd",
               url=context.url("/margin/revenue"), note=_before(total["revenue_before_usd"])),
        Figure(label="Cost", value=total["cost_usd"], kind="usd", url=context.url("/calls"),
               note=_before(total["cost_before_usd"])),
        Figure(label="Gross margin", value=total["gross_margin_usd"], kind="usd",
               tone="bad" if pico(total, "gross_margin_usd") < 0 else "plain"),
        Figure(label="Margin", value=total["margin_percent"], kind="percent",
               note="of the sums, never an average of rows"),
        Figure(label="Below target", value=below, kind="count", tone="bad" if below else "plain",
               note=f"of {len(rows):,} rows"),
    ))  # fmt: skip
    if by != "month":
        dots = [
            {"what": str(row[by] or "not set"), "revenue": row["revenue_usd"],
             "cost": row["cost_usd"]}
            for row in rows[:_DOTS]
        ]  # fmt: skip
        sections.append(Chart(
            name="scatter", title="Cost against revenue", values=dots,
            spec=points("revenue", "cost", "what", x_title="Revenue", y_title="Cost"),
            summary=f"Each dot is one {by}: its revenue to the right, its cost upwards.",
        ))  # fmt: skip
    sections.append(_table(context, rows, total, by))
    return sections


def _before(amount: str | None) -> str | None:
    return None if amount is None else f"before: {usd(amount)}"


def _table(
    context: PageContext, rows: list[dict[str, Any]], total: dict[str, Any], by: str
) -> Table:
    shown = sliced(context, searched(context, rows, by))
    linked = [
        row | {
            "about": "; ".join(dict.fromkeys((*map(_short, row["alerts"]), *row["notes"]))),
            "_tone": "bad" if row["alerts"] else "warn" if row["notes"] else "plain",
            "_links": {
                by: _link(context, by, row[by]), "cost_usd": _link(context, by, row[by]),
                "revenue_usd": context.url("/margin/revenue", q=row[by]),
            },
        }
        for row in shown.rows
    ]  # fmt: skip
    label = dict(_BY)[by].removesuffix("s") if by in dict(_BY) else by
    return Table(
        name="margin", rows=linked, total=total, search="q", next_url=shown.next_url,
        previous_url=shown.previous_url, title=f"By {by}",
        note="Revenue is earned evenly over the days it pays for; cost is direct cost with "
        "adjustments and allocations. Percentages are compared with targets exactly.",
        empty="Nobody paid and nothing was spent in this range; choose another one.",
        columns=columns(
            (by, label, "name"), ("revenue_usd", "Revenue", "usd"), ("cost_usd", "Cost", "usd"),
            ("gross_margin_usd", "Gross margin", "usd"), ("margin_percent", "Margin", "percent"),
            ("about", "Look at"), ("margin_change_points", "Points since before", "count"),
            ("cost_to_revenue_percent", "Cost to revenue", "percent"), ("calls", "Calls", "count"),
            ("direct_cost_usd", "Direct", "usd"), ("allocated_cost_usd", "Allocated", "usd"),
            ("adjusted_cost_usd", "Adjusted", "usd"),
        ),
    )  # fmt: skip


def _short(alert: str) -> str:
    """Return an alert without the number that stands beside it."""
    if alert.endswith("no revenue"):
        return "no revenue"
    return alert.partition(" is ")[2] or alert


def _link(context: PageContext, by: str, value: str | None) -> str | None:
    if by == "month" and value is not None:
        return calls_url(context, value)
    if by in ("tenant", "feature"):
        return calls_url(context, None, {by: None if value == "unknown" else value})
    return None


def _targets(context: PageContext) -> list[Section]:
    told = []
    for row in _decisions(context):
        says = row["says"]
        told.append({
            "name": row["document_id"], "kind": says.pop("kind", None), "says": _says(says),
            "from": row["effective_from"], "author": row["author"], "reason": row["reason"],
        })  # fmt: skip
    return [Table(
        name="targets", title="Targets, customers and sources", rows=told,
        empty="No target is set: nothing is marked as below one. Set one below.",
        columns=columns(("name", "Document", "id"), ("kind", "Kind"), ("says", "Says"),
                        ("from", "From"), ("author", "By"), ("reason", "Reason")),
    )]  # fmt: skip


def _decisions(context: PageContext) -> list[dict[str, Any]]:
    """Return what was decided, every version, with what each says as an object."""
    return [
        row | {"says": msgspec.json.decode(row["says"], type=dict[str, Any])}
        for row in answered(context, "margin.decisions").rows
    ]


def _says(says: dict[str, Any]) -> str:
    told = []
    for name, value in says.items():
        if isinstance(value, dict):
            told += [f"{key} is {one}" for key, one in value.items()]
        else:
            told.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(told)


def _import_form() -> Form:
    return Form(
        name="import", operation="revenue.import", title="Import revenue", submit="Import",
        is_folded=True,
        note="A CSV file with line_id, amount and issued, and tenant or customer_id; the same line "
        "told again changes nothing. For example:\n" + _EXAMPLE,
        fields=(
            Field(name="name", label="Name of the source", is_required=True, placeholder="crm",
                  help="Ids of lines are unique within it."),
            Field(name="text", label="CSV file", kind="file", file_name="file", is_required=True),
            Field(name="mapping", label="Other names of columns", kind="textarea", is_object=True,
                  placeholder='{"amount": "Net", "tenant": "Account"}',
                  help="Our name to the file's, as JSON; empty where they are ours."),
        ),
    )  # fmt: skip


def _fetch_form(context: PageContext) -> Form:
    own = [
        row["document_id"].split("/")[1] for row in _decisions(context)
        if row["says"].get("kind") == "source"
    ]  # fmt: skip
    options = tuple((name, name) for name in dict.fromkeys(("stripe", "lago", *own)))
    return Form(
        name="fetch", operation="revenue.fetch", title="Fetch revenue", submit="Fetch",
        is_folded=True, note="Its key is in the environment of the ledger process.",
        fields=(
            Field(name="source", label="From", kind="select", options=options),
            Field(name="since", label="Since", value="last-month"),
        ),
    )  # fmt: skip


def _target_form() -> Form:
    return Form(
        name="target", operation="margin.target", title="Set a target", submit="Keep the target",
        is_folded=True,
        note="Of those that fit a row the most specific counts. Leave tenant, plan and feature "
        "empty to mean everybody.",
        fields=(
            Field(name="tenant", label="Tenant", placeholder="acme, or free-*"),
            Field(name="plan", label="Plan"), Field(name="feature", label="Feature"),
            Field(name="min_margin_percent", label="Least margin, percent", kind="number"),
            Field(name="max_cost_to_revenue_percent", label="Most cost to revenue, percent",
                  kind="number"),
            Field(name="max_margin_drop_points", label="Most loss against before, points",
                  kind="number"),
            Field(name="effective_from", label="From", kind="date",
                  help="Empty: from the beginning."),
            REASON,
        ),
    )  # fmt: skip


def revenue(context: PageContext) -> View:
    """Return the lines of revenue of the page's range."""
    found = answered(context, "revenue.list", **_range(context))
    rows = searched(context, found.rows, "tenant", "customer_id", "plan", "feature", "document_id")
    shown = sliced(context, rows)
    table = Table(
        name="revenue", rows=shown.rows, search="q", next_url=shown.next_url,
        previous_url=shown.previous_url,
        note="Lines that pay for a part of the range, whole; each without tax.",
        empty="No line pays for this range. Import revenue on the page of margin.",
        columns=columns(
            ("source", "Source"), ("document_id", "Document", "id"), ("line_id", "Line", "id"),
            ("tenant", "Tenant", "name"), ("customer_id", "Customer", "id"), ("plan", "Plan"),
            ("feature", "Feature"), ("category", "Kind"), ("status", "Status"),
            ("start", "From"), ("end", "Until"), ("amount", "Amount", "count"),
            ("currency", "Currency"), ("description", "Description"),
        ),
    )  # fmt: skip
    missing = Text(text="Lines without a tenant count nowhere until their customer is mapped.")
    return View(
        title="Revenue", sections=(*found.notices("bad"), table, missing), tz=context.tz,
        controls=Controls(has_filters=False),
        command=command("margin", "revenue", **_range(context)),
        trail=(Choice("Margin", context.url("/margin")),),
    )  # fmt: skip


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/margin", "Margin", margin, _SEEN, "Finance"),
    Page("/margin/revenue", "Revenue", revenue, _SEEN),
)
