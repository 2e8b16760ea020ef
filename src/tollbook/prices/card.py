"""The rate card: what one model costs in one service tier, over one stretch of time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from tollbook.errors import TollbookError
from tollbook.money import Rate
from tollbook.usage import KINDS, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from fractions import Fraction

Rates = tuple[Rate | None, ...]
"""One rate for each of :data:`tollbook.usage.KINDS`; None is no rate, a rate of zero is free."""

CARD_ID_DIGITS = 16
ADD_ON_KINDS = frozenset({"web_search_requests", "file_search_requests", "code_sessions"})
"""Fees that come on top of what a model bills by; they are no price of a model on their own."""
_FOLLOWS = {
    "cache_read_tokens": "uncached_input_tokens",
    "cache_write_5m_tokens": "uncached_input_tokens",
    "cache_write_1h_tokens": "cache_write_5m_tokens",
    "input_audio_tokens": "uncached_input_tokens",
    "cache_read_audio_tokens": "cache_read_tokens",
    "input_image_tokens": "uncached_input_tokens",
    "cache_read_image_tokens": "cache_read_tokens",
    "input_video_tokens": "uncached_input_tokens",
    "reasoning_tokens": "visible_output_tokens",
    "output_audio_tokens": "visible_output_tokens",
    "output_image_tokens": "visible_output_tokens",
    "citation_tokens": "visible_output_tokens",
}
"""Whose rate a kind takes when it has none: a token that was used is never free by omission."""


class CardTextError(TollbookError):
    """A stored card that cannot be read, or whose content is not what its id says."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"price card: {problem}; restore the books from a backup")


class Step(Struct, frozen=True):
    """Rates of the whole call once its input exceeds a threshold (a cliff, not a margin)."""

    threshold: int
    """Tokens of all input, cached included."""
    rates: Rates
    is_inclusive: bool = False
    """The threshold itself already belongs to the step (``>=``); otherwise only what exceeds it."""
    caution: str | None = None
    """What to know about every price in this step."""


class DailyWindow(Struct, frozen=True):
    """A part of the UTC day, ``from_ns <= time of day < until_ns``, in nanoseconds."""

    from_ns: int
    until_ns: int


