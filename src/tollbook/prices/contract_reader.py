"""Read price cards of the settings and of the books; complaints name source, card and field."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.config.problems import ConfigError
from tollbook.money import Rate
from tollbook.prices.bookcard import BookCard, StepRates
from tollbook.prices.card import ADD_ON_KINDS, Rates, Step, rates_of
from tollbook.prices.contract import STANDARD, Contract, compiled, refuse_overlaps
from tollbook.prices.fx import CURRENCY, USD
from tollbook.prices.tiers import tier_of
from tollbook.usage import FEE_KINDS, PRICED_PER, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from decimal import Decimal

    from tollbook.config.schema import PriceCard

UNITS_PER_TOKEN_MAX: Final = 1
"""More than this for one token is a price per million that was entered per token."""
STEPS_MAX: Final = 16
DISCOUNTS_MAX: Final = 16
_PERCENT_MAX: Final = 100

FIELD_KINDS: Final = {
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
"""Field of a card to the kind that it prices."""
_TOKEN_FIELDS: Final = tuple(name for name, kind in FIELD_KINDS.items() if kind in TOKEN_KINDS)
_NEEDS: Final = {
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
_BASES: Final = frozenset({"input", "audio_minutes", *FEE_KINDS}) - {"audio_ms"} - ADD_ON_KINDS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


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
        read_card(card, source, f"prices[{at}] (model {card.model})", providers)
        for at, card in enumerate(cards)
    ]
    refuse_overlaps(contracts, source)
    return tuple(sorted(contracts, key=lambda contract: contract.precedence, reverse=True))


def read_card(
    card: PriceCard, source: str, name: str, providers: Collection[str]
) -> Contract:  # fmt: skip
    """Check one card.

    Args:
        card: of the settings, or a :class:`BookCard`.
        source: the file it stands in, for errors.
        name: how errors name it.
        providers: the configured provider names.

    Raises:
        ConfigError: naming the source, the card, the field and the expected value.
    """
    reader = _Reader(card, source, name)
    if isinstance(card, BookCard):
        return reader.book_card(card, providers)
    if card.discount_percent is not None and (own := reader.given()):
        raise reader.error(
            "discount_percent", f"expected either a discount or own rates ({', '.join(own)})"
        )
    return reader.read(providers)


class _Reader(NamedTuple):
    """Reads one card; every complaint names the file, the card and the field."""

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
                compiled(model),
                None if tier is None else compiled(tier),
                None if region is None else compiled(region),
            ),
            from_ns=from_ns, until_ns=until_ns, discounts=self.discounts(), rates=self.rates(),
            reason=card.reason,
        )  # fmt: skip

    def book_card(self, card: BookCard, providers: Collection[str]) -> Contract:
        """Read what only a card of the books can say as well."""
        if card.withdrawn:
            if self.given() or card.steps or self.has_discount or card.minimum_per_request:
                raise self.error("withdrawn", "expected no prices in a card that is withdrawn")
            return self.read(providers)._replace(is_withdrawn=True)
        currency = card.currency
        if currency is not None:
            if not CURRENCY.fullmatch(currency):
                raise self.error("currency", f"{currency!r} is not three capitals such as EUR")
            if currency != USD and not self.given():
                raise self.error("currency", "needs own rates; list prices are in US dollars")
        minimum = card.minimum_per_request
        if minimum is not None and (not minimum.is_finite() or minimum < 0):
            raise self.error("minimum_per_request", f"{minimum} is no price; expected 0 or more")
        return self.read(providers)._replace(
            steps=self.steps(card), currency=None if currency == USD else currency,
            minimum=Fraction(minimum or 0),
        )  # fmt: skip

    @property
    def has_discount(self) -> bool:
        """Whether anything is taken off."""
        more = self.card.discounts_percent if isinstance(self.card, BookCard) else ()
        return self.card.discount_percent is not None or bool(more)

    def given(self) -> dict[str, Decimal]:
        """Return the rates that the card names itself."""
        return given_rates(self.card)

    def discounts(self) -> tuple[Fraction, ...]:
        several = self.card.discounts_percent if isinstance(self.card, BookCard) else ()
        one = self.card.discount_percent
        if one is not None and several:
            raise self.error("discounts_percent", "expected either this or discount_percent")
        if len(several) > DISCOUNTS_MAX:
            raise self.error("discounts_percent", f"expected at most {DISCOUNTS_MAX}")
        field = "discounts_percent" if several else "discount_percent"
        percents = several or (() if one is None else (one,))
        for percent in percents:
            if not percent.is_finite() or not 0 <= percent <= _PERCENT_MAX:
                raise self.error(field, f"{percent} is not between 0 and 100")
        return tuple(map(Fraction, percents))

    def rates(self) -> Rates | None:
        given = self.given()
        if not given:
            is_enough = self.has_discount or (
                isinstance(self.card, BookCard)
                and (self.card.withdrawn or self.card.minimum_per_request is not None)
            )
            if not is_enough:
                raise self.error("", "has no price; expected discount_percent, or input and output")
            return None
        for name in given:
            if _NEEDS.get(name, name) not in given:
                raise self.error(_NEEDS[name], f"is missing; it is needed beside {name}")
        if not given.keys() & _BASES:
            raise self.error("input", f"is missing; expected {self.money} per million tokens")
        return self.rates_from(given)

    def rates_from(self, given: Mapping[str, Decimal], where: str = "") -> Rates:
        return rates_of(
            {FIELD_KINDS[name]: self.rate(name, price, where) for name, price in given.items()}
        )

    def steps(self, card: BookCard) -> tuple[Step, ...]:
        """Read the context steps: each names anew every rate for tokens that the card has."""
        if card.steps and not self.given():
            raise self.error("steps", "need own rates; those of the list are kept as they are")
        if len(card.steps) > STEPS_MAX:
            raise self.error("steps", f"expected at most {STEPS_MAX}")
        fees = {name: price for name, price in self.given().items() if name not in _TOKEN_FIELDS}
        tokens = [name for name in self.given() if name in _TOKEN_FIELDS]
        steps, last = [], 0
        for at, step in enumerate(card.steps):
            where = f"steps[{at}]"
            if step.above <= last:
                raise self.error(f"{where}.above", f"expected more than {last} input tokens")
            last = step.above
            own = given_rates(step)
            for name in tokens:
                if name not in own:
                    raise self.error(f"{where}.{name}", "is missing; the card has a rate for it")
            for name in own:
                if name not in tokens:
                    raise self.error(f"{where}.{name}", "the card itself has no rate for it")
            rates = self.rates_from(fees | own, f"{where}.")
            steps.append(Step(step.above, rates))
        return tuple(steps)

    @property
    def money(self) -> str:
        """The currency, in words."""
        currency = self.card.currency if isinstance(self.card, BookCard) else None
        return "US dollars" if currency in {None, USD} else str(currency)

    def rate(self, name: str, price: Decimal, where: str = "") -> Rate:
        kind = FIELD_KINDS[name]
        units, words = PRICED_PER[kind]
        per = "million tokens" if kind in TOKEN_KINDS else words
        if not price.is_finite() or price < 0:
            raise self.error(
                where + name, f"{price} is no price; expected {self.money} per {per}, 0 or more"
            )
        if kind in TOKEN_KINDS and price > UNITS_PER_TOKEN_MAX * units:
            shown = "USD" if self.money == "US dollars" else self.money
            raise self.error(
                where + name,
                f"{price} is over 1 {shown} for one token; expected {self.money} per {per}",
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


def given_rates(card: PriceCard | StepRates) -> dict[str, Decimal]:
    """Return the rates that a card or a step names, by field."""
    given = {name: getattr(card, name, None) for name in FIELD_KINDS}
    return {name: price for name, price in given.items() if price is not None}


def _pattern(text: str | None) -> str | None:
    return re.sub(r"\*+", "*", text.strip().lower()) if text else None
