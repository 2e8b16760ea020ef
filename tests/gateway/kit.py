"""A gateway, a scriptable provider and a raw client in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import uvloop
from msgspec import Struct

from tollbook.call import CallClosed, CallOpened, Frame
from tollbook.capture.gateway.ports import KeyProblemView, NoKey
from tollbook.capture.gateway.service import Service
from tollbook.capture.gateway.wheel import Wheel
from tollbook.config import Config
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    import ssl

    from tollbook.identity.claims import KeyBinding

T = TypeVar("T")
CHAT = "/openai/v1/chat/completions"
USAGE = b'{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}'
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":' + USAGE + b"}"
)
CHAT_BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
STREAM_BODY = CHAT_BODY[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop, as the worker does; nothing may take longer than 30 seconds."""

    async def limited() -> T:
        async with asyncio.timeout(20):
            return await main

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(limited())


class Health(Struct, frozen=True):
    ok: bool = True
    error: str | None = None
    ring_bytes: int = 0
    frames_lost: int = 0
    bytes_written: int = 0


class Sink:
    """A spool in memory that notes when frames are on file."""

    def __init__(self) -> None:
        self.queued: list[Frame] = []
        self.on_file: list[Frame] = []
        self.is_failing = False
        self.flushes = 0
        self.is_closed = False

    def append(self, frame: Frame) -> None:
        self.queued.append(frame)

    def flush(self) -> bool:
        if self.is_failing:
            return False
        self.flushes += bool(self.queued)
        self.on_file += self.queued
        self.queued = []
        return True

    def sync(self) -> object:
        return True

    @property
    def health(self) -> Health:
        return Health(ok=not self.is_failing, error="full" if self.is_failing else None)

    def close(self) -> None:
        self.is_closed = True

    @property
    def opened(self) -> list[CallOpened]:
        return [frame for frame in self.on_file if isinstance(frame, CallOpened)]

    @property
    def closed(self) -> list[CallClosed]:
        return [frame for frame in self.on_file if isinstance(frame, CallClosed)]


class FakeKeys:
    """Virtual keys from a table."""

    def __init__(self, **bindings: KeyBinding) -> None:
        self.bindings = bindings

    def lookup(self, secret: str) -> KeyBinding | KeyProblemView:
        return self.bindings.get(secret, NoKey())

    def refresh(self) -> bool:
        return False


class Received(NamedTuple):
    """A request as the provider saw it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for have, value in self.headers if have == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


Handler = Callable[
    ["Provider", Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]
]


def answer(
    body: bytes = ANSWER, status: str = "200 OK", headers: str = "", *, length: bool = True
) -> bytes:
    """Return a whole plain response."""
    size = f"content-length: {len(body)}\r\n" if length else ""
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{size}{headers}\r\n".encode()
        + body
    )


async def plain(
    _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(answer())


def replying(*responses: bytes) -> Handler:
    """Return a handler that gives these bytes, the last one for ever."""
    left = list(responses)

    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return handler


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]]:
    raw = await reader.readuntil(b"\r\n\r\n")
    line, *lines = raw[:-4].decode("latin-1").split("\r\n")
    headers = []
    for each in lines:
        name, _, value = each.partition(":")
        headers.append((name.lower(), value.strip()))
    return line, headers


async def read_body(reader: asyncio.StreamReader, headers: list[tuple[str, str]]) -> bytes:
    table = dict(headers)
    if table.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            part = await reader.readexactly(size + 2)
            body += part[:-2]
            if size == 0:
                return body
    return await reader.readexactly(int(table.get("content-length", "0")))


class Provider:
    """A scriptable HTTP/1.1 server; ``requests`` is all it saw."""

    def __init__(self, handler: Handler = plain, *, reads_body: bool = True) -> None:
        self.handler = handler
        self.reads_body = reads_body
        self.requests: list[Received] = []
        self.connections = 0
        self.bytes_seen = 0
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.on_request: Callable[[], None] = lambda: None

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self.writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                line, headers = await read_head(reader)
                body = await read_body(reader, headers) if self.reads_body else b""
                received = Received(line, headers, body)
                self.requests.append(received)
                self.on_request()
                await self.handler(self, received, reader, writer)
                await writer.drain()
                if writer.is_closing():
                    return


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One raw connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, is_head: bool = False) -> Response:
        line, headers = await read_head(self.reader)
        status = int(line.split()[1])
        table = dict(headers)
        if is_head or status in {100, 204, 304}:
            body = b""
        elif "content-length" in table or "transfer-encoding" in table:
            body = await read_body(self.reader, headers)
        else:
            body = await self.reader.read()
        return Response(status, table, body)

    async def rest(self) -> bytes:
        """Return everything until the gateway closes."""
        return await self.reader.read()

    def close(self) -> None:
        self.writer.transport.abort()


class Gateway:
    """A running service with its fakes."""

    def __init__(self, service: Service, sink: Sink, provider: Provider, port: int) -> None:
        self.service = service
        self.sink = sink
        self.provider = provider
        self.port = port
        self._clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**20))
        self._clients.append(client)
        return client

    async def ask(self, data: bytes) -> Response:
        """Send on a connection of its own and return the response."""
        client = await self.client()
        client.send(data)
        response = await client.response(is_head=data.startswith(b"HEAD"))
        client.close()
        return response

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self.service.stop()

    async def closed_calls(self, count: int = 1) -> list[CallClosed]:
        """Return the close frames once there are so many."""
        await until(lambda: len(self.sink.closed) >= count)
        return self.sink.closed


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not condition():  # noqa: ASYNC110 -- of anything, also of what tells nobody
        await asyncio.sleep(0.002)


def chat(
    body: bytes = CHAT_BODY, *, headers: str = "", path: str = CHAT, method: str = "POST"
) -> bytes:
    """Return a usual request."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer sk-own\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str = "/openai/v1/files", *, headers: str = "", method: str = "GET") -> bytes:
    """Return a request without body to an endpoint that is passed through."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer sk-own\r\n{headers}\r\n"
    ).encode()


@contextlib.asynccontextmanager
async def running(
    provider: Provider | None = None,
    *,
    sink: Sink | None = None,
    keys: FakeKeys | None = None,
    settings: dict[str, Any] | None = None,
    provider_settings: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    base_url: str | None = None,
    identity: dict[str, Any] | None = None,
    cache: dict[str, Any] | None = None,
) -> AsyncIterator[Gateway]:
    """Serve on a free port; provider ``openai`` is the scriptable one."""
    provider = provider or Provider()
    sink = sink or Sink()
    async with provider.serving(tls) as served:
        scheme = "https" if tls else "http"
        openai = {
            "dialect": "openai",
            "base_url": base_url or f"{scheme}://localhost:{served.port}",
            "api_key_env": "OPENAI_API_KEY",
            **(provider_settings or {}),
        }
        config = msgspec.convert(
            {
                "gateway": {"shutdown_timeout_s": 1.0, **(settings or {})},
                "providers": {"openai": openai, "claude": {**openai, "dialect": "anthropic"}},
                "identity": identity or {},
                "response_cache": cache or {},
            },
            Config,
        )
        loop = asyncio.get_running_loop()
        service = Service(
            config,
            spool=sink,
            keys=keys or FakeKeys(),
            dialect_named=dialect_named,
            environ={"OPENAI_API_KEY": "sk-provider"} if environ is None else environ,
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
