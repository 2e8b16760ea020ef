"""What a refused caller reads: whose budget, what is left, and when there is room again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook import clock
from tollbook.books import open_books
from tollbook.books.documents import Subject, put_document
from tollbook.budgets.hold import hold_of
from tollbook.budgets.refusal import used_up, waits
from tollbook.budgets.rules import published_rules, rules_in_force
from tollbook.config import Config
from tollbook.config.budgets import Budget
from tollbook.console.budgetrules import RulesPublisher

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.budgets.hold import Hold

NOON_S = 1_790_000_000 // 86_400 * 86_400 + 43_200
MIDNIGHT_S = NOON_S + 43_200


def hold(ends_s: int = 0, amount: int = 1, owner: tuple[str, ...] = (), **given: Any) -> Hold:
    budget = msgspec.convert({"name": "b", "window": "day", **given}, Budget, strict=False)
    (rule,) = rules_in_force([budget], (), {}, "t", ends_s={"b": ends_s} if ends_s else {})
    return hold_of(rule, owner, amount, 0, NOON_S)


def test_a_stop_with_an_end_says_whom_and_until_when() -> None:
    held = hold(NOON_S + 7200, limit_requests=0, match={"tenant": "acme"})
    refused = used_up(held, 0, 5, NOON_S, MIDNIGHT_S)
    assert refused.reason == (
        "calls of tenant 'acme' are stopped until 2026-09-21T14:00:00+00:00 (budget 'b', limit 0)"
    )
    assert (refused.retry_after_s, refused.reset_at_s) == (7200, NOON_S + 7200)
    assert (refused.left, refused.limit) == ("0", "0")


def test_a_stop_until_it_is_resumed_names_no_moment() -> None:
    refused = used_up(hold(limit_usd=0, each=["user"], owner=("ann",)), 0, 0, NOON_S, MIDNIGHT_S)
    assert refused.reason == "calls of user 'ann' are stopped (budget 'b', limit 0)"
    assert (refused.retry_after_s, refused.reset_at_s) == (0, None)
    everybody = used_up(hold(limit_concurrent=0), 0, 0, NOON_S, MIDNIGHT_S)
    assert everybody.reason == "calls are stopped (budget 'b', limit 0)"


def test_there_is_room_again_when_the_window_or_the_budget_ends() -> None:
    for ends_s, reset_s in (
        (0, MIDNIGHT_S),
        (MIDNIGHT_S + 1, MIDNIGHT_S),
        (NOON_S + 60, NOON_S + 60),
    ):
        refused = used_up(hold(ends_s, limit_requests=5), 5, 5, NOON_S, MIDNIGHT_S)
        assert (refused.reset_at_s, refused.retry_after_s) == (reset_s, reset_s - NOON_S)


def test_dollars_are_said_without_the_zeros_after_the_cents() -> None:
    held = hold(limit_usd="1.5", amount=625 * 10**6)
    said = used_up(held, 15 * 10**11, 15 * 10**11, NOON_S, MIDNIGHT_S)
    assert "0.00 of 1.50 USD left, and this call may need 0.000625;" in said.reason
    assert (said.left, said.limit) == ("0.000000000000", "1.500000000000"), "headers are exact"
    waiting = waits(held, 15 * 10**11, 10**12)
    assert "0.50 of 1.50 USD are left, but calls under way" in waiting.reason


def test_workers_are_told_when_a_budget_of_the_books_ends(tmp_path: Path) -> None:
    now_ns = clock.unix_ns()
    with contextlib.closing(open_books(tmp_path)) as books:
        for name, until_ns in (("ends", now_ns + 3600 * clock.NS_PER_S + 1), ("stays", None)):
            put_document(
                books, Subject.BUDGET, name, f'{{"name": "{name}", "limit_requests": 0}}',
                effective_from_ns=now_ns, effective_until_ns=until_ns, reason="test",
            )  # fmt: skip
        publisher = RulesPublisher(
            Config(), "tollbook.toml", tmp_path, books, lambda: now_ns // clock.NS_PER_S
        )
        publisher.begin({}, has_table=False)
    rules = {rule.budget.name: rule.ends_at_s for rule in published_rules(tmp_path) or ()}
    assert rules == {"ends": now_ns // clock.NS_PER_S + 3601, "stays": 0}
