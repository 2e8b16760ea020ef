"""The calls behind a number: newest first in pages, or the dearest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages import parts
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Choices, Column, Controls, Figures, Table, View
from tollbook.desk.permits import Permit, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.console.pages.context import PageContext

_LIMIT: Final = 50
_LIMIT_CSV: Final = 1_000
_ORDERS: Final = (("newest", "newest booked first"), ("cost", "dearest first"))
COLUMNS: Final = (
    Column("called_at", "When", "time"), Column("tenant", "Tenant", "name"),
    Column("cost_usd", "Cost", "usd"), Column("model", "Model", "name"),
    Column("status", "Status", "state"), Column("feature", "Feature", "name"),
    Column("user_id", "User", "name"), Column("input_tokens", "Input", "count", "tokens"),
    Column("output_tokens", "Output", "count", "tokens"), Column("price_state", "Price", "state"),
    Column("duration_s", "Took", "seconds"), Column("agent_run_id", "Run", "ref"),
    Column("call_id", "Call", "ref"),
)  # fmt: skip
_SHORT: Final = frozenset(["called_at", "cost_usd", "model", "feature"])


def call_rows(context: PageContext, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls as rows of a page: each leads to its explanation, its tenant and its run."""
    found = []
    for row in rows:
        explain = context.url("/call", id=row["call_id"], where=None)
        links = dict.fromkeys(("called_at", "cost_usd", "call_id"), explain)
        links["tenant"] = context.filtered("/calls", "tenant", row["tenant"])
        links["user_id"] = context.filtered("/calls", "user", row["user_id"])
        links["feature"] = context.filtered("/calls", "feature", row["feature"])
        if row["agent_run_id"]:
            links["agent_run_id"] = context.url("/run", id=row["agent_run_id"], where=None)
        took = row["duration_ms"]
        more = {
            "model": row["model_actual"] or row["model_requested"],
            "duration_s": None if took is None else f"{took // 1000}.{took % 1000:03}",
            "_links": links,
        }
        found.append(row | more)
    return found


def dearest(context: PageContext, number: int, where: Iterable[str] = ()) -> Table:
    """Return the calls of a page's range that cost the most, in a few columns."""
    pairs = context.query_pairs(where=where, limit=number, order=("cost",))
    report = context.house.answers.calls([pair for pair in pairs if pair[0] in _ASKED])
    return Table(
        name="dearest", title="Dearest calls", rows=call_rows(context, report.rows),
        columns=tuple(column for column in COLUMNS if column.name in _SHORT), empty=parts.EMPTY,
    )  # fmt: skip


_ASKED: Final = ("since", "until", "period", "tz", "where", "limit", "order", "before")


def calls(context: PageContext) -> View:
    """Return a page of calls and the totals of all of them."""
    context.check_zone()
    order = context.get("order") or "newest"
    before = context.get("before") if order == "newest" else None
    limit = _LIMIT_CSV if context.wanted == "csv" else _LIMIT
    pairs = [pair for pair in context.query_pairs(limit=limit) if pair[0] in _ASKED]
    pairs += [("before", before)] if before else []
    pairs += [("order", order)] if order != "newest" else []
    report = context.house.answers.calls(pairs)
    totals = report.totals
    figures = Figures(
        items=(
            parts.count_figure("Calls", "calls", totals, None),
            parts.plain_spend(totals),
            parts.count_figure("Input tokens", "input_tokens", totals, None),
            parts.count_figure("Output tokens", "output_tokens", totals, None),
        )
    )
    table = Table(
        name="calls", columns=COLUMNS, rows=call_rows(context, report.rows), empty=parts.EMPTY,
        note="The figures are of all calls that match; further parts of a call are in its row.",
        next_url=None
        if report.next_before is None or context.wanted == "csv"
        else context.url(before=str(report.next_before)),
        previous_url=context.url(before=None) if before else None,
    )  # fmt: skip
    choices: tuple[Choices, ...] = (
        parts.choice_of(context, "", "order", _ORDERS, "newest", forget=("before",)),
    )
    words = "--order cost" if order == "cost" else ""
    command = context.command("calls", limit=limit)
    return View(
        title="Calls", sections=(figures, table), tz=context.tz, controls=Controls(choices=choices),
        completeness=report.completeness, command=f"{command} {words}".strip(),
    )  # fmt: skip


PAGES: Final = (Page("/calls", "Calls", calls, Permit(Scope.CALLS), group="Spend"),)
