"""Budgets, their versions and top-ups as rows of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.budgeting.moments import text_of
from tollbook.budgeting.shelf import STOP_PREFIX, budget_of
from tollbook.budgeting.written import amount_text, owner_text
from tollbook.budgets.steps import shown_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.documents import Document
    from tollbook.budgeting.shelf import TopUp
    from tollbook.budgets.rules import Rule
    from tollbook.config.budgets import Budget, Step

_DEFAULTED: Final = frozenset(["name"])
_ROLLING: Final = {
    "minute": "the last 60 seconds", "hour": "the last 60 minutes", "day": "the last 24 hours",
    "week": "the last 7 days", "month": "the last 30 days",
}  # fmt: skip


def rule_row(rule: Rule, document: Document | None) -> dict[str, Any]:
    """Return a budget in force as people read it."""
    budget = rule.budget
    return {
        "name": budget.name,
        "is_stop": budget.name.startswith(STOP_PREFIX),
        "source": "settings" if document is None else document.document_id,
        "unit": rule.unit,
        "limit": amount_text(rule.unit, rule.limit),
        "each": ",".join(budget.each),
        "match": ",".join(f"{field}={pattern}" for field, pattern in budget.match.items()),
        "window": budget.window,
        "timezone": budget.timezone,
        "mode": budget.mode,
        "window_words": window_words(rule),
        "steps": shown_steps(budget.steps),
        "step_rows": step_rows(rule),
        "effective_until": None
        if document is None or document.effective_until_ns is None
        else text_of(document.effective_until_ns, budget.timezone),
        "reason": None if document is None else document.reason,
        "author": None if document is None else document.author,
    }


def window_words(rule: Rule) -> str:
    """Return what a limit is of: each month, the last 24 hours, calls at once."""
    if rule.unit == "concurrent":
        return "at once"
    return _ROLLING[rule.budget.window] if rule.bucket_s else f"each {rule.budget.window}"


def step_rows(rule: Rule) -> list[dict[str, Any]]:
    """Return the steps of a progressive budget, in advance: from when on, and what happens."""
    return [
        {
            "at_percent": step.at_percent,
            "at_amount": amount_text(rule.unit, -(-rule.limit * step.at_percent // 100)),
            "action": step.action,
            "what": step_words(step),
        }
        for step in rule.budget.steps
    ]


def step_words(step: Step) -> str:
    """Return what a step does."""
    if step.action == "rate":
        return f"at most {step.requests_per_minute} calls a minute"
    return f"model {step.model} instead" if step.action == "model" else "calls are refused"


def as_written(budget: Budget) -> dict[str, Any]:
    """Return a budget's settings that differ from their defaults, to be changed and set again."""
    plain = msgspec.to_builtins(budget)
    defaults = msgspec.to_builtins(type(budget)(name=budget.name))
    return {
        field: value
        for field, value in plain.items()
        if field not in _DEFAULTED and value != defaults[field]
    }


def document_row(document: Document) -> dict[str, Any]:
    """Return one version of a budget of the books."""
    budget = budget_of(document)
    return {
        "name": document.name,
        "version": document.version,
        "is_removal": budget is None,
        "effective_from": text_of(document.effective_from_ns),
        "effective_until": None
        if document.effective_until_ns is None
        else text_of(document.effective_until_ns),
        "settings": None if budget is None else as_written(budget),
        "author": document.author,
        "reason": document.reason,
        "created_at": text_of(document.created_at_ns),
    }


def top_up_row(top_up: TopUp, each: Sequence[str], now_ns: int | None = None) -> dict[str, Any]:
    """Return a top-up; with ``now_ns``, whether it still counts."""
    known = len(each) == len(top_up.owner)
    named = zip(each if known else top_up.owner, top_up.owner, strict=True)
    row = {
        "top_up_id": top_up.top_up_id,
        "budget": top_up.budget,
        "owner": owner_text(dict(named)),
        "unit": top_up.unit,
        "amount": amount_text(top_up.unit, top_up.amount),
        "expires_at": text_of(top_up.expires_at_ns),
        "reason": top_up.reason,
        "author": top_up.author,
        "created_at": text_of(top_up.created_at_ns),
    }
    return row if now_ns is None else row | {"is_expired": top_up.expires_at_ns <= now_ns}
