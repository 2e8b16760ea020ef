"""Files of exports as a table with links to fetch them, and what is not complete of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tollbook.console.pages.finance_parts import answered, columns
from tollbook.console.pages.view import Notice, Table
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Section

_SHOWN = 50


def file_url(export_id: str, name: str) -> str:
    """Return the URL that sends a file of an export, checked against its SHA-256 first."""
    return f"/api/v1/exports/file?{urlencode({'export_id': export_id, 'name': name})}"


def files_table(context: PageContext, kind: str, month: str, owner: str | None = None) -> Table:
    """Return the files of the newest exports of a kind and month, each to be fetched.

    Args:
        context: of the page.
        kind: of the exports.
        month: their billing period.
        owner: only those of one owner, and of all; None: every one.
    """
    found = answered(context, "exports.list", kind=kind, period=month, limit=_SHOWN)
    rows = [
        {
            "file": name, "owner": one["owner"] or "all", "made": one["created_at"],
            "by": one["author"], "price": one["price"], "state": state_of(one),
            "export": one["export_id"],
            "_links": {"file": file_url(one["export_id"], name),
                       "export": f"/export?id={one['export_id']}"},
        }
        for one in found.rows if owner is None or one["owner"] in (owner, None)
        for name in one["names"][:_SHOWN]
    ]  # fmt: skip
    return Table(
        name="files", title="Files", rows=rows,
        note="A file whose SHA-256 is not what was written is not sent.",
        empty="No file was made yet: make some above.",
        columns=columns(("file", "File"), ("owner", "Owner"), ("made", "Made", "time"),
                        ("by", "By"), ("price", "Amounts"), ("state", "State", "state"),
                        ("export", "Export", "id")),
    )  # fmt: skip


def state_of(one: dict[str, Any]) -> str:
    """Return whether an export's figures are final, in a word."""
    return "draft" if one["incomplete"] else "final"


def completeness_notice(stamp: dict[str, Any]) -> list[Section]:
    """Return what is missing from a statement, from its stamp."""
    completeness = stamp.get("completeness") or {}
    unpriced = (completeness.get("unpriced") or {}).get("calls")
    if not unpriced:
        return []
    whose = stamp.get("owner", UNKNOWN)
    return [Notice(
        text=f"{unpriced:,} calls of {whose} have no price: the total is too low by what they "
        "cost.", url="/prices/unpriced", action="Give them a price",
    )]  # fmt: skip
