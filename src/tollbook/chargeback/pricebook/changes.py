"""What differs between two cards, field by field, and by how much."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from tollbook.prices.card import effective_rates
from tollbook.prices.contract_reader import given_rates
from tollbook.prices.fx import decimal_text
from tollbook.usage import KINDS, PRICED_PER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.money import Rate
    from tollbook.prices.bookcard import BookCard
    from tollbook.prices.card import RateCard

Fields = dict[str, Decimal | Fraction | str]
"""Field or kind to what a card says of it."""
_MILLION: Final = 1_000_000


def card_fields(card: BookCard | None) -> Fields:
    """Return what a card of the books says beside whom it is for; nothing of no card."""
    if card is None:
        return {}
    if card.withdrawn:
        return {"withdrawn": "yes"}
    fields: Fields = {}
    if card.currency is not None:
        fields["currency"] = card.currency
    fields |= given_rates(card)
    for step in card.steps:
        fields |= {f"{name}_above_{step.above}": one for name, one in given_rates(step).items()}
    for at, percent in enumerate(card.discounts_percent, 1):
        fields[f"discount_{at}_percent"] = percent
    if card.minimum_per_request is not None:
        fields["minimum_per_request"] = card.minimum_per_request
    if card.effective_until is not None:
        fields["effective_until"] = card.effective_until
    return fields


def rate_fields(card: RateCard | None) -> Fields:
    """Return the dollars of a resolved card by kind, per what people name a price for."""
    if card is None:
        return {}
    fields: Fields = {}
    steps = [("", card.rates), *((f"_above_{one.threshold}", one.rates) for one in card.steps)]
    for suffix, rates in steps:
        for kind, rate in zip(KINDS, effective_rates(card, rates), strict=True):
            if rate is not None:
                fields[kind + suffix] = usd_per_usual(kind, rate)
    if card.minimum_pico:
        fields["minimum_per_request"] = Fraction(card.minimum_pico, 10**12)
    return fields


def usd_per_usual(kind: str, rate: Rate) -> Fraction:
    """Return the dollars for as many of a kind as people name a price for."""
    units, _ = PRICED_PER[kind]
    return Fraction(rate.numerator * units, rate.denominator * 10**12)


def unit_words(field: str) -> str | None:
    """Return what the price of a kind is for; None where the field is no kind."""
    kind = field.partition("_above_")[0]
    if kind not in PRICED_PER:
        return None
    units, words = PRICED_PER[kind]
    return "million tokens" if units == _MILLION and words == "MTok" else words


def changes(before: Fields, after: Fields) -> list[dict[str, Any]]:
    """Return a row for each field that is not the same: ``field, before, after, change_percent``.

    The change is in per cent of the price before, None where there is none to compare.
    """
    is_comparable = before.get("currency") == after.get("currency")
    return [
        {
            "field": name,
            "before": _text(before.get(name)),
            "after": _text(after.get(name)),
            "change_percent": change_percent(before.get(name), after.get(name))
            if is_comparable
            else None,
        }
        for name in dict.fromkeys([*before, *after])
        if not _is_same(before.get(name), after.get(name))
    ]


def change_percent(before: object, after: object) -> str | None:
    """Return by how many per cent a number differs, with at most four digits."""
    if not isinstance(before, (Decimal, Fraction)) or not isinstance(after, (Decimal, Fraction)):
        return None
    old, new = Fraction(before), Fraction(after)
    return None if not old else decimal_text(Fraction(round((new - old) / old * 10**6), 10**4))


def shown(fields: Mapping[str, Decimal | Fraction | str]) -> dict[str, str]:
    """Return fields as texts."""
    return {name: _text(value) or "" for name, value in fields.items()}


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, (Decimal, Fraction)) and isinstance(other, (Decimal, Fraction)):
        return Fraction(one) == Fraction(other)
    return one == other


def _text(value: Decimal | Fraction | str | None) -> str | None:
    if isinstance(value, (Decimal, Fraction)):
        return decimal_text(Fraction(value))
    return value
