"""Exports: FOCUS datasets, journals and statements as files, with manifests that can be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.finance_parts import (
    answered,
    columns,
    command,
    facts,
    figures,
    month_of,
    months,
    permitted,
    sliced,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.statement_files import file_url, state_of
from tollbook.console.pages.view import Choice, Controls, Field, Figure, Form, Notice, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_KINDS: Final = (("", "all"), ("focus", "FOCUS"), ("journal", "journals"),
                 ("statements", "statements of tenants"))  # fmt: skip
_LISTED_MAX: Final = 1000
_MANIFEST: Final = "manifest.json"


def exports(context: PageContext) -> View:
    """Return the exports there are, the newest first, and forms to make more."""
    kind, month = context.get("kind"), month_of(context)
    found = answered(context, "exports.list", kind=kind, period=context.get("period"),
                     limit=_LISTED_MAX)  # fmt: skip
    shown = sliced(context, [
        row | {"state": state_of(row), "why": "; ".join(row["incomplete"]),
               "_links": {"export_id": f"/export?id={row['export_id']}",
                          "period": f"/period?period={row['period']}" if row["period"] else None}}
        for row in found.rows
    ])  # fmt: skip
    table = Table(
        name="exports", rows=shown.rows, next_url=shown.next_url,
        previous_url=shown.previous_url,
        note="A draft is of a month that was not closed, or of calls that are not all priced: its "
        "figures may change. Open an export for its files.",
        empty="Nothing was exported yet: make an export below.",
        columns=columns(
            ("export_id", "Export", "id"), ("kind", "What"), ("period", "Month"),
            ("state", "State", "state"), ("why", "Why"), ("version", "FOCUS"),
            ("perspective", "Seen as"), ("owner", "Owner"), ("created_at", "Made", "time"),
            ("author", "By"), ("files", "Files", "count"), ("rows", "Rows", "count"),
            ("size_bytes", "Size", "bytes"),
        ),
    )  # fmt: skip
    names = tuple((one, one) for one in months(context))
    statement = Notice(
        text="Statements of tenants and cost centres, as PDF, XLSX or CSV, are made on their own "
        "page.", tone="plain", url=context.url("/statements", period=month), action="Go there",
    )  # fmt: skip
    return View(
        title="Exports", tz=context.tz, command=command("export", "list"),
        sections=(*found.notices("bad"), table,
                  *permitted(context, _focus_form(names, month), _journal_form(names, month)),
                  statement),
        controls=Controls(has_range=False, has_filters=False, fields=(
            Field(name="kind", label="What", kind="select", options=_KINDS, value=kind),
            Field(name="period", label="Month", kind="select", value=context.get("period"),
                  options=(("", "any"), *names)),
        )),
    )  # fmt: skip


def _focus_form(names: tuple[tuple[str, str], ...], month: str) -> Form:
    return Form(
        name="focus", operation="exports.focus", title="Export FOCUS datasets", submit="Export",
        note="Columns of the FinOps Foundation's specification; totals are those of the reports.",
        fields=(
            Field(name="period", label="Month", kind="select", options=names, value=month),
            Field(name="version", label="FOCUS", kind="select",
                  options=(("1.4", "1.4"), ("1.2", "1.2"))),
            Field(name="files", label="Format", kind="select",
                  options=(("csv", "CSV"), ("parquet", "Parquet"))),
            Field(name="perspective", label="Seen as", kind="select", options=(
                ("cost", "what providers bill"), ("billable", "what tenants are charged"))),
            Field(name="view", label="View", kind="select", options=(
                ("billed", "as billed"), ("known", "its days, as known now"))),
            Field(name="where", label="Only", is_list=True, placeholder="tenant=acme",
                  help="Filters as in reports."),
        ),
    )  # fmt: skip


def _journal_form(names: tuple[tuple[str, str], ...], month: str) -> Form:
    return Form(
        name="journal", operation="journal.export", title="Export a journal", submit="Export",
        note="The month's postings as CSV and beancount text, as billed.",
        fields=(Field(name="period", label="Month", kind="select", options=names, value=month),),
    )  # fmt: skip


def export(context: PageContext) -> View:
    """Return one export: its manifest, and whether its files are what was written."""
    export_id = context.need("id", "the id of an export, see the page of exports")
    found = answered(context, "exports.show", export_id=export_id)
    sections: list[Section] = [*found.notices("bad")]
    if found.problem is None:
        sections += _told(found.answer, found.rows, export_id)
    return View(
        title="Export", subtitle=export_id, sections=tuple(sections), tz=context.tz,
        trail=(Choice("Exports", "/exports"),), command=command("export", "show", export_id),
    )  # fmt: skip


def _told(answer: dict[str, Any], rows: list[dict[str, Any]], export_id: str) -> list[Section]:
    changed = [row["name"] for row in rows if row["state"] != "unchanged"]
    sections: list[Section] = []
    if answer["incomplete"]:
        sections.append(Notice(text=f"A draft: {'; '.join(answer['incomplete'])}."))
    if changed:
        sections.append(Notice(
            text=f"Not what was written: {', '.join(changed)}. Export it again.", tone="bad",
        ))  # fmt: skip
    linked = [row | {"_links": {"name": file_url(export_id, row["name"])}} for row in rows]
    linked.append({
        "name": _MANIFEST, "dataset": "manifest", "state": None,
        "_links": {"name": file_url(export_id, _MANIFEST)},
    })  # fmt: skip
    named = [row | {"rows": row.get("rows"), "size_bytes": row.get("size_bytes"),
                    "sha256": row.get("sha256")} for row in linked]  # fmt: skip
    told = {name: value for name, value in answer.items()
            if name not in ("rows", "directory", "files", "incomplete")}  # fmt: skip
    return [
        *sections,
        figures(
            Figure(label="What", value=answer.get("kind")),
            Figure(label="Month", value=answer.get("billing_period")),
            Figure(label="Files", value=len(rows), kind="count"),
            Figure(label="Checked", value="changed" if changed else "as written", kind="state",
                   tone="bad" if changed else "good", note="each file against its SHA-256, now"),
        ),
        Table(
            name="files", title="Files", rows=named,
            columns=columns(
                ("name", "File"), ("dataset", "Holds"), ("rows", "Rows", "count"),
                ("size_bytes", "Size", "bytes"), ("state", "State", "state"),
                ("sha256", "SHA-256", "id"),
            ),
        ),
        facts("manifest", "Manifest", told.items()),
    ]  # fmt: skip


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/exports", "Exports", exports, _SEEN, "Finance"),
    Page("/export", "Export", export, _SEEN),
)
