"""What the numbers cannot be trusted for yet: each kind with its dollars, calls, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.console.pages import parts
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import Column, Controls, Figure, Figures, Section, Table, View
from tollbook.desk.permits import Permit, Scope
from tollbook.money import pico_from_usd
from tollbook.reports.exact_ratio import percent

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.reports.spend import Completeness, Share

_ISSUES: Final = (
    Column("issue", "What"), Column("calls", "Calls", "count"), Column("cost_usd", "Cost", "usd"),
    Column("percent", "Of all calls", "share"), Column("meaning", "What it means"),
    Column("fix", "What to do"),
)  # fmt: skip
_SHOWN: Final = 20
_DUPLICATES: Final = ("stitched", "wrapper", "covered", "aggregate")
_CONFLICTS: Final = ("conflicting", "ambiguous", "orphaned", "waiting", "late")


def quality(context: PageContext) -> View:
    """Return what is unattributed, unpriced, estimated, double, late, lost."""
    context.check_zone()
    whole = context.spend(measures=("calls", "cost_usd"))
    totals, state = whole.totals, whole.completeness
    sections: list[Section] = [_figures(context, totals, state), _issues(context, totals, state)]
    if state.unattributed.calls:
        sections.append(_call_sites(context))
    if state.unpriced.calls:
        sections.append(_unpriced(context))
    sections += [_stitching(context), _sources(context), _incidents(context)]
    return View(
        title="Data quality", sections=tuple(sections), tz=context.tz, controls=Controls(),
        completeness=state,
        subtitle="Nothing of this is hidden in the totals: what is not known is counted here, and "
        "never taken for nothing.",
        command=context.command("report", "spend", by=("price_state", "usage_source")),
    )  # fmt: skip


def _figures(context: PageContext, totals: dict[str, Any], state: Completeness) -> Figures:
    cost, whole = state.unattributed.cost_usd, totals["cost_usd"]
    share = None
    if cost is not None and whole is not None:
        share = percent(pico_from_usd(cost), pico_from_usd(whole))
    return Figures(
        items=(
            Figure(label="Unattributed", value=share, kind="percent", note="of the cost",
                   tone="warn" if state.unattributed.calls else "good",
                   url=context.filtered("/calls", "tenant", None)),
            Figure(label="Unpriced", value=state.unpriced.calls, kind="count",
                   note="calls with unknown cost",
                   tone="bad" if state.unpriced.calls else "good",
                   url=context.filtered("/calls", "price_state", "unpriced")),
            Figure(label="Estimated", value=state.estimated.calls, kind="count",
                   note="calls whose usage nobody reported",
                   url=context.filtered("/calls", "usage_source", "estimated")),
            Figure(label="Losses and damages", value=state.incidents, kind="count",
                   tone="bad" if state.incidents else "good", note="on record, of all time"),
            Figure(label="Complete until", value=state.complete_until, kind="time"),
        )
    )  # fmt: skip


def _issues(context: PageContext, totals: dict[str, Any], state: Completeness) -> Table:
    card = "Write a price card on the price book, or: tollbook prices add. Then re-rate."
    told: tuple[tuple[str, Share, str, str, str, str], ...] = (
        ("unattributed", state.unattributed, "No tenant is known.", _ATTRIBUTE, "tenant", ""),
        ("unpriced", state.unpriced, "No price is known: the totals are too low by what it cost.",
         card, "price_state", "unpriced"),
        ("estimated", state.estimated, "No usage was told; tokens are estimated from the text.",
         "Ask for usage in streams (stream_options), or let the gateway do it.", "usage_source",
         "estimated"),
        ("unmetered", state.unmetered, "Endpoints that no dialect meters were passed through.",
         "Reconcile: the provider's bill says what they cost.", "price_state", "unmetered"),
        ("interrupted", state.interrupted, "The gateway died before the answer ended.",
         "Usage is estimated; reconcile with the provider.", "status", "interrupted"),
    )  # fmt: skip
    rows = [
        {"issue": name, "calls": share.calls, "cost_usd": share.cost_usd, "meaning": meaning,
         "percent": percent(share.calls, totals["calls"]), "fix": fix,
         "_links": _behind(context, dimension, value),
         "_tone": "warn" if share.calls and name in ("unattributed", "unpriced") else ""}
        for name, share, meaning, fix, dimension, value in told
    ]  # fmt: skip
    return Table(name="issues", title="What is not certain", columns=_ISSUES, rows=rows,
                 note="A call may be of several kinds.")  # fmt: skip


_ATTRIBUTE: Final = (
    "Send x-tollbook-tenant, give the application a virtual key of the tenant, or wrap it with "
    "tollbook.context(tenant=...); the call sites below are where."
)


def _behind(context: PageContext, dimension: str, value: str) -> dict[str, str]:
    url = context.filtered("/calls", dimension, value or None)
    return {"issue": url, "calls": url, "cost_usd": url}


def _call_sites(context: PageContext) -> Table:
    where = ("tenant=",)
    report = context.spend(
        by=("call_site", "api_key", "feature"), measures=("calls", "cost_usd"),
        order=("-calls",), limit=_SHOWN, where=where,
    )  # fmt: skip
    rows = []
    for row in report.rows:
        if row.get("is_other"):
            rows.append(row)
            continue
        filters = [*context.all("where"), *where]
        for name in ("call_site", "api_key", "feature"):
            filters += parts.only(name, [row[name]])
        url = context.url("/calls", where=filters)
        rows.append(row | {"_links": {"call_site": url, "calls": url, "cost_usd": url}})
    columns = (
        Column("call_site", "Call site", "name"), Column("api_key", "Key", "name"),
        Column("feature", "Feature", "name"), Column("calls", "Calls", "count"),
        Column("cost_usd", "Cost", "usd"),
    )  # fmt: skip
    return Table(
        name="call_sites", title="Where calls without a tenant are made", columns=columns,
        rows=rows, total=report.totals,
        note="A call site is known where the SDK made the call; others are told apart by key and "
        "feature. Fix the one with most calls first.",
    )  # fmt: skip


def _unpriced(context: PageContext) -> Table:
    report = context.spend(
        by=("provider", "model"), order=("-calls",), limit=_SHOWN,
        measures=("calls", "input_tokens", "output_tokens"), where=("price_state=unpriced",),
    )  # fmt: skip
    rows = []
    for row in report.rows:
        if not row.get("is_other"):
            filters = [*context.all("where"), "price_state=unpriced",
                       *parts.only("model", [row["model"]])]  # fmt: skip
            url = context.url("/calls", where=filters)
            row = row | {"_links": {"model": url, "calls": url}}  # noqa: PLW2901 -- the same, linked
        rows.append(row)
    columns = (
        Column("provider", "Provider", "name"), Column("model", "Model", "name"),
        Column("calls", "Calls", "count"), Column("input_tokens", "Input tokens", "count"),
        Column("output_tokens", "Output tokens", "count"),
    )  # fmt: skip
    return Table(name="unpriced", title="Models without a price", columns=columns, rows=rows,
                 total=report.totals,
                 note="A price card prices past calls too, once they are re-rated.")  # fmt: skip


def _stitching(context: PageContext) -> Table:
    pairs = [
        pair for pair in context.range_pairs() if pair[0] in ("since", "until", "period", "tz")
    ]
    report = context.house.answers.stitching(pairs)
    words = {
        **dict.fromkeys(_DUPLICATES, "duplicate"), **dict.fromkeys(_CONFLICTS, "look at it"),
    }  # fmt: skip
    rows = [
        row | {"sort": words.get(row["state"], "fine"),
               "_tone": "warn" if row["calls"] and row["state"] in _CONFLICTS[:3] else ""}
        for row in report.rows
    ]  # fmt: skip
    columns = (
        Column("state", "State"), Column("sort", "Which is"), Column("calls", "Calls", "count"),
        Column("cost_usd", "Cost", "amount"), Column("meaning", "What it means"),
    )  # fmt: skip
    return Table(
        name="stitching", title="Duplicates, traces, late owners", columns=columns, rows=rows,
        note="A call that several observers saw (gateway, SDK, spans, logs) is charged once. "
        "tollbook report stitching --show STATE lists the calls. Filters do not apply here.",
    )  # fmt: skip


def _sources(context: PageContext) -> Table:
    report = context.spend(
        by=("usage_source", "price_state", "cost_source"), measures=("calls", "cost_usd"),
        order=("-calls",), limit=_SHOWN,
    )  # fmt: skip
    columns = (
        Column("usage_source", "Usage", "name"), Column("price_state", "Price", "state"),
        Column("cost_source", "Cost from", "name"), Column("calls", "Calls", "count"),
        Column("cost_usd", "Cost", "usd"),
    )  # fmt: skip
    rows = []
    for row in report.rows:
        if not row.get("is_other"):
            filters = list(context.all("where"))
            for name in ("usage_source", "price_state", "cost_source"):
                filters += parts.only(name, [row[name]])
            url = context.url("/calls", where=filters)
            row = row | {"_links": {"calls": url, "cost_usd": url}}  # noqa: PLW2901 -- the same, linked
        rows.append(row)
    return Table(name="sources", title="Where usage and cost come from", columns=columns,
                 rows=rows, total=report.totals, empty=parts.EMPTY, is_folded=True)  # fmt: skip


def _incidents(context: PageContext) -> Table:
    rows = [
        {"at": one["at"], "kind": one["kind"].replace("_", " "), "writer": one["writer"],
         "detail": msgspec.json.encode(one["detail"]).decode()}
        for one in context.house.status()["latest_incidents"]
    ]  # fmt: skip
    columns = (
        Column("at", "When", "time"), Column("kind", "What"), Column("writer", "Writer", "id"),
        Column("detail", "Detail", "code"),
    )  # fmt: skip
    return Table(
        name="losses", title="Losses and damages", columns=columns, rows=rows,
        empty="None: every frame that was written has been read.",
        note="What the ledger could not read, or was told is lost. tollbook doctor says what can "
        "be done.",
    )  # fmt: skip


PAGES: Final = (Page("/quality", "Data quality", quality, Permit(Scope.SPEND), group="Trust"),)
