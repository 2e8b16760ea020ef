"""Statements of tenants and cost centres: a month's owners, one owner's lines, and the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.charts import stacked_bars
from tollbook.console.pages.finance_parts import (
    Answered,
    answered,
    calls_url,
    columns,
    command,
    facts,
    figures,
    hidden,
    month_controls,
    month_of,
    permitted,
    searched,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.statement_files import completeness_notice, files_table
from tollbook.console.pages.view import (
    Chart,
    Choice,
    Column,
    Field,
    Figure,
    Form,
    Notice,
    Table,
    View,
)
from tollbook.desk.permits import Permit, Scope
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Kind, Section

KIND: Final = "statements"
_BY: Final = (("tenant", "tenants"), ("cost_center", "cost centres"))
_PRICES: Final = (("cost", "what it costs"), ("billable", "the agreed price"),
                  ("both", "both"))  # fmt: skip
_FILES: Final = (("pdf", "PDF"), ("xlsx", "XLSX"), ("csv", "CSV"))
_OWNERS_MAX: Final = 10_000


def statements(context: PageContext) -> View:
    """Return the owners of a month as billed, each with a link to its statement."""
    month, by = month_of(context), context.get("by") or "tenant"
    spend = context.house.answers.spend([
        ("billing_period", month), ("by", by), ("measures", "cost_usd,billable_usd,calls"),
        ("order", "-cost_usd"), ("limit", str(_OWNERS_MAX)),
    ])  # fmt: skip
    rows = searched(context, spend.rows, by)
    shown = sliced(context, [row for row in rows if not row.get("is_other")])
    linked = [
        row | {"owner": row[by] or UNKNOWN, "_links": {
            "owner": context.url("/statement", keep=("price",), period=month, by=by,
                                 owner=row[by] or UNKNOWN),
            "cost_usd": calls_url(context, month, {by: row[by]}, billed=True),
            "calls": calls_url(context, month, {by: row[by]}, billed=True),
        }}
        for row in shown.rows
    ]  # fmt: skip
    table = Table(
        name="owners", title=f"Statements of {dict(_BY).get(by, by)}", rows=linked, search="q",
        next_url=shown.next_url, previous_url=shown.previous_url, total=spend.totals,
        note="As billed: exactly the entries of this month's close. Open one for its lines.",
        empty=f"Nothing was spent in {month}. Choose another month.",
        columns=columns(("owner", "Owner", "name"), ("calls", "Calls", "count"),
                        ("cost_usd", "Cost", "usd"), ("billable_usd", "Agreed price", "usd")),
    )  # fmt: skip
    form = _form("everybody", month, by, title="Make the statements of all",
                 more=(Field(name="everybody", label="all", kind="hidden", value="true"),
                       Field(name="zipped", label="In one ZIP file", kind="checkbox")))  # fmt: skip
    tabs = tuple(Choice(label, context.url(by=name), name == by) for name, label in _BY)
    return View(
        title="Statements", subtitle=f"{month}: what each owner is charged.",
        sections=(_state(context, month), table, *permitted(context, form),
                  files_table(context, KIND, month)),
        controls=month_controls(context, tabs=tabs), completeness=spend.completeness,
        command=command("export", "statements", "--all", period=month), tz=context.tz,
    )  # fmt: skip


def _state(context: PageContext, month: str) -> Section:
    found = answered(context, "periods.show", period=month)
    state = found.answer.get("state")
    if state == "closed":
        return Notice(text=f"{month} is closed: these figures never change.", tone="good",
                      url=f"/period?period={month}", action="See its close")  # fmt: skip
    return Notice(
        text=f"{month} is {state or 'unknown'}, so statements are drafts and say so.",
        url=f"/period?period={month}", action="Close it",
    )  # fmt: skip


def _form(name: str, month: str, by: str, *, title: str, more: tuple[Field, ...]) -> Form:
    return Form(
        name=name, operation="invoices.export", title=title, submit="Make the files",
        note="Written on the ledger's machine and listed below with their SHA-256.",
        fields=(
            *hidden(period=month, by=by), *more,
            Field(name="files", label="Format", kind="select", options=_FILES),
            Field(name="price", label="Amounts", kind="select", options=_PRICES),
        ),
    )  # fmt: skip


def one_statement(context: PageContext) -> View:
    """Return one owner's statement of a month."""
    month, owner = month_of(context), context.need("owner", "a tenant or cost centre")
    by, price = context.get("by") or "tenant", context.get("price") or "cost"
    found = answered(context, "invoices.lines", period=month, owner=owner, by=by, price=price)
    sections: list[Section] = [_state(context, month), *found.notices()]
    if found.problem is None:
        sections += _told(context, found, month, by)
        form = _form("one", month, by, title="Make the files of this statement",
                     more=hidden(owner=owner))  # fmt: skip
        sections += permitted(context, form)
    sections.append(files_table(context, KIND, month, owner=owner))
    chosen = Field(name="price", label="Amounts", kind="select", options=_PRICES, value=price)
    option = "tenant" if by == "tenant" else "cost_center"
    return View(
        title=f"Statement of {owner}", subtitle=f"{month}, as billed",
        sections=tuple(sections), tz=context.tz,
        controls=month_controls(context, chosen),
        trail=(Choice("Statements", context.url("/statements", period=month, by=by)),),
        command=command("export", "statements", **{"period": month, option: owner}),
    )  # fmt: skip


