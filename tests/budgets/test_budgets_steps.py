"""Budgets that tighten: only ever with what is spent, in the order that was shown before."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.budgets.kit import FixedPrices, call, closed_of, rules_of, table_in

from tollbook.budgets.guard import Guard, Refused
from tollbook.budgets.steps import Tightened, shown_steps, step_problem, tightened
from tollbook.config.budgets import Step
from tollbook.config.problems import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_790_000_000


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Return steps that settings may have."""
    percents = sorted(draw(st.sets(st.integers(1, 100), max_size=5)))
    found: list[Step] = []
    rate = 1000
    for at, percent in enumerate(percents):
        is_last = at == len(percents) - 1
        action = draw(
            st.sampled_from(["rate", "model", "refuse"] if is_last else ["rate", "model"])
        )
        if action == "rate":
            rate = draw(st.integers(1, rate))
            found.append(Step(at_percent=percent, action="rate", requests_per_minute=rate))
        elif action == "model":
            found.append(Step(at_percent=percent, action="model", model=f"m-{at}"))
        else:
            found.append(Step(at_percent=percent, action="refuse"))
    return found


def strictness(found: Tightened, of: list[Step]) -> tuple[int, int, bool, int]:
    """Return figures that grow with each thing that is tighter."""
    models = [step.model for step in of]
    return (
        -(found.requests_per_minute or 10**9),
        -1 if found.model is None else models.index(found.model),
        found.is_refused,
        found.at_percent,
    )


@given(
    steps(), st.integers(0, 10**6), st.lists(st.integers(-10, 2 * 10**6), min_size=2, max_size=8)
)
def test_more_spent_is_never_less_tight(of: list[Step], limit: int, spent: list[int]) -> None:
    assert step_problem(of) is None
    found = [strictness(tightened(of, each, limit), of) for each in sorted(spent)]
    for before, after in itertools.pairwise(found):
        assert all(one <= other for one, other in zip(before, after, strict=True))


@given(steps(), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_step_begins_at_its_share_and_not_before(of: list[Step], limit: int, spent: int) -> None:
    begun = [step for step in of if spent * 100 >= step.at_percent * limit]
    found = tightened(of, spent, limit)
    assert found.at_percent == (begun[-1].at_percent if begun else 0)
    assert found.is_refused is any(step.action == "refuse" for step in begun)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ([{"at_percent": 80, "action": "refuse"}, {"at_percent": 80, "action": "refuse"}], "[0]"),
        ([{"at_percent": 80, "action": "rate"}], "[0].requests_per_minute"),
        ([{"at_percent": 80, "action": "model"}], "[0].model"),
        ([{"at_percent": 80, "action": "refuse", "model": "m"}], "[0].model"),
        ([{"at_percent": 80, "action": "rate", "requests_per_minute": 5},
          {"at_percent": 90, "action": "rate", "requests_per_minute": 6}],
         "[1].requests_per_minute"),
        ([{"at_percent": 80, "action": "model", "model": "m"},
          {"at_percent": 70, "action": "refuse"}], "[1].at_percent"),
    ],
)  # fmt: skip
def test_steps_that_do_not_tighten_are_refused(raw: list[dict[str, Any]], where: str) -> None:
    with pytest.raises(ConfigError) as error:
        rules_of(limit_usd=1, steps=raw)
    assert f"steps{where}" in error.value.message


def test_steps_are_shown_in_words() -> None:
    (rule,) = rules_of(
        limit_usd=1,
        steps=[
            {"at_percent": 70, "action": "model", "model": "m-small"},
            {"at_percent": 80, "action": "rate", "requests_per_minute": 10},
            {"at_percent": 95, "action": "refuse"},
        ],
    )
    assert shown_steps(rule.budget.steps) == "70% model m-small, 80% rate 10/min, 95% refuse"


def test_a_guard_takes_the_steps_one_by_one(tmp_path: Path) -> None:
    rules = rules_of(
        limit_usd="100E-12", window="day",
        steps=[
            {"at_percent": 20, "action": "model", "model": "m-small"},
            {"at_percent": 40, "action": "rate", "requests_per_minute": 2},
            {"at_percent": 70, "action": "refuse"},
        ],
    )  # fmt: skip
    now_s = [NOW_S]
    guard = Guard(rules, table_in(tmp_path), "w0", FixedPrices(10), lambda: now_s[0])

    def pay() -> Refused | None:
        opened = call()
        admitted = guard.admit(opened)
        if isinstance(admitted, Refused):
            return admitted
        guard.settle(admitted, opened, closed_of(opened))
        return None

    assert guard.has_models
    assert guard.model_for(call()) is None
    assert [pay() for _ in range(2)] == [None] * 2
    assert guard.model_for(call()) == ("m-small", "cap")
    assert guard.model_for(call(model_requested="m-small")) is None
    assert [pay() for _ in range(4)] == [None] * 4  # at 40 %, two a minute
    slow = pay()
    assert slow is not None
    assert "is at 40 % of its limit and lets 2 calls a minute through" in slow.reason
    assert 1 <= slow.retry_after_s <= 61
    now_s[0] += slow.retry_after_s
    assert pay() is None
    over = pay()
    assert over is not None
    assert "is at 70 % of its limit and lets no call through" in over.reason
    assert over.reset_at_s == over.retry_after_s + now_s[0]
    assert guard.refusals == {"cap": 2}
    guard.close()
