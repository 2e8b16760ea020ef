"""What the routes of a configuration must agree on, beyond the types of their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.config.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.config.routes import ModelRoute, RouteTarget
    from tollbook.config.schema import Config

ROUTER_PREFIX: Final = "v1"
"""``/v1/...`` is the router's, so no provider may have this name."""


def check_routes(config: Config, source: str) -> None:
    """Refuse routes that name what does not exist or mix APIs.

    Raises:
        ConfigError: naming the file, the route's field and what to do.
    """
    if ROUTER_PREFIX in config.providers:
        raise ConfigError(
            source,
            f"providers.{ROUTER_PREFIX}",
            "/v1/ is the router's own prefix; give the provider another name",
        )
    _check_defaults(config, source)
    for name, route in config.routes.items():
        _check_route(config, source, f"routes.{name}", route)


def route_dialect(config: Config, route: ModelRoute) -> str:
    """Return the API that a checked route speaks."""
    return route.dialect or config.providers[route.targets[0].provider].dialect


def _check_defaults(config: Config, source: str) -> None:
    default_of: dict[str, str] = {}
    for name, provider in config.providers.items():
        if not provider.default:
            continue
        other = default_of.setdefault(provider.dialect, name)
        if other != name:
            raise ConfigError(
                source,
                f"providers.{name}.default",
                f"{other} is the default of dialect {provider.dialect} already; keep one of them",
            )


def _check_route(config: Config, source: str, key: str, route: ModelRoute) -> None:
    if route.sticky_by is not None and route.strategy != "weighted":
        raise ConfigError(
            source,
            f"{key}.sticky_by",
            f'goes with strategy = "weighted", not with "{route.strategy}"',
        )
    if route.backoff_base_s > route.backoff_max_s:
        raise ConfigError(source, f"{key}.backoff_max_s", "is less than backoff_base_s")
    dialect = route.dialect
    seen: set[tuple[str, str | None]] = set()
    for at, target in _all_targets(route):
        provider = config.providers.get(target.provider)
        if provider is None:
            raise ConfigError(
                source,
                f"{key}.{at}.provider",
                f"no provider {target.provider!r} is configured;"
                f" expected one of {', '.join(sorted(config.providers))}",
            )
        dialect = dialect or provider.dialect
        if provider.dialect != dialect:
            raise ConfigError(
                source,
                f"{key}.{at}.provider",
                f"{target.provider} speaks {provider.dialect}, the route speaks {dialect};"
                " all targets of a route speak one dialect",
            )
        if (target.provider, target.model) in seen:
            raise ConfigError(source, f"{key}.{at}", "stands in this route already")
        seen.add((target.provider, target.model))


def _all_targets(route: ModelRoute) -> Iterator[tuple[str, RouteTarget]]:
    for field, targets in (("targets", route.targets), ("fallbacks", route.fallbacks)):
        for at, target in enumerate(targets):
            yield f"{field}[{at}]", target
