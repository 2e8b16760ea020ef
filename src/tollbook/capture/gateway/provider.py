"""One configured provider as the hot path needs it: everything parsed and encoded beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import structs

from tollbook.capture.gateway.credentials.aws import region_of_host
from tollbook.capture.gateway.credentials.build import has_own_key, plain_key, signer_for
from tollbook.capture.gateway.credentials.fixed import fixed_lines, replaced_with_key
from tollbook.capture.gateway.dialer import Dialer, tls_context
from tollbook.capture.gateway.headers import RequestHeaderRules
from tollbook.capture.gateway.pool import Pool
from tollbook.capture.gateway.tagging import tagger_for
from tollbook.identity import reaches_provider

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from tollbook.capture.gateway.credentials.base import Signer
    from tollbook.capture.gateway.tagging import Tagger
    from tollbook.capture.gateway.wheel import Wheel
    from tollbook.config.schema import DisconnectPolicy, Provider
    from tollbook.dialects.base import Dialect, Route

_MAX_CACHED_ROUTES: Final = 1024


class Upstream:
    """A provider with its dialect, its key and its connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wheel: Wheel,
        name: str,
        settings: Provider,
        dialect: Dialect,
        *,
        policy: DisconnectPolicy,
        environ: Mapping[str, str],
        secret: bytes = b"",
    ) -> None:
        self.name = name
        self.settings = settings
        self.dialect = dialect
        self.policy = settings.client_disconnect or policy
        url = urlsplit(settings.base_url)
        is_tls = url.scheme == "https"
        host, port = url.hostname or "", url.port or (443 if is_tls else 80)
        self.path_prefix = url.path.rstrip("/").encode("ascii")
        self.host = url.netloc.rpartition("@")[2].encode("idna")
        self.region = settings.aws_region or region_of_host(host)
        """Where it serves, if its address says so; prices differ by region."""
        self.host_line = b" HTTP/1.1\r\nhost: %b\r\n" % self.host
        tls = tls_context(name, settings.ca_file) if is_tls else None
        self.dialer = Dialer(loop, host, port, tls, settings.connect_timeout_s)
        self.pool = Pool(loop, self.dialer, wheel, settings)
        replaced = replaced_with_key(settings)
        self.rules = RequestHeaderRules(
            lambda header: dialect.is_credential(header) or header in replaced, reaches_provider
        )
        self.has_own_key = has_own_key(settings)
        """Whether callers may come without a key of the provider."""
        self.plain_key = plain_key(settings, dialect, environ)
        self.signer: Signer | None = signer_for(name, settings, dialect, environ, loop)
        """What gives each request its credential, where ``key_lines`` is not enough."""
        self.tagger: Tagger | None = tagger_for(name, settings, dialect, secret)
        """What is told of whose call it is; None: nothing."""
        self.fixed_lines = fixed_lines(settings)
        """Headers of the settings, for all calls but those with a caller's own key."""
        self.key_lines: bytes | None = self.fixed_lines
        """What replaces a virtual key: the provider's key and the headers of the settings; None
        when its variable is not set."""
        if self.plain_key is not None:
            plain = self.plain_key.lines
            self.key_lines = None if plain is None else plain + self.fixed_lines
        self._routes: dict[tuple[str, bytes], Route] = {}

    def route(self, method: str, path: bytes) -> Route:
        """Return how an endpoint is treated; remembered for the paths seen first."""
        key = (method, path)
        route = self._routes.get(key)
        if route is None:
            route = self.dialect.route(method, path.decode("ascii"))
            if self.signer is not None and self.signer.signs_body and not route.inspects_body:
                route = structs.replace(route, inspects_body=True)  # a signature covers the body
            if route.region is None and self.region is not None:
                route = structs.replace(route, region=self.region)
            if len(self._routes) < _MAX_CACHED_ROUTES:
                self._routes[key] = route
        return route
