"""Make the shared counters from what the ledger has booked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tollbook.budgets.table import BudgetTable, create_table
from tollbook.budgets.window import span_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tollbook.budgets.rules import Rule
    from tollbook.budgets.window import Span
    from tollbook.config.budgets import Budget

TABLE_FILE: Final = "budgets.table"


class Booked(NamedTuple):
    """What the ledger has of one owner in one window."""

    fields: Mapping[str, str]
    """As :func:`tollbook.budgets.rules.fields_of` names them."""
    pico: int
    tokens: int
    requests: int
    unpriced: int
    """Metered calls whose cost is not known."""

    def amount(self, rule: Rule) -> int:
        """Return how much of a budget this is."""
        if rule.unit == "tokens":
            return self.tokens
        if rule.unit == "requests":
            return self.requests
        return self.pico + self.unpriced * rule.hold


def seed_table(
    path: Path, rules: Sequence[Rule], now_s: int, sums: Callable[[Rule, Span], Iterable[Booked]]
) -> None:
    """Put a table in place that holds what is booked in the present windows, and no holds.

    To be called when the ledger has read everything and no gateway worker runs, or when there is
    no table.
    """
    fresh = path.with_suffix(".new")
    table = create_table(fresh)
    try:
        for rule in rules:
            span = span_at(rule.budget.window, rule.budget.timezone, now_s)
            for booked in sums(rule, span):
                _add(table, rule, span, booked, now_s)
    finally:
        table.close()
    fresh.rename(path)


def add_booked(
    table: BudgetTable, rules: Sequence[Rule], at_s: int, booked: Booked, now_s: int
) -> None:
    """Count what no gateway has settled: an interrupted call, a batch's line, a correction."""
    for rule in rules:
        _add(table, rule, span_at(rule.budget.window, rule.budget.timezone, at_s), booked, now_s)


def _add(table: BudgetTable, rule: Rule, span: Span, booked: Booked, now_s: int) -> None:
    owner = rule.owner(booked.fields)
    if owner is None or span.end_s <= now_s:
        return
    with table.locked():
        slot = table.find(rule.key(owner, span.start_s), span.end_s, now_s)
        if slot is not None:
            table.spend(slot, booked.amount(rule))


def fingerprint(budgets: Sequence[Budget]) -> str:
    """Return what tells one set of budgets from another."""
    return hashlib.blake2b(msgspec.json.encode(list(budgets)), digest_size=8).hexdigest()
