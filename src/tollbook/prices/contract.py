"""Contract prices made ready to apply: whom each covers, from when until when, what it does."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.config.problems import ConfigError
from tollbook.prices.card import RateCard, Rates, Step, make_card, scaled_card
from tollbook.prices.fx import decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.prices.fx import FxRate

SOURCE: Final = "contract"
STANDARD: Final = "standard"
"""How a pattern names the ordinary tier."""


class Contract(NamedTuple):
    """One card of the settings or of the books, over one stretch of time."""

    name: str
    """``prices[0] (model gpt-4o)`` or the name in the books, as errors have it."""
    provider: str
    model: str
    tier: str | None
    region: str | None
    patterns: tuple[re.Pattern[str], re.Pattern[str] | None, re.Pattern[str] | None]
    """Of model, tier and region; None is any."""
    from_ns: int
    until_ns: int | None
    discounts: tuple[Fraction, ...]
    """Per cent, each taken off what the one before left."""
    rates: Rates | None
    """In the currency, before discounts; None: those of the list."""
    reason: str | None
    steps: tuple[Step, ...] = ()
    currency: str | None = None
    """None for US dollars."""
    minimum: Fraction = Fraction(0)
    """Of a request, in whole units of the currency; no discount is taken off it."""
    document: str | None = None
    """The version in the books; None for a card of the settings."""
    dated_ns: int | None = None
    """From when on it was said to hold, where another version interrupts it."""
    is_withdrawn: bool = False
    """It says from when on there is no such card."""

    def covers(self, at_ns: int) -> bool:
        """Whether the card is in force at a time."""
        return self.from_ns <= at_ns and (self.until_ns is None or at_ns < self.until_ns)

    def fits(self, models: Sequence[str], tier: str | None, region: str | None) -> bool:
        """Whether the card is for a model (any of its names), tier and region."""
        model, tiers, regions = self.patterns
        return (
            any(map(model.fullmatch, models))
            and (tiers is None or tiers.fullmatch(tier or STANDARD) is not None)
            and (regions is None or regions.fullmatch((region or "").lower()) is not None)
        )

    @property
    def scope(self) -> tuple[str, str, str | None, str | None]:
        """What two cards must not share at one time."""
        return (self.provider, self.model, self.tier, self.region)

    def is_literal_as(self, other: Contract) -> bool:
        """Whether nothing but date and alphabet decides between two cards."""
        return self.precedence[:4] == other.precedence[:4]

    @property
    def precedence(self) -> tuple[bool, int, int, int, int, str, str]:
        """Sort key: the books win, then the most literal model, tier, region, then the later."""
        literal = [_literal_chars(one) for one in (self.model, self.tier, self.region)]
        return (
            self.document is not None, literal[0], literal[1], literal[2],
            self.from_ns if self.dated_ns is None else self.dated_ns, self.model, self.name,
        )  # fmt: skip


def own_card(
    contract: Contract, tier: str | None, region: str | None, fx: FxRate | None = None
) -> RateCard:
    """Return the card of a contract with its own rates; a tier it does not name it has not.

    Args:
        contract: a contract with rates.
        tier: of the call.
        region: of the call.
        fx: the rate of the day, where the contract is in another currency.
    """
    assert contract.rates is not None
    card = make_card(
        provider=contract.provider, model=contract.model, source=SOURCE, rates=contract.rates,
        steps=contract.steps, effective_from_ns=_dated(contract),
        effective_until_ns=contract.until_ns, service_tier=tier,
        is_tier_priced=tier is None or contract.tier is not None,
        region=region if contract.region is not None else None, reason=contract.reason,
    )  # fmt: skip
    basis = [_percents(contract) + " off its own rates"] if contract.discounts else []
    basis += [fx.words] if fx is not None else []
    factor = _left(contract.discounts) * (1 if fx is None else fx.usd)
    if not basis and not contract.minimum and contract.document is None:
        return card
    changes: dict[str, Any] = {}
    if fx is not None:  # a card for each day, so that each says which day's rate it was made with
        start_ns, end_ns = fx.window
        changes["effective_from_ns"] = max(start_ns, _dated(contract))
        until_ns = contract.until_ns
        changes["effective_until_ns"] = end_ns if until_ns is None else min(end_ns, until_ns)
    return scaled_card(
        card, factor, basis="; ".join(basis) or None, document=contract.document,
        minimum_pico=_minimum_pico(contract, fx), **changes,
    )  # fmt: skip


def card_without_fx(contract: Contract, tier: str | None, day: str) -> RateCard:
    """Return the card of a day whose exchange rate is not known: it prices nothing, and says so."""
    rates: Rates = tuple(None for _ in contract.rates or ())
    card = make_card(
        provider=contract.provider, model=contract.model, source=SOURCE, rates=rates,
        effective_from_ns=_dated(contract), effective_until_ns=contract.until_ns,
        service_tier=tier, uncounted=(f"{contract.currency} in USD on {day}",),
        reason=contract.reason,
    )  # fmt: skip
    return scaled_card(card, Fraction(1), document=contract.document)


def discounted(contract: Contract, listed: RateCard) -> RateCard:
    """Return the list card with the discounts taken exactly off every rate and step."""
    ends = [end for end in (contract.until_ns, listed.effective_until_ns) if end is not None]
    basis = f" ({listed.basis})" if listed.basis else ""
    start_ns = _dated(contract)
    off = f"{_percents(contract)} off " if contract.discounts else ""
    return scaled_card(
        listed, _left(contract.discounts), provider=contract.provider, source=SOURCE,
        effective_from_ns=max(start_ns, listed.effective_from_ns or start_ns),
        effective_until_ns=min(ends) if ends else None,
        basis=f"{off}{listed.source}{basis}", reason=contract.reason,
        document=contract.document, minimum_pico=_minimum_pico(contract, None),
    )  # fmt: skip


def _dated(contract: Contract) -> int:
    return contract.from_ns if contract.dated_ns is None else contract.dated_ns


def _left(discounts: Sequence[Fraction]) -> Fraction:
    left = Fraction(1)
    for percent in discounts:
        left *= 1 - percent / 100
    return left


def _percents(contract: Contract) -> str:
    return ", then ".join(f"{decimal_text(one)} %" for one in contract.discounts)


def _minimum_pico(contract: Contract, fx: FxRate | None) -> int:
    """Return the minimum in pico, rounded half to even as every amount is."""
    return round(contract.minimum * (1 if fx is None else fx.usd) * 10**12)


def _literal_chars(pattern: str | None) -> int:
    return -1 if pattern is None else sum(char not in "*?" for char in pattern)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern of ``*`` and ``?``; nothing else is special."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def refuse_overlaps(contracts: Sequence[Contract], source: str) -> None:
    """Raise where two cards say at the same time what the same calls cost.

    Raises:
        ConfigError: naming the source and both cards.
    """
    for earlier, later in _neighbours(contracts):
        if earlier.until_ns is None or later.from_ns < earlier.until_ns:
            raise ConfigError(
                source, later.name,
                f"overlaps {earlier.name}: same provider, model, tier, region and time; "
                "end one (effective_until) where the other begins",
            )  # fmt: skip


def _neighbours(contracts: Sequence[Contract]) -> Iterator[tuple[Contract, Contract]]:
    ordered = sorted(
        contracts, key=lambda one: ([part or "" for part in one.scope], one.from_ns)
    )  # fmt: skip
    for earlier, later in pairwise(ordered):
        if earlier.scope == later.scope:
            yield earlier, later
