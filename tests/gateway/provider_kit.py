"""A gateway in front of any configured providers, all of them one scriptable server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import msgspec
from tests.gateway.kit import FakeKeys, Gateway, Provider, Sink

from tollbook.capture.gateway.service import Service
from tollbook.capture.gateway.wheel import Wheel
from tollbook.config import Config
from tollbook.dialects.registry import dialect_named
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tollbook.capture.gateway.ports import Keys

ACME = "tb_acme"
BOUND = KeyBinding(
    api_key_id="key-1", tenant_id="acme", user_id="u-7", feature="search", environment="production"
)


@contextlib.asynccontextmanager
async def gateway_for(
    providers: dict[str, dict[str, Any]],
    *,
    server: Provider | None = None,
    keys: Keys | None = None,
    environ: dict[str, str] | None = None,
    settings: dict[str, Any] | None = None,
) -> AsyncIterator[Gateway]:
    """Serve on a free port; a provider without ``base_url`` is the scriptable server."""
    server = server or Provider()
    sink = Sink()
    async with server.serving() as served:
        url = f"http://localhost:{served.port}"
        given = {name: {"base_url": url, **one} for name, one in providers.items()}
        raw = {"gateway": {"shutdown_timeout_s": 1.0}, "providers": given, **(settings or {})}
        loop = asyncio.get_running_loop()
        service = Service(
            msgspec.convert(raw, Config),
            spool=sink,
            keys=keys or FakeKeys(**{ACME: BOUND}),
            dialect_named=dialect_named,
            environ=environ or {},
            wheel=Wheel(loop, tick_s=0.02, buckets=2),
        )
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await service.listen(sock)
        gateway = Gateway(service, sink, served, sock.getsockname()[1])
        try:
            yield gateway
        finally:
            await gateway.close()


def post(path: str, body: bytes = b"{}", *, key: str | None = ACME, headers: str = "") -> bytes:
    """Return a POST with a bearer token."""
    auth = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: gw\r\n{auth}{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
