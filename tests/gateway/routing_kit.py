"""A gateway with routes to several scriptable providers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import msgspec
from tests.gateway.kit import FakeKeys, Gateway, Handler, Provider, Received, Sink, answer, chat

from tollbook.capture.gateway.service import Service
from tollbook.capture.gateway.wheel import Wheel
from tollbook.config import Config
from tollbook.config.route_checks import check_routes
from tollbook.dialects.registry import dialect_named
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tollbook.capture.gateway.routing.strategy import PriceOf
    from tollbook.capture.gateway.routing.target import Target

V1_CHAT = "/v1/chat/completions"
KEY = KeyBinding(api_key_id="key-1", tenant_id="acme")
QUICK = {"backoff_base_s": 0.001, "backoff_max_s": 0.002}


def failing(status: str, *, kind: str = "server_error", headers: str = "") -> bytes:
    """Return an error answer as OpenAI gives it."""
    body = msgspec.json.encode({"error": {"message": "no", "type": kind, "code": None}})
    return answer(body, status, headers)


def closing() -> Handler:
    """Return a handler that hangs up without an answer."""

    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.close()

    return handler


def silent() -> Handler:
    """Return a handler that never answers."""

    async def handler(
        _: Provider, __: Received, reader: asyncio.StreamReader, ___: asyncio.StreamWriter
    ) -> None:
        await reader.read()

    return handler


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ask(model: str = "m", *, key: str = "tb_k", path: str = V1_CHAT, more: bytes = b"") -> bytes:
    """Return a request for a model with a virtual key."""
    body = b'{"model":"%b","messages":[{"role":"user","content":"hi"}]%b}' % (model.encode(), more)
    return chat(body, path=path).replace(b"sk-own", key.encode())


def route(*targets: str | dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return a route for every model, with hardly any wait."""
    listed = [{"provider": each} if isinstance(each, str) else each for each in targets]
    return {"models": ["*"], "targets": listed, "strategy": "ordered", **QUICK, **settings}


class Routed(Gateway):
    """A running gateway and what its routes know."""

    providers: dict[str, Provider]

    def target(self, name: str) -> Target:
        """Return a target by ``provider/model`` or, where that is enough, its provider."""
        for _, target in self.service.router.targets():
            if name in {target.label, target.upstream.name}:
                return target
        raise KeyError(name)

    def seen(self) -> dict[str, int]:
        """Return how many requests each provider got."""
        return {name: len(provider.requests) for name, provider in self.providers.items()}


@contextlib.asynccontextmanager
async def routed(
    providers: dict[str, Provider],
    routes: dict[str, Any] | None = None,
    *,
    dialects: dict[str, str] | None = None,
    provider_settings: dict[str, dict[str, Any]] | None = None,
    settings: dict[str, Any] | None = None,
    identity: dict[str, Any] | None = None,
    keys: FakeKeys | None = None,
    price_of: PriceOf | None = None,
    down: tuple[str, ...] = (),
    sink: Sink | None = None,
) -> AsyncIterator[Routed]:
    """Serve on a free port; key ``tb_k`` is tenant acme's; nobody listens for those ``down``."""
    async with contextlib.AsyncExitStack() as stack:
        served = {}
        for name, provider in providers.items():
            await stack.enter_async_context(provider.serving())
            served[name] = {
                "dialect": (dialects or {}).get(name, "openai"),
                "base_url": f"http://127.0.0.1:{free_port() if name in down else provider.port}",
                "api_key_env": f"{name.upper()}_KEY",
                **(provider_settings or {}).get(name, {}),
            }
        config = msgspec.convert(
            {
                "gateway": {"shutdown_timeout_s": 1.0, **(settings or {})},
                "providers": served,
                "routes": routes or {},
                "identity": identity or {},
            },
            Config,
        )
        check_routes(config, "tollbook.toml")
        loop = asyncio.get_running_loop()
        service = Service(
            config,
            spool=sink or Sink(),
            keys=keys or FakeKeys(tb_k=KEY),
            dialect_named=dialect_named,
            environ={f"{name.upper()}_KEY": f"sk-{name}" for name in served},
            wheel=Wheel(loop, tick_s=0.01, buckets=2),
            price_of=price_of,
        )
        service.router.random.seed(7)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await service.listen(sock)
        first = next(iter(providers.values()))
        spool = service.spool
        assert isinstance(spool, Sink)
        gateway = Routed(service, spool, first, sock.getsockname()[1])
        gateway.providers = providers
        try:
            yield gateway
        finally:
            await gateway.close()
