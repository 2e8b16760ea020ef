"""Many short calls in little time, to a provider that always says the same."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Self

import msgspec
from tests.accuracy.bodies import CHAT, completion, usage
from tests.accuracy.kit import json_answer

ANSWER = json_answer(completion(usage(50, 100)))
_BODY = msgspec.json.encode(CHAT)


class _Same(asyncio.Protocol):
    """Answers every request, told by its head alone: bodies here have no empty line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


class SameAnswer:
    """A provider on its own thread that gives every request the same answer at once."""

    def __init__(self) -> None:
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            self._loop.create_server(_Same, "127.0.0.1", 0, backlog=256)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def request(tenant: str, path: str = "/fake/v1/chat/completions") -> bytes:
    """Return one whole request of a tenant, with the caller's own provider key."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk-own\r\n"
        f"x-tollbook-tenant: {tenant}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(_BODY)}\r\n\r\n"
    )
    return head.encode() + _BODY


class _Caller(asyncio.Protocol):
    """Sends one request after the other and counts whole answers with status 200."""

    def __init__(self, data: bytes, calls: int, done: asyncio.Future[int]) -> None:
        self._data, self._left, self.done = data, calls, done
        self._buffer = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        at = self._buffer.lower().index(b"content-length: ")
        length = int(self._buffer[at + 16 : self._buffer.index(b"\r", at)])
        if len(self._buffer) < head_end + 4 + length:
            return
        self.answered += self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        self._left -= 1
        if self._left:
            self._transport.write(self._data)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.done.done():
            self.done.set_result(self.answered)


async def flood(port: int, calls: int, *, connections: int = 16, tenant: str = "flood") -> int:
    """Send calls over kept connections and return how many were answered with 200.

    A connection that the gateway closes ends early; what it had answered counts.
    """
    loop = asyncio.get_running_loop()
    data = request(tenant)
    waiting: list[asyncio.Future[int]] = []
    for at in range(connections):
        share = calls // connections + (at < calls % connections)
        if share:
            caller = _Caller(data, share, loop.create_future())
            waiting.append(caller.done)
            await loop.create_connection(partial(_same, caller), "127.0.0.1", port)
    async with asyncio.timeout(120):
        return sum(await asyncio.gather(*waiting))


def _same(caller: _Caller) -> _Caller:
    return caller
