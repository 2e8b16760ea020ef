"""Why a call is not admitted, in words and in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook.budgets.window import shown_at
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.budgets.hold import Hold
    from tollbook.budgets.rules import Rule

_UNITS = {"usd": "USD", "tokens": "tokens", "requests": "requests", "concurrent": "calls at once"}


class Refused(NamedTuple):
    """Why a call is not admitted."""

    rule: Rule | None
    """None: the counters cannot be used."""
    reason: str
    retry_after_s: int
    """0: trying again is of no use."""
    is_unavailable: bool = False
    left: str | None = None
    """Of the limit, in its unit."""
    limit: str | None = None
    reset_at_s: int | None = None
    """When there is room again, seconds since the epoch."""
    wait_s: float = 0.0
    """How long it is worth waiting for what calls under way have reserved; 0: not at all."""
    key: bytes = b""
    """Of the slot that has no room."""


def unavailable() -> Refused:
    """Return that the counters cannot be used."""
    reason = "the budget counters cannot be used right now; try again in a moment"
    return Refused(None, reason, 1, is_unavailable=True)


def unpriced(rule: Rule, model: str) -> Refused:
    """Return that a call's price is not known."""
    reason = (
        f"budget {rule.budget.name!r}: the price of model {model!r} is not known, so the call"
        " cannot be held to the limit"
    )
    return Refused(rule, reason, 0)


def used_up(hold: Hold, limit: int, spent: int, now_s: int, reset_at_s: int) -> Refused:
    """Return that what is spent leaves no room for a call."""
    rule, budget = hold.rule, hold.rule.budget
    if not limit:
        return _stopped(hold, now_s)
    if rule.ends_at_s:
        reset_at_s = min(reset_at_s, rule.ends_at_s)
    left = shown(rule.unit, max(0, limit - spent))
    when = f"the last {budget.window}" if rule.bucket_s else f"this {budget.window}"
    reason = (
        f"budget {whose(hold)} is used up for {when}: {said(rule.unit, max(0, limit - spent))}"
        f" of {said(rule.unit, limit)} {_UNITS[rule.unit]} left, and this call may need"
        f" {said(rule.unit, hold.amount)};"
        f" it resets at {shown_at(reset_at_s, budget.timezone)}"
    )
    return Refused(
        rule, reason, max(1, reset_at_s - now_s), left=left, limit=shown(rule.unit, limit),
        reset_at_s=reset_at_s, key=hold.key,
    )  # fmt: skip


def _stopped(hold: Hold, now_s: int) -> Refused:
    """Return that a limit of 0 lets nothing through: no window's end changes that."""
    rule, budget = hold.rule, hold.rule.budget
    owner = dict(budget.match) | dict(zip(budget.each, hold.owner, strict=True))
    of = ", ".join(f"{field} {value!r}" for field, value in owner.items())
    end_s = rule.ends_at_s
    until = f" until {shown_at(end_s, budget.timezone)}" if end_s else ""
    reason = f"calls{of and f' of {of}'} are stopped{until} (budget {budget.name!r}, limit 0)"
    return Refused(
        rule, reason, max(1, end_s - now_s) if end_s else 0, left=shown(rule.unit, 0),
        limit=shown(rule.unit, 0), reset_at_s=end_s or None, key=hold.key,
    )  # fmt: skip


def stepped(hold: Hold, percent: int, now_s: int, reset_at_s: int, rate: int | None) -> Refused:
    """Return that a step of a progressive budget refuses a call."""
    rule, budget = hold.rule, hold.rule.budget
    what = "lets no call through" if rate is None else f"lets {rate} calls a minute through"
    reason = (
        f"budget {whose(hold)} is at {percent} % of its limit and {what};"
        f" try again at {shown_at(reset_at_s, budget.timezone)}"
    )
    return Refused(
        rule, reason, max(1, reset_at_s - now_s), left="0", limit=None, reset_at_s=reset_at_s,
        key=hold.key,
    )  # fmt: skip


def waits(hold: Hold, limit: int, spent: int) -> Refused:
    """Return that only calls under way are in the way; these words are for who has waited."""
    rule, budget = hold.rule, hold.rule.budget
    if rule.unit == "concurrent":
        why = f"{limit} calls are under way already"
    else:
        left = said(rule.unit, max(0, limit - spent))
        why = (
            f"{left} of {said(rule.unit, limit)} {_UNITS[rule.unit]} are left, but calls under way"
            f" have reserved what this call may need ({said(rule.unit, hold.amount)})"
        )
    reason = (
        f"budget {whose(hold)}: {why}, and they did not end within {budget.wait_s:g} s; try again"
    )
    return Refused(
        rule, reason, 1, left=shown(rule.unit, max(0, limit - spent)),
        limit=shown(rule.unit, limit), wait_s=budget.wait_s, key=hold.key,
    )  # fmt: skip


def whose(hold: Hold) -> str:
    """Return a budget and its owner in words."""
    budget = hold.rule.budget
    owner = ", ".join(
        f"{field} {value!r}" for field, value in zip(budget.each, hold.owner, strict=True)
    )
    return f"{budget.name!r}{f' of {owner}' if owner else ''}"


def said(unit: str, amount: int) -> str:
    """Return an amount for a sentence: dollars without the zeros that follow the cents."""
    whole, point, part = shown(unit, amount).partition(".")
    return f"{whole}{point}{part.rstrip('0').ljust(2, '0') if point else ''}"


def shown(unit: str, amount: int) -> str:
    """Return an amount in its unit."""
    return usd_text(amount) if unit == "usd" else str(amount)
