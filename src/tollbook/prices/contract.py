"""Contract prices: ``[[prices]]`` of the configuration, checked and made ready to apply."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from tollbook.config.problems import ConfigError
from tollbook.money import Rate
from tollbook.prices.card import ADD_ON_KINDS, RateCard, Rates, make_card, rates_of, scaled_card
from tollbook.prices.tiers import tier_of
from tollbook.usage import FEE_KINDS, PRICED_PER, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tollbook.config.schema import PriceCard

SOURCE = "contract"
STANDARD = "standard"
"""How a pattern names the ordinary tier."""
USD_PER_TOKEN_MAX = 1
"""More than this for one token is a price per million that was entered per token."""

_FIELD_KINDS = {
    "input": "uncached_input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "cache_read_audio": "cache_read_audio_tokens",
    "input_image": "input_image_tokens",
    "cache_read_image": "cache_read_image_tokens",
    "input_video": "input_video_tokens",
    "output": "visible_output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "citation": "citation_tokens",
    "audio_minutes": "audio_ms",
    **{kind: kind for kind in FEE_KINDS if kind != "audio_ms"},
}
_NEEDS = {
    "cache_read": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "input",
    "input_audio": "input",
    "output": "input",
    "reasoning": "output",
    "output_audio": "output",
    "cache_read_audio": "input_audio",
    "input_image": "input",
    "cache_read_image": "input_image",
    "input_video": "input",
    "output_image": "input",
    "citation": "output",
}
"""A rate on the left makes no sense without the one it refines or answers."""
_BASES = frozenset({"input", "audio_minutes", *FEE_KINDS}) - {"audio_ms"} - ADD_ON_KINDS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Contract(NamedTuple):
    """One ``[[prices]]`` entry: whom it covers, from when until when, and what it does."""

    name: str
    """``prices[0] (model gpt-4o)``, as errors name it."""
    provider: str
    model: str
    tier: str | None
    region: str | None
    patterns: tuple[re.Pattern[str], re.Pattern[str] | None, re.Pattern[str] | None]
    """Of model, tier and region; None is any."""
    from_ns: int
    until_ns: int | None
    discount: Fraction | None
    rates: Rates | None
    reason: str | None

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

    @property
    def precedence(self) -> tuple[int, int, int, int, str]:
        """Sort key: the most literal model wins, then tier, then region, then the later start."""
        literal = [_literal_chars(one) for one in (self.model, self.tier, self.region)]
        return (literal[0], literal[1], literal[2], self.from_ns, self.model)


def read_contracts(
    cards: Sequence[PriceCard], source: str, providers: Collection[str]
) -> tuple[Contract, ...]:
    """Check the configured cards and return them, the one that wins first.

    Args:
        cards: The entries of ``[[prices]]``.
        source: The file they stand in, for errors.
        providers: The configured provider names.

    Raises:
        ConfigError: naming the file, the card, the field and the expected value.
    """
    contracts = [
        _Reader(card, source, f"prices[{at}] (model {card.model})").read(providers)
        for at, card in enumerate(cards)
    ]
    _refuse_overlaps(contracts, source)
    return tuple(sorted(contracts, key=lambda contract: contract.precedence, reverse=True))


def own_card(contract: Contract, tier: str | None, region: str | None) -> RateCard:
    """Return the card of a contract with its own rates; a tier it does not name it has not."""
    assert contract.rates is not None
    return make_card(
        provider=contract.provider, model=contract.model, source=SOURCE, rates=contract.rates,
        effective_from_ns=contract.from_ns, effective_until_ns=contract.until_ns,
        service_tier=tier, is_tier_priced=tier is None or contract.tier is not None,
        region=region if contract.region is not None else None, reason=contract.reason,
    )  # fmt: skip


def discounted(contract: Contract, listed: RateCard) -> RateCard:
    """Return the list card with the discount taken exactly off every rate and step."""
    assert contract.discount is not None
    ends = [end for end in (contract.until_ns, listed.effective_until_ns) if end is not None]
    percent = Decimal(contract.discount.numerator) / contract.discount.denominator
    basis = f" ({listed.basis})" if listed.basis else ""
    return scaled_card(
        listed, 1 - contract.discount / 100, provider=contract.provider, source=SOURCE,
        effective_from_ns=max(contract.from_ns, listed.effective_from_ns or contract.from_ns),
        effective_until_ns=min(ends) if ends else None,
        basis=f"{percent.normalize():f} % off {listed.source}{basis}", reason=contract.reason,
    )  # fmt: skip


class _Reader(NamedTuple):
    """Reads one entry; every complaint names the file, the entry and the field."""

    card: PriceCard
    source: str
    name: str

    def read(self, providers: Collection[str]) -> Contract:
        card = self.card
        if card.provider not in providers:
            known = ", ".join(sorted(providers)) or "none is configured"
            raise self.error("provider", f"no provider {card.provider!r}; expected one of {known}")
        if not card.model.strip():
            raise self.error("model", "is empty; expected a model name or a pattern such as gpt-*")
        from_ns = self.moment("effective_from", card.effective_from)
        until_ns = (
            None if card.effective_until is None
            else self.moment("effective_until", card.effective_until)
        )  # fmt: skip
        if until_ns is not None and until_ns <= from_ns:
            raise self.error("effective_until", "expected a time after effective_from")
        model, tier, region = (
            _pattern(one) for one in (card.model, card.service_tier, card.region)
        )  # fmt: skip
        assert model is not None
        if tier is not None and not set(tier) & set("*?"):
            tier = tier_of(tier) or STANDARD
        return Contract(
            name=self.name, provider=card.provider, model=model, tier=tier, region=region,
            patterns=(
                _compiled(model),
                None if tier is None else _compiled(tier),
                None if region is None else _compiled(region),
            ),
            from_ns=from_ns, until_ns=until_ns, discount=self.discount(), rates=self.rates(),
            reason=card.reason,
        )  # fmt: skip

    def discount(self) -> Fraction | None:
        percent = self.card.discount_percent
        if percent is None:
            return None
        if not percent.is_finite() or not 0 <= percent <= 100:  # noqa: PLR2004 -- per cent
            raise self.error("discount_percent", f"{percent} is not between 0 and 100")
        return Fraction(percent)

    def rates(self) -> Rates | None:
        given = {name: getattr(self.card, name) for name in _FIELD_KINDS}
        given = {name: price for name, price in given.items() if price is not None}
        if not given:
            if self.card.discount_percent is None:
                raise self.error("", "has no price; expected discount_percent, or input and output")
            return None
        if self.card.discount_percent is not None:
            raise self.error(
                "discount_percent", f"expected either a discount or own rates ({', '.join(given)})"
            )
        for name in given:
            if _NEEDS.get(name, name) not in given:
                raise self.error(_NEEDS[name], f"is missing; it is needed beside {name}")
        if not given.keys() & _BASES:
            raise self.error("input", "is missing; expected US dollars per million tokens")
        return rates_of(
            {_FIELD_KINDS[name]: self.rate(name, price) for name, price in given.items()}
        )

    def rate(self, name: str, price: Decimal) -> Rate:
        kind = _FIELD_KINDS[name]
        units, words = PRICED_PER[kind]
        per = "million tokens" if kind in TOKEN_KINDS else words
        if not price.is_finite() or price < 0:
            raise self.error(name, f"{price} is no price; expected US dollars per {per}, 0 or more")
        if kind in TOKEN_KINDS and price > USD_PER_TOKEN_MAX * units:
            raise self.error(
                name, f"{price} is over 1 USD for one token; expected US dollars per {per}"
            )
        return Rate.usd_per(price, units)

    def moment(self, name: str, text: str) -> int:
        expected = "expected a date such as 2026-11-01 (midnight UTC) or 2026-11-01T09:00:00+01:00"
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise self.error(name, f"{text!r} is not a date; {expected}") from error
        if moment.tzinfo is None:
            if not _DATE.fullmatch(text):
                raise self.error(name, f"{text!r} has no offset from UTC; {expected}")
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000

    def error(self, field: str, problem: str) -> ConfigError:
        return ConfigError(self.source, f"{self.name}.{field}" if field else self.name, problem)


def _pattern(text: str | None) -> str | None:
    return re.sub(r"\*+", "*", text.strip().lower()) if text else None


def _literal_chars(pattern: str | None) -> int:
    return -1 if pattern is None else sum(char not in "*?" for char in pattern)


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern of ``*`` and ``?``; nothing else is special."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def _refuse_overlaps(contracts: Sequence[Contract], source: str) -> None:
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
