"""Budgets that tighten on the way to their limit: slower, then a cheaper model, then no more.

What applies depends on what is spent alone, never on what is reserved, and only ever tightens with
it: :func:`tightened` is monotone, which :func:`step_problem` sees to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.config.budgets import Step


class Tightened(NamedTuple):
    """What the steps that have begun come to."""

    requests_per_minute: int | None = None
    model: str | None = None
    is_refused: bool = False
    at_percent: int = 0
    """Of the last step that has begun."""


_NOTHING = Tightened()


def tightened(steps: Sequence[Step], spent: int, limit: int) -> Tightened:
    """Return what applies at so much spent of a limit."""
    if not steps or spent * 100 < steps[0].at_percent * limit:
        return _NOTHING
    rate, model, is_refused, at_percent = None, None, False, 0
    for step in steps:
        if spent * 100 < step.at_percent * limit:
            break
        at_percent = step.at_percent
        if step.action == "rate":
            rate = step.requests_per_minute
        elif step.action == "model":
            model = step.model
        else:
            is_refused = True
    return Tightened(rate, model, is_refused, at_percent)


def step_problem(steps: Sequence[Step]) -> tuple[str, str] | None:
    """Return the key and what is wrong with it, None where steps only ever tighten."""
    percent, rate = 0, None
    for at, step in enumerate(steps):
        where = f"steps[{at}]"
        if step.at_percent <= percent:
            return f"{where}.at_percent", f"expected more than the {percent} of the step before"
        percent = step.at_percent
        for action, key in (("rate", "requests_per_minute"), ("model", "model")):
            if (step.action == action) != (getattr(step, key) is not None):
                return f"{where}.{key}", f'expected with action = "{action}", and only then'
        if step.action == "rate":
            if rate is not None and (step.requests_per_minute or 0) > rate:
                problem = f"expected at most the {rate} of the step before"
                return f"{where}.requests_per_minute", problem
            rate = step.requests_per_minute
        if step.action == "refuse" and at + 1 < len(steps):
            return where, "expected to be the last: nothing is left to tighten after a refusal"
    return None


def shown_steps(steps: Sequence[Step]) -> str:
    """Return steps in the words of a header: ``80% rate 10/min, 90% model m-small``."""
    return ", ".join(f"{step.at_percent}% {_shown(step)}" for step in steps)


def _shown(step: Step) -> str:
    if step.action == "rate":
        return f"rate {step.requests_per_minute}/min"
    return f"model {step.model}" if step.action == "model" else "refuse"
