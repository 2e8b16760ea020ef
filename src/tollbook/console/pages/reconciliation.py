"""Reconciliation: what providers bill against what the ledger has, and every difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.difference import difference
from tollbook.console.pages.finance_charts import money_steps
from tollbook.console.pages.finance_parts import (
    answered,
    calls_url,
    columns,
    command,
    figures,
    hidden,
    month_controls,
    month_of,
    permitted,
    pico,
    searched,
    sliced,
    sum_usd,
    words,
)
from tollbook.console.pages.page import Page
from tollbook.console.pages.trueup import true_up
from tollbook.console.pages.view import Chart, Choice, Field, Figure, Form, Notice, Table, View
from tollbook.desk.permits import Permit, Scope
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.finance_parts import Answered
    from tollbook.console.pages.view import Section

_AGES: Final = ((7, "up to 7 days"), (30, "8 to 30 days"), (60, "31 to 60 days"),
                (None, "more than 60 days"))  # fmt: skip


def reconciliation(context: PageContext) -> View:
    """Return the newest runs of a month: sums, causes, coverage, ageing, differences."""
    month, provider = month_of(context), context.get("provider")
    runs = answered(context, "reconcile.list", period=month)
    shown = _with_true_ups(
        context, [row for row in runs.rows if provider in (None, row["provider"])], month
    )
    sections: list[Section] = [*runs.notices("bad")]
    if shown:
        sections += _sums(context, runs, shown, month)
    sections.append(_runs(context, shown, month))
    if shown:
        found = answered(context, "reconcile.differences", period=month, provider=provider)
        sections += [_ages(found.rows), _differences(context, found.rows)]
    sections += permitted(context, _run_form(context, month), _accept_form(month, provider, shown))
    options = (("", "all"), *((row["provider"], row["provider"]) for row in runs.rows))
    chosen = Field(name="provider", label="Provider", kind="select", value=provider,
                   options=tuple(dict.fromkeys(options)))  # fmt: skip
    return View(
        title="Reconciliation", sections=tuple(sections), tz=context.tz,
        subtitle=f"{month}: does the ledger have what providers bill?",
        controls=month_controls(context, chosen),
        command=command("reconcile", "show", period=month, provider=provider),
        actions=(
            Choice("True-up", context.url("/reconciliation/true-up", period=month)),
            Choice("Statements", "/provider-statements"),
        ),
    )  # fmt: skip


def _with_true_ups(
    context: PageContext, rows: list[dict[str, Any]], month: str
) -> list[dict[str, Any]]:
    """Return runs with what was trued up until now; they know what was until they were made."""
    plan = answered(context, "reconcile.plan", period=month).answer.get("totals", [])
    booked = {one["provider"]: pico(one, "booked_before_usd") for one in plan}
    return [
        row | {"trued_up_usd": usd_text(booked[row["provider"]]),
               "left_usd": usd_text(pico(row, "difference_usd") - booked[row["provider"]])}
        if row["provider"] in booked else row
        for row in rows
    ]  # fmt: skip


def _sums(
    context: PageContext, runs: Answered, shown: list[dict[str, Any]], month: str
) -> list[Section]:
    told = [row for row in shown if row["billed_usd"] is not None]
    details = {one["run_id"]: one for one in runs.answer["runs"]}
    silent = [row["provider"] for row in shown if row["billed_usd"] is None]
    sections: list[Section] = []
    if silent:
        sections.append(Notice(
            text=f"No statement tells what {', '.join(silent)} bills for {month}.",
            url="/provider-statements", action="Import one",
        ))  # fmt: skip
    unexplained = sum(pico(row, "unexplained_usd") for row in told)
    tolerance = sum(pico(details[row["run_id"]], "tolerance_usd") for row in told)
    sections.append(figures(
        Figure(label="Billed", value=sum_usd(told, "billed_usd"), kind="usd"),
        Figure(label="Ledger", value=sum_usd(told, "ledger_usd"), kind="usd",
               url=calls_url(context, month)),
        Figure(label="Difference", value=sum_usd(told, "difference_usd"), kind="usd"),
        Figure(label="Unexplained", value=usd_text(unexplained), kind="usd",
               tone="bad" if unexplained > tolerance else "good",
               note=f"up to ${usd_text(tolerance).partition('.')[0]} is within FOCUS's tolerance"),
        Figure(label="Left after true-ups", value=sum_usd(told, "left_usd"), kind="usd",
               url=context.url("/reconciliation/true-up", period=month)),
    ))  # fmt: skip
    causes: dict[str, int] = {}
    for row in told:
        for one in details[row["run_id"]]["causes"]:
            causes[one["cause"]] = causes.get(one["cause"], 0) + pico(one, "amount_usd")
    if told:
        ledger = sum(pico(row, "ledger_usd") for row in told)
        sections += [_waterfall(ledger, causes), _causes(causes)]
    return sections


def _waterfall(ledger: int, causes: dict[str, int]) -> Chart:
    """Return the steps from the ledger's sum to what is billed; the largest come first."""
    at, floor = ledger, _floor(ledger, causes)
    values = [_step("ledger", "sum", floor, ledger, ledger)]
    for cause, amount in sorted(causes.items(), key=lambda one: -abs(one[1])):
        values.append(_step(cause, "more" if amount > 0 else "less", at, at + amount, amount))
        at += amount
    values.append(_step("billed", "sum", floor, at, at))
    return Chart(
        name="waterfall", title="From the ledger to the bill, by cause", values=values,
        spec=money_steps("what", "start", "end", "kind", title="USD"),
        summary="Bars from the ledger's sum over each cause of a difference to what is billed."
        + (" The axis does not start at 0." if floor else ""),
    )  # fmt: skip


