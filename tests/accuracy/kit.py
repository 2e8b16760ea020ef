"""A provider that answers with scripted bytes, a client that behaves as scripted, the cases."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EXCHANGE_LIMIT_S = 30
_head_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_head_case = re.compile(rb"\r\nx-case: *([^\r]+)", re.IGNORECASE).search

Step = bytes | float
"""Bytes to send, or seconds to wait."""


class Case(Struct, kw_only=True):
    """One request: what is asked, what the provider answers, how the client behaves."""

    id: str
    """Also the tenant it is booked to."""
    steps: Sequence[Step]
    provider: str = "fake"
    path: str = "/v1/chat/completions"
    method: str = "POST"
    body: bytes = b""
    headers: list[tuple[str, str]] = []
    leaves_at: bytes | float | None = None
    """The client hangs up when it has read this, or after so many seconds; None: at the end."""
    closes: bool = False
    """The provider closes the connection after its answer."""


def json_answer(
    body: Any, *, status: str = "200 OK", headers: str = "", mime: str = "application/json"
) -> bytes:
    """Return a whole plain response."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {mime}\r\ncontent-length: {len(data)}\r\n{headers}\r\n"
    ).encode() + data


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunked(data: bytes) -> bytes:
    """Return one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def sse(*events: Any, done: bool = True, line_end: bytes = b"\n") -> list[bytes]:
    """Return events as server-sent events; objects as JSON, Anthropic's with their name."""
    made = []
    for event in events:
        if isinstance(event, bytes):
            made.append(event)
            continue
        name = event.get("type")
        head = b"event: " + name.encode() + line_end if isinstance(name, str) else b""
        made.append(head + b"data: " + msgspec.json.encode(event) + line_end + line_end)
    if done:
        made.append(b"data: [DONE]" + line_end + line_end)
    return made


def streamed(events: Sequence[bytes]) -> list[Step]:
    """Return a whole streamed response, one HTTP chunk an event."""
    return [STREAM_HEAD, *(chunked(event) for event in events), b"0\r\n\r\n"]


class ScriptedProvider:
    """Listens on its own thread; which script it follows is in the ``x-case`` header."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = {case.id: case for case in cases}
        self.requests: dict[str, list[bytes]] = {case.id: [] for case in cases}
        self.port = 0
        self._stop: Callable[[], object] = bool
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(10)

    async def _listen(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await stopped.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _head_length(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                name = _head_case(head)
                assert name is not None
                case = self._cases[name[1].decode()]
                self.requests[case.id].append(head + body)
                for step in case.steps:
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        await asyncio.sleep(step)
                if case.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _play(case: Case, port: int, key: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    lines = [
        f"{case.method} /{case.provider}{case.path} HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {key}",
        f"x-case: {case.id}",
        "content-type: application/json",
        f"content-length: {len(case.body)}",
        "connection: close",
        *(f"{name}: {value}" for name, value in case.headers),
    ]
    if not any(name.startswith(("x-tollbook-tenant", "baggage")) for name, _ in case.headers):
        lines.append(f"x-tollbook-tenant: {case.id}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + case.body)
    received = bytearray()
    mark = case.leaves_at
    try:
        async with asyncio.timeout(_EXCHANGE_LIMIT_S):
            if isinstance(mark, float):
                await asyncio.sleep(mark)
                return b""
            while mark is None or mark not in received:
                data = await reader.read(65_536)
                if not data:
                    break
                received += data
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return bytes(received)


async def play_all(
    cases: Sequence[Case], port: int, key: str, keys: Mapping[str, str]
) -> dict[str, bytes]:
    """Send the cases, sixteen at a time, and return what the client read of each.

    Args:
        cases: what to send.
        port: of the gateway.
        key: the caller's own provider key, for all cases but those in ``keys``.
        keys: case ids to virtual keys.
    """
    gate = asyncio.Semaphore(16)

    async def one(case: Case) -> tuple[str, bytes]:
        async with gate:
            return case.id, await _play(case, port, keys.get(case.id, key))

    return dict(await asyncio.gather(*(one(case) for case in cases)))


CASES: dict[str, Case] = {}
"""All cases of the modules that were collected; one house plays them."""
KEYED: dict[str, dict[str, Any]] = {}
"""Cases that come with a virtual key, and what it is bound to."""
_CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "x" * 80}]}


def case(name: str, steps: Sequence[Step], *, body: Any = None, **fields: Any) -> str:
    """Declare a case; its id is the tenant that it is booked to."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(_CHAT if body is None else body)
    assert name not in CASES
    CASES[name] = Case(id=name, steps=steps, body=raw, **fields)
    return name
