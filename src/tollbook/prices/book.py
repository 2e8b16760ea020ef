"""The price book: which card prices a call of a provider's model at a time."""

from __future__ import annotations

import difflib
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.config.problems import ConfigError
from tollbook.prices.card import scaled_card
from tollbook.prices.contract import Contract, card_without_fx, discounted, own_card
from tollbook.prices.contract_reader import read_contracts
from tollbook.prices.fx import FxTable, day_of, day_window
from tollbook.prices.listprices import (
    BEGINNING_NS,
    END_NS,
    ListPrices,
    Resolved,
    list_provider_ids,
    similar_models,
)
from tollbook.prices.names import ProviderPrices, billed_name, provider_prices
from tollbook.prices.regional import scope_of
from tollbook.prices.tiers import tier_of
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tollbook.config import Config
    from tollbook.config.schema import PriceCard
    from tollbook.prices.card import RateCard
    from tollbook.prices.regional import Scope

_ANSWERS_MAX: Final = 8192
_TEXT_MAX: Final = 512
_DAY_NS: Final = 86_400 * 10**9
_Key = tuple[str, str | None, str | None, str | None]


class BookPrices(NamedTuple):
    """What the books say about prices, as :func:`tollbook.prices.inforce.in_force` read it."""

    contracts: tuple[Contract, ...] = ()
    fx: FxTable = FxTable()


_NO_BOOKS: Final = BookPrices()