def _floor(ledger: int, causes: dict[str, int]) -> int:
    """Return where the axis starts: 0, but near the steps where they are small beside the sums."""
    steps = sum(abs(amount) for amount in causes.values())
    lowest = ledger - steps
    return 0 if lowest < 3 * steps else lowest - steps


def _step(what: str, kind: str, start: int, end: int, amount: int) -> dict[str, Any]:
    return {"what": what.replace("_", " "), "kind": kind, "start": usd_text(start),
            "end": usd_text(end), "amount": usd_text(amount)}  # fmt: skip


def _causes(causes: dict[str, int]) -> Table:
    rows = [
        {"cause": cause, "amount_usd": usd_text(amount)}
        for cause, amount in sorted(causes.items(), key=lambda one: -abs(one[1]))
    ]
    return Table(
        name="causes", title="Causes", rows=rows, total={"amount_usd": sum_usd(rows, "amount_usd")},
        note="They add up to billed less ledger, to the last of twelve digits.",
        empty="The two agree to the last digit.",
        columns=columns(("cause", "Cause", "state"), ("amount_usd", "Amount", "usd")),
    )  # fmt: skip


def _runs(context: PageContext, rows: list[dict[str, Any]], month: str) -> Table:
    linked = [
        row | {"_links": {
            "provider": context.url(period=month, provider=row["provider"]),
            "ledger_usd": calls_url(context, month, {"provider": row["provider"]}),
            "billed_usd": context.url("/provider-statements", period=None,
                                      provider=row["provider"]),
        }}
        for row in rows
    ]  # fmt: skip
    return Table(
        name="runs", title="Providers", rows=linked,
        note="Coverage: how much of what is billed for usage went through Tollbook. Accuracy: how "
        "near the ledger is for that part.",
        empty=f"Nothing was reconciled for {month} yet. Import what the provider bills, then "
        "reconcile below.",
        columns=columns(
            ("provider", "Provider"), ("billed_usd", "Billed", "usd"),
            ("ledger_usd", "Ledger", "usd"), ("difference_usd", "Difference", "usd"),
            ("unexplained_usd", "Unexplained", "usd"), ("trued_up_usd", "Trued up", "usd"),
            ("left_usd", "Left", "usd"), ("coverage_percent", "Coverage", "percent"),
            ("accuracy_percent", "Accuracy", "percent"), ("basis", "Rests on"),
            ("finality", "Finality", "state"), ("state", "State", "state"),
            ("created_at", "Run", "time"), ("author", "By"),
        ),
    )  # fmt: skip


