"""Which provider a request goes to, by its host; which API that speaks."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import structs

from tollbook.config.known_providers import KNOWN_PROVIDERS
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.dialects.base import Dialect, Route

_MAX_CACHED_ROUTES: Final = 1024
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Maker(NamedTuple):
    """What requests of a client are taken for where the host does not tell."""

    provider: str
    dialect: str
    asks_for_usage: bool = True
    """Whether its streams may be asked for usage; some servers refuse to be."""


MAKERS: Final = {
    "openai": Maker("openai", "openai"),
    "anthropic": Maker("anthropic", "anthropic"),
    "azure": Maker("azure", "azure"),
    "bedrock": Maker("bedrock", "bedrock"),
} | {
    known.name: Maker(known.name, known.dialect, known.inject_stream_usage)
    for known in KNOWN_PROVIDERS
}
"""Every provider that is known by name."""


class Place(NamedTuple):
    """What a host says of itself."""

    maker: Maker
    base_path: str = ""
    """What its address has before the part that clients add."""
    region: str | None = None


_HOSTS: Final = {
    "api.openai.com": Place(MAKERS["openai"]),
    "eu.api.openai.com": Place(MAKERS["openai"], region="eu"),
    "us.api.openai.com": Place(MAKERS["openai"], region="us"),
    "api.anthropic.com": Place(MAKERS["anthropic"]),
    "api.eu.mistral.ai": Place(MAKERS["mistral"], region="eu"),
    "api.us.mistral.ai": Place(MAKERS["mistral"], region="us"),
    "api.cohere.ai": Place(MAKERS["cohere"]),
    "api.together.xyz": Place(MAKERS["together"]),
} | {
    urlsplit(known.base_url).hostname or "": Place(
        MAKERS[known.name], urlsplit(known.base_url).path
    )
    for known in KNOWN_PROVIDERS
    if urlsplit(known.base_url).hostname not in _LOOPBACK
}
_PATTERNS: Final = (
    (re.compile(r"[\w-]+\.(?:openai|cognitiveservices|services\.ai)\.azure\.com"), "azure"),
    (re.compile(r"bedrock-runtime(?:-fips)?\.(?P<region>[\w-]+)\.amazonaws\.com"), "bedrock"),
    (re.compile(r"(?P<region>[\w-]+)-aiplatform(?:\.mtls)?\.googleapis\.com"), "vertex"),
    (re.compile(r"aiplatform\.(?P<region>[\w-]+)\.rep\.googleapis\.com"), "vertex"),
)  # fmt: skip


@lru_cache(maxsize=1024)
def place_of(host: str) -> Place | None:
    """Return what is known of a host (lower case), None for a stranger."""
    place = _HOSTS.get(host)
    if place is not None:
        return place
    for pattern, name in _PATTERNS:
        match = pattern.fullmatch(host)
        if match is not None:
            return Place(MAKERS[name], region=match.groupdict().get("region"))
    return None


class Target:
    """One provider as the harness needs it, with the routes that were asked for."""

    __slots__ = (
        "_routes",
        "asks_for_usage",
        "base_path",
        "dialect",
        "is_guess",
        "provider",
        "region",
    )

    def __init__(
        self, provider: str, dialect: Dialect, base_path: str = "", region: str | None = None,
        *, is_guess: bool = False, asks_for_usage: bool = True,
    ) -> None:  # fmt: skip
        self.provider = provider
        self.dialect = dialect
        self.base_path = base_path
        self.region = region
        self.asks_for_usage = asks_for_usage
        self.is_guess = is_guess
        """Whether only what looks like a call to a model is taken for one."""
        self._routes: dict[tuple[str, str], Route] = {}

    def route(self, method: str, path: str) -> Route:
        """Return how an endpoint is treated."""
        key = (method, path)
        route = self._routes.get(key)
        if route is None:
            route = self.dialect.route(method, path)
            if route.region is None and self.region is not None:
                route = structs.replace(route, region=self.region)
            if len(self._routes) < _MAX_CACHED_ROUTES:
                self._routes[key] = route
        return route


class Targets:
    """The targets of one client, by host."""

    def __init__(
        self, maker: Maker | None, *, provider: str | None = None, dialect: str | None = None,
        region: str | None = None, is_guest: bool = False,
    ) -> None:  # fmt: skip
        """Take what the client's maker is, and what its user says instead.

        Args:
            maker: of the client.
            provider: the name to book under.
            dialect: the API that is spoken.
            region: where the client is set to have its requests served.
            is_guest: the client sends requests of other kinds too, to hosts of all sorts.

        Raises:
            UnknownDialectError: a dialect that there is not.
        """
        self._region = region
        self._is_guest = is_guest
        self._maker = maker
        self._provider = provider
        self._dialect = None if dialect is None else dialect_named(dialect)
        self._known: dict[str, Target | None] = {}

    def of(self, host: str) -> Target | None:
        """Return where a request to a host goes; None: it is no business of ours."""
        try:
            return self._known[host]
        except KeyError:
            target = self._made(host.lower())
            if len(self._known) < _MAX_CACHED_ROUTES:
                self._known[host] = target
            return target

    def is_known(self, host: str) -> bool:
        """Whether it is certain which provider a host is."""
        return self._provider is not None or self._is_guest or place_of(host.lower()) is not None

    def _made(self, host: str) -> Target | None:
        place = place_of(host)
        maker = self._maker if place is None else place.maker
        if self._provider is not None:
            named = MAKERS.get(self._provider) or maker or MAKERS["openai"]
            maker = named._replace(provider=self._provider)
        if maker is None:
            return None
        return Target(
            maker.provider,
            self._dialect or dialect_named(maker.dialect),
            "" if place is None else place.base_path,
            (None if place is None else place.region) or self._region,
            is_guess=self._is_guest and place is None,
            asks_for_usage=maker.asks_for_usage,
        )