class PriceBook:
    """Cards of the books before those of the settings, these before list prices.

    A contract's pattern is held against the model's name and against the list's name for it. Of
    the contract cards that match, the most literal pattern wins, then the later start. A discount
    on a model that the list does not know prices nothing.

    Args:
        config_prices: The entries of ``[[prices]]``.
        source: The file they stand in, for errors.
        providers: For each configured provider name its id in genai-prices, or that with region,
            model names and policy.
        books: what the books say; :meth:`take` puts something newer in its place.

    Raises:
        ConfigError: a card, or the ``list_prices`` of a provider, that cannot be used.
    """

    def __init__(
        self,
        config_prices: Sequence[PriceCard],
        source: str,
        providers: Mapping[str, str | ProviderPrices],
        books: BookPrices = _NO_BOOKS,
    ) -> None:
        self._providers = {
            name: ProviderPrices(one) if isinstance(one, str) else one
            for name, one in providers.items()
        }
        _check_list_ids({name: one.list_id for name, one in self._providers.items()}, source)
        self.of_settings = read_contracts(config_prices, source, self._providers)
        """The cards of the settings, the one that wins first."""
        self._list = ListPrices()
        self._answers: dict[_Key, tuple[int, int, RateCard | None]] = {}
        self._by_day: dict[tuple[_Key, int], tuple[int, int, RateCard | None]] = {}
        self._cards: dict[str, RateCard] = {}
        self._new: list[RateCard] = []
        self.uses_reported = frozenset(
            name for name, one in self._providers.items() if one.uses_reported
        )
        """Providers whose own figure is the cost of a call, where they give one."""
        self.take(books)

    @property
    def providers(self) -> Collection[str]:
        """The configured providers."""
        return self._providers.keys()

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """All cards of the books and of the settings, the one that wins first."""
        return self._contracts

    def take(self, books: BookPrices) -> None:
        """Use what the books say now. Not for use while another thread resolves."""
        both = (*books.contracts, *self.of_settings)
        self._contracts = tuple(sorted(both, key=lambda one: one.precedence, reverse=True))
        self._fx = books.fx
        self._answers.clear()
        self._by_day.clear()

    @classmethod
    def of_config(cls, config: Config, source: str, books: BookPrices = _NO_BOOKS) -> PriceBook:
        """Return the price book of a configuration, and of the books where they are given.

        Raises:
            ConfigError: a card or list name that cannot be used.
        """
        known = list_provider_ids()
        providers = {
            name: provider_prices(name, one, known) for name, one in config.providers.items()
        }
        return cls(config.prices, source, providers, books)

    def resolve(
        self,
        provider: str,
        model: str | None,
        at_ns: int,
        tier: str | None,
        region: str | None = None,
    ) -> RateCard | None:
        """Return the card in force at a time, None where there is none (unpriced).

        Args:
            provider: The configured provider name.
            model: The model that answered, else the one asked for.
            at_ns: The time of the call, nanoseconds since the epoch, UTC.
            tier: As the provider reported it for this call: words joined by ``+``.
            region: Where it was served; None for where the provider's address is.
        """
        answer = self._answers.get((provider, model, tier, region))
        if answer is not None and answer[0] <= at_ns < answer[1]:
            return answer[2]
        if not model or max(map(len, (model, tier or "", region or ""))) > _TEXT_MAX:
            # Such text is no model's name, and is not kept in memory.
            return None
        key = (provider, model, tier, region)
        # Calls that are told late come in any order of days, and a currency has a card for each.
        answer = self._by_day.get((key, at_ns // _DAY_NS))
        if answer is not None and answer[0] <= at_ns < answer[1]:
            self._answers[key] = answer
            return answer[2]
        resolved = self.window(provider, model, at_ns, tier, region)
        if len(self._answers) >= _ANSWERS_MAX or len(self._by_day) >= _ANSWERS_MAX:
            self._answers.clear()
            self._by_day.clear()
        card = resolved.card
        answer = (resolved.from_ns, resolved.until_ns, card)
        self._answers[key] = self._by_day[key, at_ns // _DAY_NS] = answer
        if card is not None and card.card_id not in self._cards:
            self._cards[card.card_id] = card
            self._new.append(card)
        return card

    def card(self, card_id: str) -> RateCard | None:
        """Return a card that was resolved before, by its id."""
        return self._cards.get(card_id)

    def cards_used(self) -> list[RateCard]:
        """Return the cards resolved for the first time since last asked, to keep in the books."""
        new, self._new = self._new, []
        return new

    def window(
        self, provider: str, model: str, at_ns: int, tier: str | None, region: str | None = None
    ) -> Resolved:
        """Return the card with the window of time in which the answer stays the same."""
        words = tier_of(tier)
        settings, named, billed, (from_ns, until_ns) = self._asked(provider, model, at_ns)
        place = region or settings.region
        names = self._names(settings, {model, named, billed})
        matching = self._matching(provider, names, words, place)
        chosen = _first(matching, at_ns)
        resolved = self._priced(chosen, settings, billed, at_ns, words, place)
        edges = [
            edge
            for edge in (
                from_ns,
                until_ns,
                *(end for contract in matching for end in (contract.from_ns, contract.until_ns)),
            )
            if edge is not None
        ]
        return Resolved(
            resolved.card,
            max([resolved.from_ns, *(edge for edge in edges if edge <= at_ns)]),
            min([resolved.until_ns, *(edge for edge in edges if edge > at_ns)]),
        )

    def _matching(
        self, provider: str, names: Sequence[str], tier: str | None, region: str | None
    ) -> list[Contract]:
        return [
            one
            for one in self._contracts
            if one.provider == provider and one.fits(names, tier, region)
        ]

    def candidates(
        self, provider: str, model: str, at_ns: int, tier: str | None, region: str | None = None
    ) -> tuple[Contract | None, list[Contract]]:
        """Return the contract in force for a call, and all that are for such calls at any time.

        The one that wins comes first.
        """
        settings, named, billed, _ = self._asked(provider, model, at_ns)
        names = self._names(settings, {model, named, billed})
        matching = self._matching(provider, names, tier_of(tier), region or settings.region)
        return _first(matching, at_ns), matching

    def similar(self, provider: str, model: str) -> list[tuple[str, str]]:
        """Return models of the price list whose names are like one, the nearest first.

        Those of the provider come before those of all others.

        Returns:
            Pairs of the list's provider id and the list's name of the model.
        """
        settings = self._providers.get(provider) or ProviderPrices(provider)
        own = self._lists(settings)
        found = similar_models(own, model)
        return found or similar_models(sorted(list_provider_ids() - set(own)), model)

    def list_card(self, list_id: str, model: str, at_ns: int, tier: str | None) -> RateCard | None:
        """Return a price of the list by the list's own names, None where it has none."""
        return self._list.resolve(list_id, model, at_ns, tier_of(tier)).card

    def named(self, name: str, at_ns: int) -> RateCard | None:
        """Return the rates of a card of the books by its name, None where it has none of its own.

        Args:
            name: of the card.
            at_ns: when, nanoseconds since the epoch, UTC.
        """
        for one in self._contracts:
            if one.name == name and one.document is not None and one.covers(at_ns):
                return None if one.rates is None else self._own(one, at_ns, None, None).card
        return None

    def _asked(
        self, provider: str, model: str, at_ns: int
    ) -> tuple[ProviderPrices, str, str, tuple[int | None, int | None]]:
        """Return what is configured, the model's name for people and for the list, and when so."""
        settings = self._providers.get(provider) or ProviderPrices(provider)
        named = settings.models.get(model) or settings.models.get(model.rpartition("/")[2]) or model
        billed, from_ns, until_ns = billed_name(settings.list_id, named, at_ns)
        return settings, named, billed, (from_ns, until_ns)

    def listed(
        self, provider: str, model: str, at_ns: int, tier: str | None, region: str | None = None
    ) -> RateCard | None:
        """Return the list price, whatever contracts say; None where the list has none."""
        settings, _, billed, _ = self._asked(provider, model, at_ns)
        place = region or settings.region
        return self._listed(settings, billed, at_ns, tier_of(tier), place).card

    def _names(self, settings: ProviderPrices, models: set[str]) -> list[str]:
        """Return the names that a contract may have meant: those of the call and the list's.

        Providers answer with a dated name (``gpt-4o-2024-08-06``) where contracts and price lists
        say ``gpt-4o``; a contract that named the model as the list does must not be passed over.
        """
        listed = {
            self._list.model_id(one, model) for model in models for one in self._lists(settings)
        }
        return sorted({one.lower() for one in (*models, *listed) if one is not None})

    def _lists(self, settings: ProviderPrices) -> tuple[str, ...]:
        return (settings.list_id, *self._list.lenders(settings.list_id))

    def _priced(
        self, chosen: Contract | None, settings: ProviderPrices, model: str, at_ns: int,
        tier: str | None, region: str | None,
    ) -> Resolved:  # fmt: skip
        if chosen is not None and chosen.rates is not None:
            return self._own(chosen, at_ns, tier, region)
        listed = self._listed(settings, model, at_ns, tier, region)
        if chosen is None or listed.card is None:
            return listed
        return listed._replace(card=discounted(chosen, listed.card))

    def _own(self, chosen: Contract, at_ns: int, tier: str | None, region: str | None) -> Resolved:
        if chosen.currency is None:
            return Resolved(own_card(chosen, tier, region), BEGINNING_NS, END_NS)
        fx = self._fx.rate(chosen.currency, at_ns)
        if fx is None:
            card = card_without_fx(chosen, tier, day_of(at_ns).isoformat())
        else:
            card = own_card(chosen, tier, region, fx)
        return Resolved(card, *day_window(at_ns))

    def _listed(
        self, settings: ProviderPrices, model: str, at_ns: int, tier: str | None,
        region: str | None,
    ) -> Resolved:  # fmt: skip
        """Return the list price for the region; a lender's where the list has not the model."""
        for list_id in self._lists(settings):
            find = partial(self._list.model_id, list_id)
            scope = scope_of(settings.list_id, model, region, find)
            resolved = self._list.resolve(list_id, scope.name, at_ns, tier)
            if resolved.card is not None:
                is_lent = list_id != settings.list_id
                return resolved._replace(card=_in_region(resolved.card, scope, region, is_lent))
        return Resolved(None, BEGINNING_NS, END_NS)


def _first(matching: Sequence[Contract], at_ns: int) -> Contract | None:
    return next((one for one in matching if not one.is_withdrawn and one.covers(at_ns)), None)


def _in_region(card: RateCard, scope: Scope, region: str | None, is_lent: bool) -> RateCard:  # noqa: FBT001 -- private, one caller
    cautions = list(card.cautions)
    if is_lent:
        cautions.append(f"the price list has this model at {card.provider} only; its price is used")
    if not scope.is_known:
        where = f" in {region}" if region else " with this profile"
        cautions.append(f"the list price of another region is used: none is known{where}")
    if scope.factor is None and len(cautions) == len(card.cautions):
        return card
    changes: dict[str, object] = {"cautions": tuple(cautions), "region": region}
    if scope.factor is not None:
        changes |= {
            "basis": f"{_decimal(scope.factor)} x the list price of tokens",
            "reason": scope.reason,
        }
    return scaled_card(card, scope.factor or Fraction(1), kinds=TOKEN_KINDS, **changes)


def _decimal(factor: Fraction) -> str:
    return f"{(Decimal(factor.numerator) / factor.denominator).normalize():f}"


def _check_list_ids(provider_list_ids: Mapping[str, str], source: str) -> None:
    known = list_provider_ids()
    for name, list_id in provider_list_ids.items():
        if list_id not in known and list_id != name:
            near = difflib.get_close_matches(list_id, sorted(known), n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else f"expected one of {', '.join(sorted(known))}"
            )
            raise ConfigError(
                source, f"providers.{name}.list_prices",
                f"no list prices for {list_id!r}; {hint}",
            )  # fmt: skip