class RateCard(Struct, frozen=True, kw_only=True):
    """Everything that prices a call. Build one with :func:`make_card`.

    ``card_id`` is a hash of what prices (provider, model, tier, region, rates, steps, start, time
    of day).
    The end, the source's version and the reason are not in it: a price that was found to end, or
    that a newer list repeats, is the same price.
    """

    card_id: str
    provider: str
    """The list's provider id; of a contract card, the configured provider name."""
    model: str
    """The list's model id, or the pattern of a contract card with its own rates."""
    source: str
    """``genai-prices VERSION`` or ``contract``."""
    rates: Rates
    steps: tuple[Step, ...] = ()
    inherited: dict[str, str] = {}
    """Kinds without a rate of their own, each with the kind whose rate it takes."""
    effective_from_ns: int | None = None
    effective_until_ns: int | None = None
    daily_window: DailyWindow | None = None
    service_tier: str | None = None
    """The tier the call was served in; None for the standard one."""
    is_tier_priced: bool = True
    """False: the source has no price for the tier, and the standard one is used instead."""
    region: str | None = None
    """Where the call was served, if the price was chosen by it."""
    cautions: tuple[str, ...] = ()
    """What else to know about every price made with the card, in words."""
    notes: dict[str, str] = {}
    """What to know about the price of a kind, where it was used."""
    uncounted: tuple[str, ...] = ()
    """What the source also prices but no token kind counts (``audio_hours``)."""
    basis: str | None = None
    """What a discount was taken off, or what a rate was converted from."""
    reason: str | None = None
    minimum_pico: int = 0
    """The least that a billed request costs, whatever it used."""
    document: str | None = None
    """The version in the books that it was made of, such as ``price_card/openai:gpt-4o/2``."""

    @property
    def is_free(self) -> bool:
        """Whether every rate is an explicit zero, and no minimum is charged."""
        rates = [rate for rates in (self.rates, *(step.rates for step in self.steps))
                 for rate in rates if rate is not None]  # fmt: skip
        if self.minimum_pico:
            return False
        return bool(rates) and not any(rate.numerator for rate in rates)

    def to_json(self) -> bytes:
        """Return the card for keeping in the books; rates are pairs of integers."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> RateCard:
        """Read what :meth:`to_json` wrote.

        Raises:
            CardTextError: not a card, or changed since it was written.
        """
        try:
            card = msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise CardTextError(str(error)) from error
        if any(len(rates) != len(KINDS) for rates in (card.rates, *(s.rates for s in card.steps))):
            raise CardTextError(f"{card.card_id} does not have one rate for each token kind")
        if card.card_id != _content_id(card):
            raise CardTextError(f"{card.card_id} was changed after it was written")
        return card


def make_card(
    *, provider: str, model: str, source: str, rates: Rates, steps: tuple[Step, ...] = (),
    effective_from_ns: int | None = None, effective_until_ns: int | None = None,
    daily_window: DailyWindow | None = None, service_tier: str | None = None,
    is_tier_priced: bool = True, region: str | None = None, cautions: tuple[str, ...] = (),
    notes: dict[str, str] | None = None, uncounted: tuple[str, ...] = (),
    basis: str | None = None, reason: str | None = None,
) -> RateCard:  # fmt: skip
    """Build a card with its inheritance and id from its own rates."""
    card = RateCard(
        card_id="", provider=provider, model=model, source=source, rates=rates,
        steps=tuple(sorted(steps, key=lambda step: (step.threshold, not step.is_inclusive))),
        inherited=_inherited(rates), effective_from_ns=effective_from_ns,
        effective_until_ns=effective_until_ns, daily_window=daily_window,
        service_tier=service_tier, is_tier_priced=is_tier_priced, region=region,
        cautions=cautions, notes=notes or {}, uncounted=uncounted, basis=basis, reason=reason,
    )  # fmt: skip
    return msgspec.structs.replace(card, card_id=_content_id(card))


def rates_of(by_kind: Mapping[str, Rate]) -> Rates:
    """Return rates in the order of the kinds, None where there is none."""
    return tuple(by_kind.get(kind) for kind in KINDS)


def scaled_card(
    card: RateCard, factor: Fraction, *, kinds: Collection[str] = KINDS, **changes: Any
) -> RateCard:
    """Return a card with the rates of some kinds scaled exactly, and other fields replaced.

    Args:
        card: whose rates to scale, those of its steps included.
        factor: what to multiply by.
        kinds: whose rates are scaled.
        **changes: fields of the card that are different.
    """

    def scaled(rates: Rates) -> Rates:
        return tuple(
            rate if rate is None or kind not in kinds else rate.times(factor)
            for kind, rate in zip(KINDS, rates, strict=True)
        )  # fmt: skip

    steps = tuple(
        msgspec.structs.replace(step, rates=scaled(step.rates)) for step in card.steps
    )  # fmt: skip
    changed = msgspec.structs.replace(card, rates=scaled(card.rates), steps=steps, **changes)
    return msgspec.structs.replace(changed, card_id=_content_id(changed))


def effective_rates(card: RateCard, rates: Rates) -> Rates:
    """Return the rates of the card or of one of its steps, followed kinds filled in."""
    return tuple(
        rate if rate is not None or kind not in card.inherited
        else rates[KINDS.index(card.inherited[kind])]
        for kind, rate in zip(KINDS, rates, strict=True)
    )  # fmt: skip


def _inherited(rates: Rates) -> dict[str, str]:
    own = {kind for kind, rate in zip(KINDS, rates, strict=True) if rate is not None}
    found = {}
    for kind in TOKEN_KINDS:
        followed = kind
        while followed not in own and followed in _FOLLOWS:
            followed = _FOLLOWS[followed]
        if followed != kind and followed in own:
            found[kind] = followed
    return found


def _content_id(card: RateCard) -> str:
    content: list[Any] = [
        card.provider, card.model, card.source == "contract", card.rates,
        [[step.threshold, step.is_inclusive, step.rates, step.caution] for step in card.steps],
        card.effective_from_ns, card.daily_window, card.service_tier, card.is_tier_priced,
        card.region, card.cautions, card.notes, card.uncounted, list(KINDS),
    ]  # fmt: skip
    if card.minimum_pico:  # cards without one keep the ids they were booked with
        content.append(card.minimum_pico)
    encoded = msgspec.json.encode(content, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:CARD_ID_DIGITS]
