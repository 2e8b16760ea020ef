"""A route as the hot path needs it: its targets, their order, its policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tollbook.capture.gateway.routing.policy import retry_policy
from tollbook.capture.gateway.routing.strategy import Order
from tollbook.capture.gateway.routing.target import Target
from tollbook.config.routes import Breaker, ModelRoute, RouteTarget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from tollbook.call import CallOpened
    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.capture.gateway.routing.strategy import PriceOf

_NO_BREAKER: Final = Breaker(failures=0)


class Plan:
    """The targets and the policy of one route, or of one provider with retries."""

    __slots__ = ("fallbacks", "is_single_origin", "order", "policy", "route_name", "targets")

    def __init__(
        self,
        route_name: str | None,
        route: ModelRoute,
        upstreams: Mapping[str, Upstream],
        price_of: PriceOf | None = None,
    ) -> None:
        self.route_name = route_name
        """None for a provider's own prefix."""
        self.targets = tuple(
            Target(upstreams[each.provider], each, route.breaker) for each in route.targets
        )
        self.fallbacks = tuple(
            Target(upstreams[each.provider], each, route.breaker) for each in route.fallbacks
        )
        self.order = Order(self.targets, route.strategy, route.sticky_by, price_of)
        self.policy = retry_policy(route)
        every = (*self.targets, *self.fallbacks)
        origins = {urlsplit(each.upstream.settings.base_url)[:2] for each in every}
        self.is_single_origin = len(origins) == 1
        """Whether a caller's own key reaches only the server that it is for."""

    def plan_for(self, model: str | None) -> Plan | Refusal:
        """Return this plan, whatever the model."""
        del model
        return self

    def ordered(self, opened: CallOpened, random: Random, now: float) -> list[Target]:
        """Return the targets for a request; those whose provider asked for a pause come last."""
        order = self.order.of(opened, random)
        if len(order) > 1:
            order.sort(key=lambda target: target.rests_until > now)
        return order


def provider_plan(upstream: Upstream, retries: int | None = None) -> Plan | None:
    """Return the retries of a provider's own prefix, None where its settings ask for none.

    ``retries`` goes before what the settings ask for, and makes a plan also of 0.
    """
    if retries is None:
        retries = upstream.settings.retries
        if not retries:
            return None
    route = ModelRoute(
        models=["*"],
        targets=[RouteTarget(provider=upstream.name)],
        retries=retries,
        fallback_on=[],
        breaker=_NO_BREAKER,
    )
    return Plan(None, route, {upstream.name: upstream})