def _told(context: PageContext, found: Answered, month: str, by: str) -> list[Section]:
    answer = found.answer
    whose = {by: None if answer["owner"] == UNKNOWN else answer["owner"]}
    shown = sliced(context, [
        row | {"_links": {
            "line_id": context.url("/statement/evidence", line_id=row["line_id"]),
            "amount_usd": calls_url(context, month, whose, billed=True),
        }}
        for row in found.rows
    ])  # fmt: skip
    days = [
        {"day": str(row["day"])[:10], "amount": row["amount_usd"]}
        for row in answer["days"] if row["amount_usd"] is not None
    ]  # fmt: skip
    return [
        *completeness_notice(answer),
        figures(
            Figure(label="Total", value=answer["total_usd"], kind="usd",
                   url=calls_url(context, month, whose, billed=True)),
            Figure(label="Exact", value=answer["exact_usd"],
                   note="before rounding to cents"),
            *(Figure(label=row["what"], value=row["amount_usd"], kind="usd")
              for row in answer["summary"] if row["what"] != "Total"),
        ),
        Chart(
            name="days", title="By day", values=days,
            spec=stacked_bars("day", "amount", title="USD"),
            summary="What each day of the month comes to.",
        ),
        Table(
            name="lines", title="Lines", rows=shown.rows, next_url=shown.next_url,
            previous_url=shown.previous_url,
            total={"amount_usd": answer["total_usd"], "amount_exact": answer["exact_usd"]},
            note="The total is rounded half to even to cents; lines by largest remainder, to add "
            "up to it. Open a line for the calls and the provider's billing window behind it.",
            columns=columns(
                ("section", "Part"), ("feature", "Feature", "name"), ("provider", "Provider"),
                ("model", "Model", "id"), ("description", "Description"),
                ("original_period", "Of", "id"), ("calls", "Calls", "count"),
                ("input_tokens", "Input", "count"), ("output_tokens", "Output", "count"),
                ("amount_usd", "Amount", "usd"), ("amount_exact", "Exact", "usd"),
                ("line_id", "Line", "id"),
            ),
        ),
        facts("stamp", "How it was made", [
            (name.replace("_", " "), answer[name])
            for name in ("billing_period", "period_state", "timezone", "last_entry_id",
                         "created_at", "price", "query")
            if name in answer
        ]),
    ]  # fmt: skip


def evidence(context: PageContext) -> View:
    """Return the entries behind a line of a statement, and the provider's lines of that time."""
    line = context.need("line_id", "the id of a line of a statement")
    after = context.get("after")
    found = answered(context, "invoices.evidence", line_id=line, after=after, limit=100)
    sections: list[Section] = [*found.notices("bad")]
    if found.problem is None:
        answer = found.answer
        following = answer["next_after"]
        sections += [
            facts("line", "The line", answer["line"].items()),
            facts("totals", "Sum of its entries", answer["totals"].items()),
            _rows("entries", "Entries", found.rows,
                  context.url(after=following) if following else None),
            _rows("provider_lines", "What providers bill for that time",
                  answer["provider_lines"], None),
        ]  # fmt: skip
    return View(
        title=f"Line {line}", subtitle="Evidence of a line of a statement", tz=context.tz,
        sections=tuple(sections), trail=(Choice("Statements", context.url("/statements")),),
        command=command("export", "evidence", line),
    )  # fmt: skip


def _rows(name: str, title: str, rows: list[dict[str, Any]], next_url: str | None) -> Table:
    names = list(dict.fromkeys(each for row in rows for each in row))
    linked = [
        row | {"_links": {"call_id": f"/call?id={row['call_id']}"}} if row.get("call_id") else row
        for row in rows
    ]
    return Table(
        name=name, title=title, rows=linked, next_url=next_url, empty="None.",
        columns=tuple(Column(each, each.replace("_", " ").capitalize(), _kind(each))
                      for each in names),
    )  # fmt: skip


def _kind(name: str) -> Kind:
    return "usd" if name.endswith("_usd") else "id" if name.endswith("_id") else "text"


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/statements", "Statements", statements, _SEEN, "Finance"),
    Page("/statement", "Statement", one_statement, _SEEN),
    Page("/statement/evidence", "Evidence of a line", evidence, Permit(Scope.FINANCE)),
)
