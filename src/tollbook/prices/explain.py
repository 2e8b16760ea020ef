"""Explain a price line by line, in words and exact numbers that a reader can check by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import Struct

from tollbook.money import PICO_PER_USD, Rate, usd_text
from tollbook.prices.rating import MINIMUM_APPLIED, card_flags, rate, rates_in_step
from tollbook.usage import KINDS, PRICED_PER, Kinds

if TYPE_CHECKING:
    from collections.abc import Collection

    from tollbook.prices.card import RateCard

_NS_PER_S = 1_000_000_000


class ExplainLine(Struct, frozen=True, kw_only=True):
    """One token kind of one call."""

    kind: str
    quantity: int
    rate: str | None
    """``2.5 USD per MTok``, ``10 USD per 1000``; None where there is no rate."""
    step: str | None
    """The context step that set the rate, such as ``over 200000 input tokens``."""
    product: str | None
    """Quantity times rate in USD, before rounding."""
    cost_usd: str | None
    """The component as booked, twelve digits; None where it could not be priced."""
    note: str | None
    """Why the rate is not the kind's own, or why there is none."""


class CardSummary(Struct, frozen=True, kw_only=True):
    """Where a price comes from."""

    card_id: str
    provider: str
    model: str
    source: str
    """``genai-prices 0.2.3``, or ``contract`` with what a discount was taken off."""
    effective_from: str | None
    effective_until: str | None
    daily: str | None
    """The part of the UTC day, such as ``00:30:00 to 16:30:00 UTC``."""
    service_tier: str
    region: str | None
    reason: str | None
    notes: tuple[str, ...]
    document: str | None = None
    """The version in the books, such as ``price_card/openai:gpt-4o/2``."""


def explain(card: RateCard, kinds: Kinds) -> list[ExplainLine]:
    """Return one line for each kind that was used; the costs sum to what was booked."""
    rates, step_at = rates_in_step(card, kinds.input_tokens)
    step = None
    if step_at is not None:
        chosen = card.steps[step_at]
        step = f"{'from' if chosen.is_inclusive else 'over'} {chosen.threshold} input tokens"
    rated = rate(card, kinds)
    return [
        _line(card, kind, quantity, own, cost, step, rated.flags)
        for kind, quantity, own, cost in zip(KINDS, kinds, rates, rated.components, strict=True)
        if quantity and (own is not None or kind != "requests" or cost)
    ]


def describe(card: RateCard) -> CardSummary:
    """Return where the card comes from and when it applies."""
    window = card.daily_window
    notes = list(card_flags(card))
    if card.minimum_pico:
        notes.append(f"a request costs at least {usd_text(card.minimum_pico)} USD")
    if card.uncounted and card.source == "contract" and not any(card.rates):
        notes.append(f"nothing can be priced: no rate for {', '.join(card.uncounted)}")
    elif card.uncounted:
        notes.append(f"also priced by the source, not counted here: {', '.join(card.uncounted)}")
    return CardSummary(
        card_id=card.card_id, provider=card.provider, model=card.model,
        source=f"{card.source}: {card.basis}" if card.basis else card.source,
        effective_from=_moment(card.effective_from_ns),
        effective_until=_moment(card.effective_until_ns),
        daily=f"{_clock(window.from_ns)} to {_clock(window.until_ns)} UTC" if window else None,
        service_tier=card.service_tier or "standard", region=card.region,
        reason=card.reason, notes=tuple(notes), document=card.document,
    )  # fmt: skip


def _line(
    card: RateCard, kind: str, quantity: int, price: Rate | None, cost_pico: int, step: str | None,
    flags: Collection[str],
) -> ExplainLine:  # fmt: skip
    note = card.inherited.get(kind)
    note = card.notes.get(kind) if note is None else f"follows {note}"
    if kind == "requests" and MINIMUM_APPLIED in flags:
        note = f"{MINIMUM_APPLIED}, {usd_text(card.minimum_pico)} USD"
    if price is None and cost_pico:
        return ExplainLine(
            kind=kind, quantity=quantity, rate=None, step=step, product=None,
            cost_usd=usd_text(cost_pico), note=note,
        )  # fmt: skip
    if price is None:
        return ExplainLine(
            kind=kind, quantity=quantity, rate=None, step=step, product=None, cost_usd=None,
            note="no rate for this kind; its cost is unknown",
        )  # fmt: skip
    return ExplainLine(
        kind=kind, quantity=quantity, rate=_rate_text(kind, price), step=step,
        product=_usd_exact(Fraction(price.numerator * quantity, price.denominator * PICO_PER_USD)),
        cost_usd=usd_text(cost_pico), note=note,
    )  # fmt: skip


def _rate_text(kind: str, price: Rate) -> str:
    units, words = PRICED_PER[kind]
    shown = Rate(price.numerator * units, price.denominator * 1_000_000)
    return f"{shown.usd_per_million()} USD per {words}"


def _usd_exact(amount: Fraction) -> str:
    """Return the decimal digits of an amount, or the fraction where decimals do not end."""
    # A decimal ends where the denominator has no prime factor but 2 and 5.
    digits, rest = 0, amount.denominator
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        digits = max(digits, power)
    if rest != 1:
        return f"{amount.numerator}/{amount.denominator}"
    whole, part = divmod(amount.numerator * 10**digits // amount.denominator, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)


def _moment(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    moment = datetime.fromtimestamp(at_ns // _NS_PER_S, tz=UTC)
    return moment.replace(microsecond=at_ns % _NS_PER_S // 1000).isoformat()


def _clock(time_of_day_ns: int) -> str:
    seconds = time_of_day_ns // _NS_PER_S
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
