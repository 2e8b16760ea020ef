"""The price book: which card prices a call of a provider's model at a time."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from tollbook.config.problems import ConfigError
from tollbook.prices.contract import Contract, discounted, own_card, read_contracts
from tollbook.prices.listprices import (
    BEGINNING_NS,
    END_NS,
    ListPrices,
    Resolved,
    list_provider_ids,
    standard_tier,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.config.schema import PriceCard
    from tollbook.prices.card import RateCard

_ANSWERS_MAX = 8192
_NAME_MAX = 256
_Key = tuple[str, str | None, str | None]


class PriceBook:
    """Contract cards before list prices.

    A contract's pattern is held against the model's name and against the list's name for it. Of
    the contract cards that match, the most literal pattern wins, then the later start. A discount
    on a model that the list does not know prices nothing.

    Args:
        config_prices: The entries of ``[[prices]]``.
        source: The file they stand in, for errors.
        provider_list_ids: For each configured provider name, its id in genai-prices (its own
            name where the configuration sets no ``list_prices``).

    Raises:
        ConfigError: a card, or the ``list_prices`` of a provider, that cannot be used.
    """

    def __init__(
        self,
        config_prices: Sequence[PriceCard],
        source: str,
        provider_list_ids: Mapping[str, str],
    ) -> None:
        _check_list_ids(provider_list_ids, source)
        self._contracts = read_contracts(config_prices, source, provider_list_ids)
        self._list_ids = dict(provider_list_ids)
        self._list = ListPrices()
        self._answers: dict[_Key, tuple[int, int, RateCard | None]] = {}
        self._seen: set[str] = set()
        self._new: list[RateCard] = []

    def resolve(
        self, provider: str, model: str | None, at_ns: int, service_tier: str | None
    ) -> RateCard | None:
        """Return the card in force at a time, None where there is none (unpriced).

        Args:
            provider: The configured provider name.
            model: The model that answered, else the one asked for.
            at_ns: The time of the call, nanoseconds since the epoch, UTC.
            service_tier: As the provider reported it for this call.
        """
        answer = self._answers.get((provider, model, service_tier))
        if answer is not None and answer[0] <= at_ns < answer[1]:
            return answer[2]
        if not model or len(model) > _NAME_MAX or len(service_tier or "") > _NAME_MAX:
            # Such text is no model's name, and is not kept in memory.
            return None
        resolved = self.window(provider, model, at_ns, service_tier)
        if len(self._answers) >= _ANSWERS_MAX:
            self._answers.clear()
        card = resolved.card
        self._answers[provider, model, service_tier] = (resolved.from_ns, resolved.until_ns, card)
        if card is not None and card.card_id not in self._seen:
            self._seen.add(card.card_id)
            self._new.append(card)
        return card

    def cards_used(self) -> list[RateCard]:
        """Return the cards resolved for the first time since last asked, to keep in the books."""
        new, self._new = self._new, []
        return new

    def window(self, provider: str, model: str, at_ns: int, service_tier: str | None) -> Resolved:
        """Return the card with the window of time in which the answer stays the same."""
        tier = standard_tier(service_tier)
        matching = self._matching(provider, model)
        chosen = next((contract for contract in matching if contract.covers(at_ns)), None)
        resolved = self._priced(chosen, provider, model, at_ns, tier)
        edges = [edge for contract in matching
                 for edge in (contract.from_ns, contract.until_ns) if edge is not None]  # fmt: skip
        return Resolved(
            resolved.card,
            max([resolved.from_ns, *(edge for edge in edges if edge <= at_ns)]),
            min([resolved.until_ns, *(edge for edge in edges if edge > at_ns)]),
        )

    def _matching(self, provider: str, model: str) -> list[Contract]:
        """Return the contracts for a model, by its name or by the list's name for it.

        Providers answer with a dated name (``gpt-4o-2024-08-06``) where contracts and price lists
        say ``gpt-4o``; a contract that named the model as the list does must not be passed over.
        """
        names = [model.lower()]
        listed = self._list.model_id(self._list_ids.get(provider, provider), model)
        if listed is not None and listed.lower() != names[0]:
            names.append(listed.lower())
        return [
            contract
            for contract in self._contracts
            if contract.provider == provider and any(map(contract.pattern.fullmatch, names))
        ]

    def _priced(
        self, chosen: Contract | None, provider: str, model: str, at_ns: int, tier: str | None
    ) -> Resolved:
        if chosen is not None and chosen.rates is not None:
            return Resolved(own_card(chosen, tier), BEGINNING_NS, END_NS)
        list_id = self._list_ids.get(provider, provider)
        listed = self._list.resolve(list_id, model, at_ns, tier)
        if chosen is None or listed.card is None:
            return listed
        return listed._replace(card=discounted(chosen, listed.card))


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
