"""Rules: which are in force, the editor of one, and what it would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tollbook.alerts.rule import Kind, Severity
from tollbook.console.pages.page import Page
from tollbook.console.pages.view import (
    Choice,
    Column,
    Controls,
    Field,
    Figure,
    Figures,
    Form,
    Notice,
    Section,
    Table,
    View,
)
from tollbook.desk.permits import Access, Permit, Scope

if TYPE_CHECKING:
    from tollbook.console.pages.context import PageContext

_READ: Final = Permit(Scope.ALERTS)
_WRITE: Final = Permit(Scope.ALERTS, Access.WRITE)
_WHAT: Final = {
    Kind.BURN_RATE: "The last hour against the same hours of the weeks before",
    Kind.DEVIATION: "The last 7 days against the three weeks before",
    Kind.NEW_SPENDER: "Spends, and did not in the 30 days before",
    Kind.REQUEST_COST: "p99 of what a request costs, against the days before",
    Kind.PRICE_CHANGE: "Dollars per token of a model, against the week before",
    Kind.RUNAWAY_RUN: "Cost, calls, or one repeated step of an agent run",
    Kind.ERROR_STORM: "Share of calls that fail, against the week before",
    Kind.RETRY_STORM: "Share of calls that are further attempts, against the week before",
    Kind.CACHE_COLLAPSE: "Share of input read from the provider's cache, against the week before",
    Kind.UNATTRIBUTED: "Share of the spend that has no tenant",
    Kind.UNPRICED: "Calls whose price nobody knows",
    Kind.CAP_NEAR: "Budgets and keys near their limit",
    Kind.MARGIN_BELOW: "Margins that miss their target this month",
    Kind.FORECAST_OVER: "Months and budgets on track to exceed their limit",
}
_BACKTEST_DAYS: Final = (("3d", "3 days"), ("7d", "7 days"), ("14d", "14 days"))


def alert_rules(context: PageContext) -> View:
    """Return the rules in force."""
    rows = [
        row
        | {
            "what": _WHAT[Kind(row["kind"])], "each": ", ".join(row["each"]) or "one for all",
            "where": " ".join(row["where"]), "channels": ", ".join(row["channels"]) or "all",
            "_links": {"name": f"/alert-rule?{urlencode({'name': row['name']})}"},
        }
        for row in context.ask("alerts.rules")["rows"]
    ]  # fmt: skip
    columns = (
        Column("name", "Rule"), Column("state", "State", "state"), Column("what", "Looks at"),
        Column("each", "For each"), Column("where", "Where", "code"),
        Column("severity", "Severity", "state"), Column("min_usd", "Least excess", "usd"),
        Column("min_calls", "Least calls", "count"), Column("channels", "Channels"),
        Column("origin", "From"),
    )  # fmt: skip
    note = "The built-in ones work as they are. A rule of the same name takes the place of one."
    sections: list[Section] = [Table(name="rules", columns=columns, rows=rows, note=note)]
    if context.may(_WRITE):
        sections.append(_new())
    return View(
        title="Alert rules", sections=tuple(sections), command="tollbook alerts rules",
        actions=(Choice("Incidents", "/incidents"), Choice("Channels", "/channels")),
        tz=context.tz,
    )  # fmt: skip


def _new() -> Form:
    kinds = tuple((kind.value, what) for kind, what in _WHAT.items())
    fields = (
        Field(name="name", label="Name", is_required=True, placeholder="assistant-burn"),
        Field(name="kind", label="Looks at", kind="select", options=kinds, is_required=True),
        Field(name="each", label="For each", is_list=True, placeholder="feature",
              help="Dimensions, with commas; empty: as the built-in rule of its kind."),
        Field(name="where", label="Where", is_list=True, placeholder="environment=production"),
        Field(name="min_usd", label="Least excess, USD", placeholder="5"),
        Field(name="reason", label="Reason", is_required=True),
    )  # fmt: skip
    return Form(name="new", operation="alerts.set_rule", fields=fields, title="New rule",
                submit="Add the rule", is_folded=True)  # fmt: skip


def alert_rule(context: PageContext) -> View:
    """Return one rule: what it says, its editor, and its back-test."""
    name = context.need("name", "the name of a rule")
    found = [row for row in context.ask("alerts.rules")["rows"] if row["name"] == name]
    trail = (Choice("Alert rules", "/alert-rules"),)
    if not found:
        gone = Notice(text=f"There is no rule {name}.", url="/alert-rules", action="All rules")
        return View(title="Alert rule", sections=(gone,), trail=trail)
    row = found[0]
    since = context.get("backtest")
    sections: list[Section] = [_facts(row)]
    if since is not None:
        sections += _backtest(context, name, since)
    if context.may(_WRITE):
        sections += [_editor(row), _remove(name)]
    tabs = tuple(
        Choice(f"Try on {label}", context.url(backtest=days), since == days)
        for days, label in _BACKTEST_DAYS
    )
    return View(
        title=name, subtitle=_WHAT[Kind(row["kind"])], sections=tuple(sections), trail=trail,
        controls=Controls(has_range=False, has_filters=False, tabs=tabs), tz=context.tz,
        command=f"tollbook alerts backtest --rule {name} --since {since or '14d'}",
    )  # fmt: skip


def _facts(row: dict[str, Any]) -> Figures:
    return Figures(
        items=(
            Figure(label="State", value=row["state"], kind="state"),
            Figure(label="For each", value=", ".join(row["each"]) or "one for all"),
            Figure(label="Window", value=f"{row['window_h']} h"),
            Figure(label="Compared with", value=f"{row['baseline_days']} days before"),
            Figure(label="Least excess", value=row["min_usd"], kind="usd",
                   note=f"and {row['min_calls']} calls"),
            Figure(label="From", value=row["origin"]),
        )
    )  # fmt: skip


def _backtest(context: PageContext, name: str, since: str) -> list[Section]:
    answer = context.ask("alerts.backtest", since=since, rule=name)
    if answer["skipped"]:
        words = "This rule tells of now only: budgets and margins of the past are not kept."
        return [Notice(text=words)]
    figures = Figures(
        items=(
            Figure(label="Incidents there would have been", value=answer["incidents"],
                   kind="count"),
            Figure(label="Their excess", value=answer["excess_usd"], kind="usd"),
            Figure(label="Hours evaluated", value=answer["hours"], kind="count"),
        ),
        title="Back-test",
    )  # fmt: skip
    rows = [one | {"_links": {"title": one["calls_path"]}} for one in answer["rows"]]
    columns = (
        Column("opened_at", "From", "time"), Column("resolved_at", "To", "time"),
        Column("title", "Incident"), Column("excess_usd", "Excess", "usd"),
        Column("driver", "Driver"), Column("words", "What it saw"),
    )  # fmt: skip
    table = Table(
        name="backtest", columns=columns, rows=rows, title="What it would have said",
        note="Evaluated as of each full hour over calls as the ledger knows them now.",
        empty="It would have said nothing in this time.",
    )  # fmt: skip
    return [figures, table, *(Notice(text=problem) for problem in answer["problems"])]


def _editor(row: dict[str, Any]) -> Form:
    severities = tuple((one.value, one.value) for one in Severity)
    yes = (("false", "on"), ("true", "paused"))
    silence = (("normal", "is normal"), ("keep", "keeps its incident"), ("alert", "is an incident"))
    numbers = (
        ("min_calls", "Least calls"), ("window_h", "Window, hours"),
        ("baseline_days", "Days compared with"), ("ratio_percent", "Least percent of expected"),
        ("deviations", "Least robust deviations"), ("limit_steps", "Calls of a run"),
        ("limit_repeats", "Repeats of a step"),
    )  # fmt: skip
    fields = (
        Field(name="name", label="Name", kind="hidden", value=row["name"]),
        Field(name="each", label="For each", is_list=True, value=", ".join(row["each"])),
        Field(name="where", label="Where", is_list=True, value=", ".join(row["where"]),
              help="Filters with commas; a dash empties a field."),
        Field(name="severity", label="Severity", kind="select", options=severities,
              value=row["severity"]),
        Field(name="min_usd", label="Least excess, USD", value=row["min_usd"]),
        Field(name="limit", label="Limit", value=row["limit"],
              help="Percent; of runs and forecasts dollars."),
        *(Field(name=name, label=label, kind="number", value=row[name]) for name, label in numbers),
        Field(name="resolve_after_h", label="Resolved after normal hours", kind="text",
              value=row["resolve_after_h"]),
        Field(name="no_data", label="A silent series", kind="select", options=silence,
              value=row["no_data"]),
        Field(name="channels", label="Channels", is_list=True, value=", ".join(row["channels"]),
              help="Empty: as channels ask for severities and rules."),
        Field(name="tz", label="Zone of hours and weekdays", value=row["tz"]),
        Field(name="is_paused", label="State", kind="select", options=yes,
              value="true" if row["is_paused"] else "false"),
        Field(name="reason", label="Reason", is_required=True, help="Kept with the version."),
    )  # fmt: skip
    return Form(name="edit", operation="alerts.set_rule", fields=fields, title="Change the rule",
                submit="Keep a new version")  # fmt: skip


def _remove(name: str) -> Form:
    fields = (Field(name="name", label="Name", kind="hidden", value=name),
              Field(name="reason", label="Reason", is_required=True))  # fmt: skip
    return Form(name="remove", operation="alerts.remove_rule", fields=fields, title="Remove",
                submit="Remove the rule", is_dangerous=True, is_folded=True,
                then="/alert-rules")  # fmt: skip


PAGES: Final = (
    Page("/alert-rules", "Alert rules", alert_rules, _READ, group="Act"),
    Page("/alert-rule", "Alert rule", alert_rule, _READ),
)
