"""``/v1/...``: which API a request speaks, and which route or provider serves it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING, Final

from tollbook.call import Metering
from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.routing.plan import Plan, provider_plan
from tollbook.config.route_checks import ROUTER_PREFIX, route_dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tollbook.capture.gateway.admission import Admission, Admitted
    from tollbook.capture.gateway.framing import Framing
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.capture.gateway.routing.strategy import PriceOf
    from tollbook.capture.gateway.routing.target import Target
    from tollbook.config import Config
    from tollbook.dialects.base import Dialect, Header, Route

KEY_MISSING: Final = "provider_key_missing"
"""Error type of a call for which the gateway has no provider key."""
_PREFIX: Final = b"/" + ROUTER_PREFIX.encode() + b"/"
_ANTHROPIC_PATHS: Final = (b"/v1/messages", b"/v1/complete?", b"/v1/complete")
_ANTHROPIC_HEADER: Final = b"anthropic-version"
_MAX_MODELS: Final = 4096


class DialectRoutes:
    """The routes and providers of one dialect."""

    def __init__(
        self, dialect: Dialect, routes: Sequence[tuple[Sequence[str], Plan]],
        providers: Sequence[Upstream], own_plans: Mapping[str, Plan],
    ) -> None:  # fmt: skip
        self.dialect = dialect
        self._routes = tuple(routes)
        chosen = [each for each in providers if each.settings.default]
        self.default: Upstream | None = None
        """Serves what no route matches."""
        if chosen or len(providers) == 1:
            self.default = (chosen or providers)[0]
        self._default_plan: Plan | Refusal | None = None
        if self.default is not None:
            own = own_plans.get(self.default.name)
            self._default_plan = own or provider_plan(self.default, retries=0)
        self._providers = providers
        first = [plan.targets[0].upstream for _, plan in self._routes]
        default = [] if self.default is None else [self.default]
        self.leads = list(dict.fromkeys([*first, *default, *providers]))
        """Providers whose rules a head is read by before the model is known."""
        self._by_model: dict[str, Plan | Refusal] = {}

    @property
    def has_routes(self) -> bool:
        """Whether any route speaks this dialect."""
        return bool(self._routes)

    def plan_for(self, model: str | None) -> Plan | Refusal:
        """Return the first route that serves a model, else the default provider, else a refusal."""
        if model is None:
            return self._default_plan or self.no_route(None)
        found = self._by_model.get(model)
        if found is None:
            found = self._found(model)
            if len(self._by_model) < _MAX_MODELS:
                self._by_model[model] = found
        return found

    def models(self) -> list[str]:
        """Return the models that routes name without a pattern, in their order."""
        names = [name for patterns, _ in self._routes for name in patterns]
        return [name for name in dict.fromkeys(names) if not set("*?[") & set(name)]

    def serves(self, model: str) -> bool:
        """Return whether a route serves a model."""
        return any(_matches(model, patterns) for patterns, _ in self._routes)

    def no_route(self, model: str | None) -> Refusal:
        """Return the refusal of what nothing here serves; it says what to configure."""
        what = "this path" if model is None else f"model {model!r}"
        names = ", ".join(f"[providers.{each.name}]" for each in self._providers)
        one = f"set default = true in one of {names}" if names else "configure a provider"
        route = "" if model is None else "add the model to models of a [routes.NAME], or "
        return Refusal(404, "no_route", f"no route serves {what} under /v1/; {route}{one}")

    def _found(self, model: str) -> Plan | Refusal:
        for patterns, plan in self._routes:
            if _matches(model, patterns):
                return plan
        return self._default_plan or self.no_route(model)


class HeadRoutes:
    """The routes for one head, which may be that of many requests."""

    __slots__ = ("_routes", "by_target")

    def __init__(self, routes: DialectRoutes) -> None:
        self._routes = routes
        self.by_target: dict[Target, Admitted] = {}
        """The head by the rules of the targets that it was sent to, where nothing refused it."""

    def plan_for(self, model: str | None) -> Plan | Refusal:
        """Return what serves a model, or why nothing does."""
        return self._routes.plan_for(model)


class Router:
    """The routes of one worker, and the retries of its providers.

    Args:
        config: checked settings.
        upstreams: the configured providers.
        dialect_named: for APIs that no provider here speaks, so that they are refused in shape.
        price_of: list prices, for routes ordered by cost.
    """

    def __init__(
        self,
        config: Config,
        upstreams: Mapping[str, Upstream],
        dialect_named: Callable[[str], Dialect],
        price_of: PriceOf | None = None,
    ) -> None:
        self.random = Random()  # noqa: S311 -- spreads load, keeps no secret
        plans = [(name, provider_plan(each)) for name, each in upstreams.items()]
        self.own_plans: dict[str, Plan] = {name: plan for name, plan in plans if plan is not None}
        """Retries under a provider's own prefix."""
        self._plans = {
            name: Plan(name, route, upstreams, price_of) for name, route in config.routes.items()
        }
        self._sides: dict[str, DialectRoutes] = {}
        names = {"openai", "anthropic"} | {each.dialect.name for each in upstreams.values()}
        for dialect in sorted(names):
            self._sides[dialect] = DialectRoutes(
                dialect_named(dialect),
                [
                    (route.models, self._plans[name])
                    for name, route in config.routes.items()
                    if route_dialect(config, route) == dialect
                ],
                [each for each in upstreams.values() if each.dialect.name == dialect],
                self.own_plans,
            )
        # The OpenAI API is asked last: its paths are many, and others' servers take them too.
        self._asked = [
            side for name, side in self._sides.items() if name not in {"openai", "anthropic"}
        ]

    def side_of(
        self, method: str, target: bytes, headers: Iterable[Header]
    ) -> DialectRoutes | None:
        """Return the dialect that a request under ``/v1/`` speaks, None for any other path."""
        if not target.startswith(_PREFIX):
            return None
        if target.startswith(_ANTHROPIC_PATHS) or any(
            name == _ANTHROPIC_HEADER for name, _ in headers
        ):
            return self._sides["anthropic"]
        openai = self._sides["openai"]
        path = target.partition(b"?")[0].decode("ascii")
        if not may_repeat(openai.dialect.route(method, path)):
            for side in self._asked:
                if may_repeat(side.dialect.route(method, path)):
                    return side
        return openai

    def at_head(
        self,
        admission: Admission,
        method: str,
        target: bytes,
        headers: Sequence[Header],
        framing: Framing,
    ) -> Admitted | None:
        """Return what becomes of a request under ``/v1/``, None when the gateway answers it.

        What names its model in the body is read by the rules of some provider first, and by those
        of the target when that is known.
        """
        side = self.side_of(method, target, headers)
        if side is None or not side.leads:
            return None
        path = target.partition(b"?")[0]
        if side.has_routes and may_repeat(side.leads[0].route(method, path)):
            admitted = None
            for lead in side.leads:
                admitted = admission.at_upstream(lead, method, target, headers, framing)
                if admitted.refusal is None or admitted.refusal.error_type != KEY_MISSING:
                    break
            assert admitted is not None
            return admitted._replace(routing=HeadRoutes(side))
        if side.default is None or (side.has_routes and is_models(method, path)):
            return None
        return admission.at_upstream(side.default, method, target, headers, framing)

    def retries_of(self, upstream: Upstream, route: Route) -> Plan | None:
        """Return what a provider's own prefix does about failures, None for nothing."""
        if not self.own_plans or not may_repeat(route):
            return None
        return self.own_plans.get(upstream.name)

    def is_socket(self, target: bytes) -> bool:
        """Return whether a request target is the address of a WebSocket of a default provider."""
        side = self.side_of("GET", target, ())
        if side is None or side.default is None:
            return False
        return side.default.route("GET", target.partition(b"?")[0]).is_socket

    def targets(self) -> list[tuple[str, Target]]:
        """Return all targets with the name of their route (empty: a provider's own prefix)."""
        plans = [*self._plans.values(), *self.own_plans.values()]
        return [
            (plan.route_name or "", target)
            for plan in plans
            for target in (*plan.targets, *plan.fallbacks)
        ]


def may_repeat(route: Route) -> bool:
    """Return whether a request may be sent again: it generates, and is whole in memory."""
    return route.metering is Metering.METERED and route.inspects_body


def _matches(model: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def is_models(method: str, path: bytes) -> bool:
    """Return whether a request asks which models there are, or for one of them."""
    return method in {"GET", "HEAD"} and (path == b"/v1/models" or path.startswith(b"/v1/models/"))
