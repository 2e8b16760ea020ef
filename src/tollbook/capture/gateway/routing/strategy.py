"""The order in which the targets of a route are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.capture.gateway.routing.rendezvous import by_rendezvous, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tollbook.call import CallOpened
    from tollbook.capture.gateway.routing.target import Target
    from tollbook.config.routes import StickyBy, Strategy

EXPLORED: Final = 0.05
"""Share of requests that go to a target other than the fastest, to learn how it does now."""
_CHARS_PER_TOKEN: Final = 4
_MAX_PRICES: Final = 1024
_TOKENS_OUT: Final = 500
"""Assumed where a request sets no limit; the order needs no better guess."""


class ListPrice(NamedTuple):
    """What a model costs, in 10^-12 USD per million tokens."""

    input_pico: int
    output_pico: int


if TYPE_CHECKING:
    PriceOf = Callable[[str, str], ListPrice | None]
    """By configured provider and model; None is unknown."""


class Order:
    """The ``strategy`` of one route."""

    __slots__ = ("_by", "_labels", "_price_of", "_prices", "_sticky_by", "_targets", "_weights")

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        sticky_by: StickyBy | None = None,
        price_of: PriceOf | None = None,
    ) -> None:
        self._targets = targets
        self._sticky_by = sticky_by
        self._price_of = price_of
        self._prices: dict[tuple[str, str], ListPrice | None] = {}
        self._weights = [target.weight for target in targets]
        self._labels = [target.label for target in targets]
        self._by = {
            "weighted": self._by_weight,
            "latency": self._by_latency,
            "cost": self._by_cost,
            "ordered": self._as_listed,
        }[strategy]

    def of(self, opened: CallOpened, random: Random) -> list[Target]:
        """Return all targets in the order for one request, whether they work or not."""
        if len(self._targets) == 1:
            return [self._targets[0]]
        return self._by(opened, random)

    def _as_listed(self, opened: CallOpened, random: Random) -> list[Target]:
        del opened, random
        return list(self._targets)

    def _by_weight(self, opened: CallOpened, random: Random) -> list[Target]:
        key = None if self._sticky_by is None else _sticky_key(opened, self._sticky_by)
        if key is None:
            order = shuffled(self._weights, random)
        else:
            order = by_rendezvous(key, self._labels, self._weights)
        return [self._targets[at] for at in order]

    def _by_latency(self, opened: CallOpened, random: Random) -> list[Target]:
        del opened
        order = sorted(self._targets, key=_expected_s)
        if random.random() < EXPLORED:
            order.insert(0, order.pop(random.randrange(1, len(order))))
        return order

    def _by_cost(self, opened: CallOpened, random: Random) -> list[Target]:
        del random
        tokens_in = opened.input_chars // _CHARS_PER_TOKEN
        tokens_out = opened.max_output_tokens or _TOKENS_OUT
        requested = opened.model_requested or ""

        def cost(target: Target) -> tuple[bool, int]:
            price = self._price(target.upstream.name, target.model or requested)
            if price is None:
                return True, 0  # unknown is not cheap
            return False, tokens_in * price.input_pico + tokens_out * price.output_pico

        return sorted(self._targets, key=cost)

    def _price(self, provider: str, model: str) -> ListPrice | None:
        key = provider, model
        if key not in self._prices:
            if len(self._prices) >= _MAX_PRICES:
                self._prices.clear()
            self._prices[key] = None if self._price_of is None else self._price_of(provider, model)
        return self._prices[key]


def _expected_s(target: Target) -> float:
    """Return the time to first byte to reckon with; one request at a time finds it out."""
    if target.latency_s is not None:
        return target.latency_s
    return float("inf") if target.in_flight else -1.0


def _sticky_key(opened: CallOpened, sticky_by: StickyBy) -> str | None:
    identity = opened.identity
    if sticky_by == "key":
        return identity.api_key_id
    if sticky_by == "tenant" or identity.user_id is None:
        return identity.tenant_id
    return f"{identity.tenant_id or ''}\n{identity.user_id}"