def _ages(rows: list[dict[str, Any]]) -> Table:
    sums: dict[str, list[int]] = {label: [0, 0] for _, label in _AGES}
    for row in rows:
        if row["state"] == "accepted":
            continue
        label = next(
            label for days, label in _AGES if days is None or row["age_days"] <= days
        )  # fmt: skip
        sums[label][0] += 1
        sums[label][1] += abs(pico(row, "amount_usd"))
    return Table(
        name="ages", title="Age of what is not accepted",
        note="Counted from the first run that found the difference; amounts without their sign.",
        rows=[
            {"age": label, "differences": count, "amount_usd": usd_text(amount)}
            for label, (count, amount) in sums.items()
        ],
        columns=columns(("age", "Age"), ("differences", "Differences", "count"),
                        ("amount_usd", "Amount", "usd")),
    )  # fmt: skip


def _differences(context: PageContext, found: list[dict[str, Any]]) -> Table:
    names = ("cause", "model", "owner", "state", "provider", "id")
    rows = sorted(searched(context, found, *names), key=lambda row: -abs(pico(row, "amount_usd")))
    shown = sliced(context, rows)
    linked = [
        row | {"evidence": words({name: value for name, value in row["evidence"].items()
                                  if name != "currency"}),
               "_links": {"id": context.url("/reconciliation/difference", id=row["id"]),
                          "model": calls_url(context, row["period"], _about(row))
                          if _is_month(row["period"]) else None}}
        for row in shown.rows
    ]  # fmt: skip
    return Table(
        name="differences", title="Differences", rows=linked, search="q", next_url=shown.next_url,
        previous_url=shown.previous_url,
        note="Each with its cause and evidence, the largest first.",
        empty="No difference: the ledger has what is billed.",
        columns=columns(
            ("id", "Difference", "id"), ("provider", "Provider"), ("cause", "Cause", "state"),
            ("amount_usd", "Amount", "usd"), ("model", "Model"), ("kind", "Kind"),
            ("days", "Days", "count"), ("age_days", "Age in days", "count"),
            ("state", "State", "state"), ("owner", "Owner"), ("evidence", "Evidence"),
        ),
    )  # fmt: skip


def _is_month(period: str) -> bool:
    return "/" not in period


def _about(row: dict[str, Any]) -> dict[str, str | None]:
    told = {"provider": row["provider"]}
    return told if row["model"] is None else told | {"model": row["model"]}


def _run_form(context: PageContext, month: str) -> Form:
    known = tuple((name, name) for name in sorted(context.house.desk.config.providers))
    return Form(
        name="run", operation="reconcile.run", title="Reconcile", submit=f"Reconcile {month}",
        note="Compares day by day; a run that comes out as the one before is that run.",
        fields=(
            *hidden(period=month),
            Field(name="provider", label="Provider", kind="select",
                  options=(("", "all that have something to compare"), *known)),
            Field(name="weekly", label="Week by week, without invoices", kind="checkbox"),
        ),
    )  # fmt: skip


def _accept_form(month: str, provider: str | None, rows: list[dict[str, Any]]) -> Form | None:
    if not any(row["state"] != "accepted" and row["billed_usd"] is not None for row in rows):
        return None
    whom = f" of {provider}" if provider else ""
    return Form(
        name="accept", operation="reconcile.accept", title="Sign off", is_folded=True,
        submit=f"Accept {month}{whom}",
        note="Says, in your name, that what the newest runs leave unexplained is accepted.",
        fields=(*hidden(period=month, provider=provider), Field(name="note", label="Note")),
    )  # fmt: skip


_SEEN: Final = Permit(Scope.FINANCE)
PAGES: Final = (
    Page("/reconciliation", "Reconciliation", reconciliation, _SEEN, "Finance"),
    Page("/reconciliation/difference", "Difference", difference, _SEEN),
    Page("/reconciliation/true-up", "True-up", true_up, _SEEN),
)
