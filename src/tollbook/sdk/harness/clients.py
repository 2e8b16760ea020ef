"""Where the official clients have their HTTP transport."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from tollbook.errors import TollbookError
from tollbook.sdk.harness.boto import LookingSession
from tollbook.sdk.harness.early import tell_early
from tollbook.sdk.harness.targets import MAKERS, Maker, Targets
from tollbook.sdk.harness.transport import Settings, async_transport, sync_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tollbook.sdk.harness.options import Options


class UnknownClientError(TollbookError):
    """Something that the harness cannot instrument."""

    def __init__(self, client: object) -> None:
        kind = type(client)
        super().__init__(
            f"wrap(): {kind.__module__}.{kind.__qualname__} is no client that can be instrumented;"
            f" give one of {', '.join(sorted(_ADAPTERS))}"
        )


def instrument(client: Any, options: Options) -> None:
    """Put the harness between a client and the network.

    Raises:
        UnknownClientError: there is no way to.
        UnknownDialectError: a dialect that there is not.
    """
    package = _package_of(client)
    adapter = _ADAPTERS.get(package)
    if adapter is None:
        raise UnknownClientError(client)
    try:
        adapter(client, options)
    except AttributeError:  # of a package that has clients, but not one of them
        raise UnknownClientError(client) from None


def _package_of(client: object) -> str:
    if any(kind.__module__.partition(".")[0] in _HTTP for kind in type(client).__mro__):
        return "httpx"  # one that a provider's package has made its own of, too
    for kind in type(client).__mro__:  # an application may have a subclass of its own
        parts = kind.__module__.split(".")
        name = ".".join(parts[:2]) if parts[0] == "google" else parts[0]
        if name in _ADAPTERS:
            return name
    return ""


def look_on(http_client: Any, maker: Maker | None, options: Options) -> None:
    """Wrap the transports of an HTTP client of httpx or httpx2."""
    targets = Targets(maker, provider=options.provider, dialect=options.dialect)
    settings = Settings(targets, options, http_client)
    module = _http_module(http_client)
    is_async = isinstance(http_client, module.AsyncClient)
    kind = async_transport(module) if is_async else sync_transport(module)
    http_client._transport = _around(http_client._transport, kind, settings)  # noqa: SLF001 -- no public way
    mounts = http_client._mounts  # noqa: SLF001 -- as above
    for pattern, transport in mounts.items():
        if transport is not None:
            mounts[pattern] = _around(transport, kind, settings)


def _around(transport: Any, kind: Any, settings: Settings) -> Any:
    if type(transport) is kind:
        transport.settings = settings
        return transport
    return kind(transport, settings)


def _http_module(http_client: object) -> Any:
    for kind in type(http_client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in _HTTP:
            return sys.modules[name]
    raise UnknownClientError(http_client)


def _stainless(maker: str) -> Callable[[Any, Options], None]:
    """Return what instruments clients that Stainless generates."""

    def adapter(client: Any, options: Options) -> None:
        # AzureOpenAI, AsyncAnthropicVertex, ..., and an application's own of those
        names = [kind.__name__ for kind in type(client).__mro__ if _is_of(kind, maker)]
        kind = next((known for mark, known in _CLOUDS for name in names if mark in name), maker)
        look_on(client._client, MAKERS[kind], options)  # noqa: SLF001 -- it has no public name
        tell_early(client._client)  # noqa: SLF001 -- as above

    return adapter


def _is_of(kind: type, package: str) -> bool:
    return kind.__module__.partition(".")[0] == package


_HTTP: Final = frozenset({"httpx", "httpx2"})
_CLOUDS: Final = (
    ("Azure", "azure"),
    ("Foundry", "azure"),
    ("Bedrock", "bedrock"),
    ("Vertex", "vertex"),
)


def _plain(client: Any, options: Options) -> None:
    maker = None if options.provider is None else MAKERS.get(options.provider)
    look_on(client, maker, options)


def _cohere(client: Any, options: Options) -> None:
    look_on(client._client_wrapper.httpx_client.httpx_client, MAKERS["cohere"], options)  # noqa: SLF001 -- it has no public name


def _mistral(client: Any, options: Options) -> None:
    configuration = client.sdk_configuration
    for http_client in (configuration.client, configuration.async_client):
        if http_client is not None:
            look_on(http_client, MAKERS["mistral"], options)


def _google(client: Any, options: Options) -> None:
    api = client._api_client  # noqa: SLF001 -- as above
    maker = MAKERS["vertex" if api.vertexai else "gemini"]
    look_on(api._httpx_client, maker, options)  # noqa: SLF001 -- as above
    http_client = api._async_httpx_client  # noqa: SLF001 -- as above
    if http_client is None:
        return  # client certificates: google-auth sends, asynchronously, by means of its own
    look_on(http_client, maker, options)
    # Where aiohttp is installed this client would send with it; here it sends with httpx.
    api._use_aiohttp = lambda: False  # noqa: SLF001 -- as above
    client_for_loop = getattr(http_client, "_client_for_running_loop", None)
    if client_for_loop is None:
        return
    original = getattr(client_for_loop, "looks_on", client_for_loop)

    def looked_at() -> Any:
        found = original()
        look_on(found, maker, options)
        return found

    looked_at.looks_on = original  # type: ignore[attr-defined] # for wrapping it again
    http_client._client_for_running_loop = looked_at  # noqa: SLF001 -- as above


def _boto(client: Any, options: Options) -> None:
    service = client.meta.service_model.service_name
    if service != "bedrock-runtime":
        raise UnknownClientError(client)
    targets = Targets(
        MAKERS["bedrock"],
        provider=options.provider,
        dialect=options.dialect,
        region=client.meta.region_name,
    )
    endpoint = client._endpoint  # noqa: SLF001 -- as above
    session = endpoint.http_session
    inner = session.inner if isinstance(session, LookingSession) else session
    endpoint.http_session = LookingSession(inner, targets, options)


_ADAPTERS: Final[dict[str, Callable[[Any, Options], None]]] = {
    "openai": _stainless("openai"),
    "anthropic": _stainless("anthropic"),
    "groq": _stainless("groq"),
    "cohere": _cohere,
    "mistralai": _mistral,
    "google.genai": _google,
    "botocore": _boto,
    "httpx": _plain,
    "httpx2": _plain,
}
"""By the package that a client's class is of."""


def packages() -> Iterable[str]:
    """Return the packages whose clients can be instrumented."""
    return _ADAPTERS
