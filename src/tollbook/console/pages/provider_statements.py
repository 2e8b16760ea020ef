"""What providers say was used and costs: statements that were imported, fetched or typed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import (
    REASON,
    answered,
    calls_url,
    columns,
    command,
    facts,
    figures,
    hidden,
    months,
    permitted,
    searched,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.provider_statement_forms import fetch_form, import_form, invoice_form
from tollbook.console.pages.view import Choice, Controls, Field, Figure, Form, Notice, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_BASES: Final = (("", "all"), ("usage", "usage reports"), ("cost", "cost reports"),
                 ("invoice", "invoices"))  # fmt: skip
_LINES: Final = 100


def provider_statements(context: PageContext) -> View:
    """Return the statements there are, the newest time first."""
    provider, basis, month = (context.get(name) for name in ("provider", "basis", "period"))
    found = answered(context, "statements.list", provider=provider, basis=basis, since=month,
                     withdrawn=context.get("withdrawn"))  # fmt: skip
    kept = [row for row in found.rows if month is None or row["since"][:7] <= month]
    wanted = searched(context, kept, "provider", "source", "account", "invoice_id", "file_name")
    rows = sorted(wanted, key=lambda row: str(row["since"]), reverse=True)
    shown = sliced(context, [
        row | {
            "since": row["since"][:16], "until": row["until"][:16],
            "_links": {"statement_id": f"/provider-statement?id={row['statement_id']}"},
        }
        for row in rows
    ])  # fmt: skip
    provisional = sum(row["finality"] != "final" for row in rows)
    shadowed = answered(context, "statements.shadowed", period=month)
    sections: list[Section] = [
        *found.notices("bad"),
        figures(
            Figure(label="Statements", value=len(rows), kind="count"),
            Figure(label="Not final", value=provisional, kind="count",
                   tone="warn" if provisional else "plain",
                   note="the provider may still revise them"),
            Figure(label="Partly not counted", value=len(shadowed.rows), kind="count",
                   note="another source of the same money is preferred"),
        ),
        _table(shown.rows, shown.next_url, shown.previous_url),
    ]  # fmt: skip
    if shadowed.rows:
        sections.append(_shadowed(shadowed.rows))
    sections += permitted(context, import_form(context), fetch_form(context), invoice_form(context))
    known = {row["provider"] for row in found.rows}
    names = sorted(known | set(context.house.desk.config.providers))
    fields = (
        Field(name="provider", label="Provider", kind="select", value=provider,
              options=(("", "all"), *((name, name) for name in names))),
        Field(name="basis", label="What", kind="select", options=_BASES, value=basis),
        Field(name="period", label="Since", kind="select", value=month,
              options=(("", "any time"), *((one, one) for one in months(context)))),
        Field(name="withdrawn", label="Withdrawn too", kind="checkbox",
              value=context.get("withdrawn")),
    )  # fmt: skip
    return View(
        title="Provider statements", sections=tuple(sections), tz=context.tz,
        subtitle="What reconciliation compares the ledger with.",
        controls=Controls(has_range=False, has_filters=False, fields=fields),
        command=command("statements", "list", provider=provider),
    )  # fmt: skip


def _table(rows: list[dict[str, Any]], next_url: str | None, previous_url: str | None) -> Table:
    return Table(
        name="statements", rows=rows, search="q", next_url=next_url, previous_url=previous_url,
        note="Each is kept as it came, with its SHA-256; the same file again changes nothing.",
        empty="No statement is here. Upload a provider's usage or cost report below, let it be "
        "fetched, or type in an invoice.",
        columns=columns(
            ("statement_id", "Statement", "id"), ("provider", "Provider"), ("basis", "What"),
            ("source", "Source"), ("account", "Account"), ("since", "From", "id"),
            ("until", "Until", "id"), ("finality", "Finality", "state"),
            ("lines", "Lines", "count"), ("problems", "Problems", "count"),
            ("invoice_id", "Invoice", "id"), ("file_name", "File", "id"),
            ("fetched_at", "Kept", "time"), ("received_by", "By"),
        ),
    )  # fmt: skip


def _shadowed(rows: list[dict[str, Any]]) -> Table:
    return Table(
        name="shadowed", title="Not counted, because another source is preferred", rows=rows,
        columns=columns(("statement_id", "Statement", "id"), ("provider", "Provider"),
                        ("source", "Source"), ("since", "From", "time"),
                        ("until", "Until", "time"), ("by", "Preferred")),
    )  # fmt: skip


def provider_statement(context: PageContext) -> View:
    """Return one statement: what it is, its problems, marks and lines."""
    about = context.need("id", "the id of a statement, see the page of provider statements")
    found = answered(context, "statements.show", statement_id=about)
    sections: list[Section] = [*found.notices("bad")]
    if found.problem is None:
        one = found.answer["statement"]
        sections += [Notice(text=words) for words in found.answer["problems"][:10]]
        sections += _told(context, one, found.rows, about)
        sections += permitted(context, *_mark_forms(about, one["finality"]))
    return View(
        title="Provider statement", subtitle=about, sections=tuple(sections), tz=context.tz,
        trail=(Choice("Provider statements", "/provider-statements"),),
        command=command("statements", "show", about),
    )  # fmt: skip


def _told(
    context: PageContext, one: dict[str, Any], marks: list[dict[str, Any]], about: str
) -> list[Section]:
    given = context.get("first") or ""
    first = max(1, int(given[:9])) if given.isdecimal() and given.isascii() else 1
    limit = _LINES if context.wanted == "html" else 10_000
    lines = answered(context, "statements.lines", statement_id=about, first=first, limit=limit)
    rows = [
        row | {"_links": {"model": calls_url(
            context, row["since"][:7],
            {"provider": row["provider"]} | ({} if row["model"] is None
                                             else {"model": row["model"]}))}}
        for row in lines.rows
    ]  # fmt: skip
    has_more = first - 1 + limit < one["lines"]
    return [
        figures(
            Figure(label="Provider", value=one["provider"]),
            Figure(label="What", value=one["basis"], note=one["source"]),
            Figure(label="Finality", value=one["finality"], kind="state"),
            Figure(label="Lines", value=one["lines"], kind="count"),
            Figure(label="Problems", value=one["problems"], kind="count",
                   tone="warn" if one["problems"] else "plain"),
        ),
        Table(
            name="lines", title="Lines", rows=rows, empty="It has no lines.",
            next_url=context.url(first=first + limit) if has_more else None,
            previous_url=context.url(first=max(1, first - limit)) if first > 1 else None,
            columns=columns(
                ("line", "Line", "count"), ("since", "From", "time"), ("model", "Model"),
                ("kind", "Kind"), ("tier", "Tier"), ("region", "Region"), ("project", "Project"),
                ("api_key", "Key"), ("category", "Category"), ("quantity", "Quantity", "count"),
                ("amount_usd", "Amount", "usd"), ("description", "Description"),
            ),
        ),
        Table(
            name="marks", title="What was said of it", rows=marks,
            empty="It was neither marked final nor withdrawn.",
            columns=columns(("at", "When", "time"), ("mark", "Mark", "state"), ("author", "By"),
                            ("reason", "Reason")),
        ),
        facts("statement", "Where it is from", one.items()),
    ]  # fmt: skip


def _mark_forms(about: str, finality: str) -> tuple[Form | None, ...]:
    final = Form(
        name="final", operation="statements.mark", title="Mark it final", submit="It is final",
        is_folded=True, note="The provider no longer revises it.",
        fields=(*hidden(statement_id=about, mark="final"), REASON),
    )  # fmt: skip
    withdrawn = Form(
        name="withdrawn", operation="statements.mark", title="Withdraw it", is_dangerous=True,
        submit="Withdraw it", is_folded=True, note="It no longer counts, and stays in the books.",
        fields=(*hidden(statement_id=about, mark="withdrawn"), REASON),
    )  # fmt: skip
    return (None if finality == "final" else final, withdrawn)


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/provider-statements", "Provider statements", provider_statements, _SEEN, "Finance"),
    Page("/provider-statement", "Provider statement", provider_statement, _SEEN),
)
