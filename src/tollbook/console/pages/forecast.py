"""Forecast: the end of the month and the days ahead, with an interval and how well it did."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.insights.asking import given
from tollbook.console.pages.insights.curves import fan
from tollbook.console.pages.links import with_links
from tollbook.console.pages.page import Page
from tollbook.console.pages.parts import choice_of
from tollbook.console.pages.view import (
    Chart,
    Column,
    Controls,
    Field,
    Figure,
    Figures,
    Notice,
    Section,
    Table,
    Text,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext

_HISTORY: Final = "180d"
_DAYS: Final = "30"
_SHOWN_DAYS: Final = 60
_BY: Final = (("tenant", "tenant"), ("feature", "feature"), ("model", "model"), ("team", "team"))
_BAND: Final = (
    Column("low_usd", "Low", "amount"), Column("expected_usd", "Expected", "amount"),
    Column("high_usd", "High", "amount"),
)  # fmt: skip
_DAY: Final = (
    Column("day", "Day"), Column("state", "State"), Column("actual_usd", "Spent", "amount"), *_BAND,
)  # fmt: skip
_GROUP: Final = (
    Column("month_known_usd", "Spent this month", "usd"),
    Column("month_low_usd", "Month, low", "amount"),
    Column("month_expected_usd", "Month, expected", "amount"),
    Column("month_high_usd", "Month, high", "amount"),
    Column("error_percent", "Error", "percent", "sum of errors in the sum of spend, back-tested"),
    Column("coverage_percent", "Within", "percent", "days within the interval, back-tested"),
    Column("model", "Method"),
)


def forecast(context: PageContext) -> View:
    """Return the forecast of all that the page's filters leave, and of its largest groups."""
    context.check_zone()
    by = context.get("by") or "tenant"
    asked = given(context)
    if context.get("since") is None and context.get("period") is None:
        asked["since"] = _HISTORY
    answer = context.ask(
        "insights.forecast", **asked, by=by, days=context.get("days") or _DAYS, limit=20
    )
    totals = answer["totals"]
    sections: list[Section] = [Text(text=answer["headline"])]
    if totals["reason"] is not None:
        sections.append(
            Notice(text=f"No forecast: {totals['reason']}.", tone="warn", url=context.url("/"),
                   action="What is known")
        )  # fmt: skip
    sections += [
        Figures(items=_figures(context, answer)),
        *_chart(answer["days"]),
        Table(
            name="days", title="Days ahead", columns=_DAY,
            rows=[day for day in answer["days"] if day["state"] != "known"],
            empty="No spend in the history. Send calls first, or choose an earlier start.",
        ),
        Table(
            name="groups", title=f"The month by {by}", columns=(Column(by, by.capitalize(), "name"),
                                                                *_GROUP),
            rows=with_links(context, answer["rows"], by, calls=("month_known_usd",)),
            note="Each is forecast for itself; they need not add up to the total.",
        ),
        *_trial(answer["backtest"]),
        Table(
            name="history", title="The history", columns=_DAY[:3], is_folded=True,
            rows=[day for day in reversed(answer["days"]) if day["state"] == "known"],
        ),
        Text(title="How this was computed", text=answer["method"]),
    ]  # fmt: skip
    return View(
        title="Forecast", sections=tuple(sections), completeness=answer["completeness"],
        tz=context.tz, command=_command(asked | {"by": by}),
        controls=Controls(
            has_range=False,
            choices=(choice_of(context, "by", "by", _BY, "tenant"),),
            fields=(
                Field(name="days", label="Days ahead", kind="number",
                      value=context.get("days") or _DAYS),
                Field(name="since", label="Learn from", value=context.get("since") or _HISTORY),
                Field(name="until", label="As of", value=context.get("until"), placeholder="now"),
                Field(name="tz", label="Zone", value=context.tz),
            ),
        ),
    )  # fmt: skip


def _figures(context: PageContext, answer: dict[str, Any]) -> tuple[Figure, ...]:
    totals, trial = answer["totals"], answer["backtest"]
    month = totals["month"]
    known = Figure(
        label=f"Spent in {month}", value=totals["month_known_usd"], kind="usd",
        url=context.url("/calls", since=None, until=None, period=month),
    )  # fmt: skip
    if totals["month_expected_usd"] is None or trial is None:
        return (known,)
    return (
        Figure(label=f"{month}, low", value=totals["month_low_usd"], kind="usd"),
        Figure(label=f"{month}, expected", value=totals["month_expected_usd"], kind="usd"),
        Figure(label=f"{month}, high", value=totals["month_high_usd"], kind="usd"),
        known,
        Figure(label=f"Next {totals['days_ahead']} days", value=totals["ahead_expected_usd"],
               kind="usd", note="and the rest of today"),
        Figure(label="Back-tested error", value=trial["error_percent"], kind="percent",
               note=f"{trial['method']}; last week's same day: {trial['naive_error_percent']} %"),
    )  # fmt: skip


def _chart(days: Sequence[dict[str, Any]]) -> list[Section]:
    if not days:
        return []
    ahead = sum(day["state"] == "forecast" for day in days)
    values = list(days[-(ahead + _SHOWN_DAYS) :])
    return [
        Chart(
            name="fan", title="Spend by day", values=values, height=300,
            spec=fan("day", "actual_usd", "expected_usd", "low_usd", "high_usd", title="USD"),
            summary="Spend of past days, and low, expected and high of days to come; the numbers "
                    "are in the table below.",
        )
    ]  # fmt: skip


def _trial(trial: dict[str, Any] | None) -> list[Section]:
    if trial is None:
        return []
    rows = [
        ("Method", trial["method"]),
        ("Forecasts from earlier days", f"{trial['origins']:,}, {trial['days']:,} days in all"),
        ("Error (sum of absolute errors in the sum of spend)", f"{trial['error_percent']} %"),
        ("Error of the same weekday last week", f"{trial['naive_error_percent']} %"),
        ("Mean absolute percentage error of a day", _percent(trial["mape_percent"])),
        ("Bias (positive: too high)", f"{trial['bias_percent']} %"),
        ("Days within the interval, of the later half", _percent(trial["coverage_percent"])),
        ("Tested up to", f"{trial['tested_days_ahead']} days ahead"),
    ]
    return [
        Table(
            name="trial", title="How well it did on its own history",
            columns=(Column("what", "What"), Column("value", "Value")),
            rows=[{"what": what, "value": value} for what, value in rows],
        )
    ]  # fmt: skip


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value} %"


def _command(asked: dict[str, Any]) -> str:
    words = ["tollbook", "forecast"]
    for name, value in asked.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name}", shlex.quote(str(one))]
    return " ".join(words)


PAGES: Final = (Page("/forecast", "Forecast", forecast, group="Spend"),)
