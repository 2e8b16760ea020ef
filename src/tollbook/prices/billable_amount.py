"""What one call is billed by its rule: exact, in integers of 10^-12 USD, with every step told.

The base (cost, or a card's price of the usage) times the rule's factor, rounded once, half to even;
then fees by the unit; then the minimum. Ingest computes the same for many calls at once
(``ledger/billing_bulk.py``) and tests hold the two against each other; verification and
explanations use this one.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.money import Rate, pico_from_usd, usd_text
from tollbook.prices.billable import CALL, OPERATION, Rule, rates_by_kind
from tollbook.prices.card import RateCard, make_card, rates_of
from tollbook.prices.rating import rate
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.usage import Kinds

CARD_FLAG: Final = "price card "
"""How the word begins that names the card of the base."""
COST_UNKNOWN: Final = "the cost is unknown"
USAGE_UNKNOWN: Final = "the usage is unknown"
NO_PRICE: Final = "no price for the model asked for"
FROM_COST: Final = "no price for the model asked for; the cost is used"
KIND_UNPRICED: Final = "a kind that was used has no rate"
CACHED: Final = "cached answer, charged as work done"
CACHED_FREE: Final = "cached answer, not charged"
MINIMUM: Final = "minimum of a call"
RETRY: Final = "not charged: a further attempt"
SYSTEM: Final = "not charged: origin system"
FREE: Final = "not charged: free"
BEYOND: Final = "the amount is beyond any amount of money"
STATUS: Final = {
    status: f"not charged: {status}" for status in ("error", "cancelled", "rejected", "interrupted")
}
MONEY_MAX: Final = 10**38 - 1


class Facts(NamedTuple):
    """All of a call that the amount depends on."""

    status: str | None
    cost: int | None
    """In pico; None is unknown."""
    kinds: Kinds | None
    """Of a cached answer: what it would have used."""
    saved: int | None = None
    is_cached: bool = False
    is_retry: bool = False
    is_system: bool = False
    is_part: bool = False
    """A share of a call beside the call itself: no fee by the call, no minimum."""


class Billed(NamedTuple):
    """What is charged, and why it is what it is."""

    amount: int | None
    """In pico; None is unknown."""
    flags: tuple[str, ...] = ()


class Step(NamedTuple):
    """One line of the arithmetic."""

    what: str
    arithmetic: str
    amount: int


def bill(rule: Rule, facts: Facts, card: RateCard | None = None) -> Billed:
    """Return what a call is charged.

    Args:
        rule: the rule that applies.
        facts: of the call.
        card: what prices the base where the rule starts from a price (``rule.needs_card``), None
            where there is none.
    """
    amount, flags, _ = _billed(rule, facts, card)
    return Billed(amount, flags)


def steps_of(rule: Rule, facts: Facts, card: RateCard | None = None) -> list[Step]:
    """Return the arithmetic behind :func:`bill`, line by line; the amounts add up to it."""
    return _billed(rule, facts, card)[2]


def refusal(rule: Rule, facts: Facts) -> str | None:
    """Return why a call is not charged at all, None where it is."""
    if rule.basis == "free":
        return FREE
    if facts.status in STATUS and not getattr(rule.failed, facts.status):
        return STATUS[facts.status]
    if facts.is_retry and not rule.retries:
        return RETRY
    if facts.is_system and not rule.system:
        return SYSTEM
    if facts.is_cached and not rule.cached_percent:
        return CACHED_FREE
    return None


def _billed(
    rule: Rule, facts: Facts, card: RateCard | None
) -> tuple[int | None, tuple[str, ...], list[Step]]:
    why = refusal(rule, facts)
    if why is not None:
        return 0, (why,), [Step(why, "0", 0)]
    share = Fraction(rule.cached_percent) / 100 if facts.is_cached else Fraction(1)
    base, flags, arithmetic = _base(rule, facts, card)
    if facts.is_cached:
        flags = (*flags, CACHED)
    if base is None:
        return None, flags, []
    factor = rule.factor * share
    total = rounded(base * factor)
    steps = [Step("base", _times(arithmetic, rule, share), total)]
    if rule.basis == "per_unit":
        steps, total = [], 0
    for name, units in _units(rule, facts):
        one = unit_pico(rule, name)
        fee = rounded(one * units * share)
        told = f"{units} x {usd_text(one)} USD" + ("" if share == 1 else f" x {_percent(share)} %")
        steps.append(Step(f"units: {name}", told, fee))
        total += fee
    least = pico_from_usd(rule.minimum_usd)
    if not facts.is_part and total < least:
        steps.append(Step(MINIMUM, f"{usd_text(least)} USD, less what it comes to", least - total))
        total, flags = least, (*flags, MINIMUM)
    if total > MONEY_MAX:
        return None, (*flags, BEYOND), []
    return total, flags, steps


def _base(
    rule: Rule, facts: Facts, card: RateCard | None
) -> tuple[int | None, tuple[str, ...], str]:
    """Return the amount that the factor applies to, words, and where it comes from."""
    if rule.basis == "per_unit":
        return 0, (), ""
    if not rule.is_by_usage:
        return _from_cost(facts, ())
    if rule.basis == "own_rates":
        card = own_card(rule)
    if facts.kinds is None and _is_unused(facts):
        return 0, (), "nothing was used"
    if facts.kinds is None:
        return None, (USAGE_UNKNOWN,), ""
    if card is not None:
        return _from_card(rule, facts.kinds, card)
    return _from_cost(facts, (FROM_COST,)) if rule.unpriced == "cost" else (None, (NO_PRICE,), "")


def _from_card(rule: Rule, kinds: Kinds, card: RateCard) -> tuple[int | None, tuple[str, ...], str]:
    rated = rate(card, kinds)
    flags = () if rule.basis == "own_rates" else (CARD_FLAG + card.card_id,)
    if rated.unpriced_kinds:
        return None, (*flags, KIND_UNPRICED), ""
    return rated.total, flags, f"{usd_text(rated.total)} USD by {_named(rule, card)}"


def _from_cost(facts: Facts, flags: tuple[str, ...]) -> tuple[int | None, tuple[str, ...], str]:
    cost = facts.saved if facts.is_cached else facts.cost
    if cost is None:
        return None, (*flags, COST_UNKNOWN), ""
    what = "saved cost" if facts.is_cached else "cost"
    return cost, flags, f"{what} {usd_text(cost)} USD"


def _is_unused(facts: Facts) -> bool:
    """Whether it is known that nothing was used: no cost, and not because of a cached answer."""
    return not facts.is_cached and facts.cost == 0


def _named(rule: Rule, card: RateCard) -> str:
    if rule.basis == "own_rates":
        return "the rates of the rule"
    return f"{'list' if rule.basis == 'list' else 'price'} card {card.card_id} of {card.model}"


def _times(arithmetic: str, rule: Rule, share: Fraction) -> str:
    told = arithmetic
    if rule.markup_percent:
        told += f" x (100 {'-' if rule.markup_percent < 0 else '+'} {abs(rule.markup_percent)}) %"
    return told if share == 1 else f"{told} x {_percent(share)} %"


def _percent(share: Fraction) -> str:
    percent = share * 100
    return str(percent.numerator) if percent.denominator == 1 else f"{percent}"


def _units(rule: Rule, facts: Facts) -> list[tuple[str, int]]:
    """Return what fees are due for, and how many."""
    found = []
    for name in rule.units:
        if name == CALL:
            units = 0 if facts.is_part else 1
        elif name == OPERATION:
            units = 0 if facts.is_part or facts.is_retry else 1
        elif name == "requests":
            units = 0 if facts.is_part or facts.kinds is None else facts.kinds.requests
        else:
            units = 0 if facts.kinds is None else facts.kinds[KINDS.index(name)]
        if units:
            found.append((name, units))
    return found


def unit_pico(rule: Rule, name: str) -> int:
    """Return the fee for one unit, in pico."""
    return pico_from_usd(rule.units[name])


@lru_cache(maxsize=1024)
def _own_card(encoded: tuple[tuple[str, Rate], ...]) -> RateCard:
    return make_card(provider="", model="*", source="billing rule", rates=rates_of(dict(encoded)))


def own_card(rule: Rule) -> RateCard:
    """Return the rates of a rule as a card, so that usage is priced as it always is."""
    return _own_card(tuple(sorted(rates_by_kind(rule.rates).items())))


def rounded(amount: Fraction | int) -> int:
    """Return an amount as a whole number of pico, half to even."""
    return round(amount)
