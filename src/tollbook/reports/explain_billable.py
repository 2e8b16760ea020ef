"""The second price of a call, step by step: which rule bills it, and how the amount comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from tollbook.ledger.billing_check import card_named
from tollbook.ledger.billing_facts import FACT_COLUMNS, facts_of
from tollbook.money import pico_from_usd, usd_text
from tollbook.prices.billable_amount import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tollbook.prices.billable import Rule
    from tollbook.prices.card import RateCard

    LoadCard = Callable[[str], RateCard | None]
    LoadRule = Callable[[str], tuple[Rule, str] | None]
    """Document id to the rule and why it was written."""


def no_rule(document_id: str) -> tuple[Rule, str] | None:
    """Find no rule, where there are no books."""
    del document_id
    return None


class BillableLine(Struct, frozen=True, kw_only=True):
    """One step; the amounts add up to what is billed."""

    part: int
    what: str
    arithmetic: str
    amount_usd: str


class Billable(Struct, frozen=True, kw_only=True):
    """What the tenant is charged for the call, its parts included."""

    amount_usd: str | None
    """None is unknown."""
    less_cost_usd: str | None
    """What is billed, less what the call costs."""
    rule_id: str
    rule_reason: str | None
    """Why the rule was written, by whoever did."""
    rule: dict[str, Any] | None
    """What the rule says; None where the books do not have it."""
    flags: list[str]
    lines: list[BillableLine]
    rounding: str = (
        "each line is rounded once, half to even, to 0.000000000001 USD; the lines add up to the "
        "amount"
    )


def explain_billable(
    rows: list[dict[str, Any]], load_rule: LoadRule, load_card: LoadCard
) -> Billable | None:
    """Explain what the charges of a call are billed; None where no rule bills them.

    Args:
        rows: the charges in force: the call's own first, then its parts.
        load_rule: finds the version of a rule that an entry names.
        load_card: finds a kept card by its id.
    """
    billed = [row for row in rows if row["billing_rule_id"] is not None]
    if not billed:
        return None
    loaded = load_rule(billed[0]["billing_rule_id"])
    flags: list[str] = []
    lines: list[BillableLine] = []
    for row in billed:
        said = _words(row["billing_flags"])
        flags += [one for one in said if one not in flags]
        found = load_rule(row["billing_rule_id"])
        if found is not None:
            lines += _lines(row, found[0], said, load_card)
    amounts = [row["billable_usd"] for row in billed]
    costs = [row["cost_usd"] for row in rows]
    total = None if None in amounts else sum(pico_from_usd(one) for one in amounts)
    cost = None if None in costs else sum(pico_from_usd(one) for one in costs)
    return Billable(
        amount_usd=None if total is None else usd_text(total),
        less_cost_usd=None if total is None or cost is None else usd_text(total - cost),
        rule_id=billed[0]["billing_rule_id"],
        rule_reason=None if loaded is None else loaded[1],
        rule=None if loaded is None else msgspec.to_builtins(loaded[0]),
        flags=flags,
        lines=lines,
    )


def _lines(
    row: Mapping[str, Any], rule: Rule, said: tuple[str, ...], load_card: LoadCard
) -> list[BillableLine]:
    card_id = card_named(said)
    card = None if card_id is None else load_card(card_id)
    facts = facts_of(_stored(row), _pico(row["cost_usd"]), _pico(row["saved_cost_usd"]))
    return [
        BillableLine(
            part=row["part"] or 0, what=one.what, arithmetic=one.arithmetic,
            amount_usd=usd_text(one.amount),
        )
        for one in steps_of(rule, facts, card)
    ]  # fmt: skip


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry in the form in which facts are read: ids as bytes, times as integers."""
    plain = {name: row[name] for name in FACT_COLUMNS}
    for name, value in plain.items():
        if value is not None and hasattr(value, "bytes"):
            plain[name] = value.bytes
        elif hasattr(value, "timestamp"):
            plain[name] = _us(value)
    return plain


def _us(moment: Any) -> int:
    since = moment.replace(tzinfo=None) - type(moment)(1970, 1, 1)
    return int((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _pico(amount: Any) -> int | None:
    return None if amount is None else pico_from_usd(amount)


def _words(text: str | None) -> tuple[str, ...]:
    try:
        return () if text is None else msgspec.json.decode(text, type=tuple[str, ...])
    except msgspec.MsgspecError:
        return (text or "",)
