"""Budgets, their versions and top-ups as rows of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.budgeting.moments import text_of
from tollbook.budgeting.shelf import STOP_PREFIX, budget_of
from tollbook.budgeting.written import amount_text, owner_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.documents import Document
    from tollbook.budgeting.shelf import TopUp
    from tollbook.budgets.rules import Rule
    from tollbook.config.budgets import Budget

_DEFAULTED: Final = frozenset(["name"])


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
        "steps": "; ".join(step_texts(budget)),
        "effective_until": None
        if document is None or document.effective_until_ns is None
        else text_of(document.effective_until_ns, budget.timezone),
        "reason": None if document is None else document.reason,
        "author": None if document is None else document.author,
    }


def step_texts(budget: Budget) -> list[str]:
    """Return the steps of a progressive budget as they are written."""
    del budget
    return []


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
