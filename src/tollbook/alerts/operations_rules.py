"""Rules over the API: list, set, remove, and try on history."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.alerts.backtest import backtest, fired_row
from tollbook.alerts.rule import Rule, RuleError, read_rule
from tollbook.alerts.rules_shelf import drop_rule, origin_of, put_rule, rules_in_force
from tollbook.alerts.shown import rule_row
from tollbook.desk import Desk, Operation
from tollbook.desk.permits import Scope
from tollbook.money import usd_text
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of


class RulesRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing is asked."""


def _rules(desk: Desk, asked: RulesRequest) -> dict[str, Any]:
    del asked
    found = rules_in_force(desk.books)
    return {"rows": [rule_row(one, origin_of(desk.books, name)) for name, one in found.items()]}


class SetRuleRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule: what is not given is as for the built-in of its kind, or as ``rule`` has it."""

    name: str
    reason: str = ""
    rule: dict[str, Any] = {}
    """Fields of the rule; those below go before."""
    kind: str | None = None
    each: list[str] | None = None
    where: list[str] | None = None
    severity: str | None = None
    is_paused: bool | None = None
    min_usd: str | None = None
    min_calls: int | None = None
    window_h: int | None = None
    baseline_days: int | None = None
    ratio_percent: int | None = None
    deviations: int | None = None
    limit: str | None = None
    limit_steps: int | None = None
    limit_repeats: int | None = None
    resolve_after_h: float | None = None
    no_data: str | None = None
    channels: list[str] | None = None
    tz: str | None = None


_OWN: Final = ("name", "reason", "rule")


def _body(asked: SetRuleRequest, known: Rule | None) -> dict[str, Any]:
    """Return the body of the document: the rule as it is, with what is given."""
    body: dict[str, Any] = {} if known is None else msgspec.to_builtins(known)
    body.pop("name", None)
    given = {name: value for name, value in msgspec.to_builtins(asked).items()
             if name not in _OWN and value is not None}  # fmt: skip
    # A form and a command cannot say "empty": a dash does.
    given = {name: _emptied(value) for name, value in given.items()}
    kind = given.get("kind") or asked.rule.get("kind") or body.get("kind")
    if kind != body.get("kind"):
        body = {}
    body |= {**asked.rule, **given, "kind": kind}
    body.pop("name", None)
    return body


def _emptied(value: Any) -> Any:
    if value in (["-"], [""]):
        return []
    return None if value == "-" else value


def _set_rule(desk: Desk, asked: SetRuleRequest) -> dict[str, Any]:
    known = rules_in_force(desk.books).get(asked.name)
    rule = put_rule(
        desk.books, asked.name, _body(asked, known), author=desk.author,
        reason=asked.reason or "changed",
    )  # fmt: skip
    return {"rows": [rule_row(rule, origin_of(desk.books, asked.name))]}


class RemoveRuleRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which rule, and why."""

    name: str
    reason: str = ""


def _remove_rule(desk: Desk, asked: RemoveRuleRequest) -> dict[str, Any]:
    drop_rule(desk.books, asked.name, author=desk.author, reason=asked.reason or "removed")
    return {"rows": [{"name": asked.name, "state": "removed"}]}


class BacktestRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which rules, over which time."""

    since: str = "14d"
    until: str | None = None
    tz: str = "UTC"
    rule: str | None = None
    """Only this rule; unset: all."""
    trial: str | None = None
    """Fields of a rule as JSON, to try before it is kept, instead of those that are in force."""


def _backtest(desk: Desk, asked: BacktestRequest) -> dict[str, Any]:
    zone, now = zone_of(asked.tz), clock.utc_now()
    since = parse_period(asked.since, zone, now, "--since").start
    until = now if asked.until is None else parse_period(asked.until, zone, now, "--until").start
    found = backtest(desk.reader, _chosen(desk, asked), since, until, desk.progress)
    rows = [fired_row(one) for one in found.fired]
    excess = sum(one.incident.excess_pico for one in found.fired)
    return {
        "rows": rows, "incidents": len(rows), "hours": found.hours,
        "excess_usd": usd_text(excess), "rules": list(found.rules),
        "skipped": list(found.skipped), "problems": list(found.problems),
        "since": since.isoformat(), "until": until.isoformat(),
    }  # fmt: skip


def _chosen(desk: Desk, asked: BacktestRequest) -> list[Rule]:
    if asked.trial is not None:
        try:
            body = msgspec.json.decode(asked.trial, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise RuleError(asked.rule or "trial", f"is not a JSON object: {error}") from error
        body.pop("name", None)
        return [read_rule(asked.rule or "trial", body)]
    rules = rules_in_force(desk.books)
    if asked.rule is None:
        return list(rules.values())
    if asked.rule not in rules:
        raise RuleError(asked.rule, "there is no such rule; see tollbook alerts rules")
    return [rules[asked.rule]]


RULE_OPERATIONS: Final = (
    Operation("alerts.rules", "GET", "/alerts/rules", RulesRequest, _rules,
              "Alert rules in force.", scope=Scope.ALERTS),
    Operation("alerts.set_rule", "POST", "/alerts/rules/set", SetRuleRequest, _set_rule,
              "Set an alert rule.", scope=Scope.ALERTS),
    Operation("alerts.remove_rule", "POST", "/alerts/rules/remove", RemoveRuleRequest,
              _remove_rule, "Remove an alert rule.", scope=Scope.ALERTS),
    Operation("alerts.backtest", "GET", "/alerts/backtest", BacktestRequest, _backtest,
              "What alert rules would have said.", scope=Scope.ALERTS),
)  # fmt: skip
