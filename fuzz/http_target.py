"""One client connection and its provider, in memory, fed with any bytes in any pieces.

What must hold, whatever comes: nothing raises, every opened call is closed once, and what leaves
for the provider is, to an independent strict parser (h11), exactly the one request that was opened:
nothing a client sends can make the provider see another one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

import h11

from tollbook.call import CallClosed, CallOpened
from tollbook.capture.gateway.client import ClientConnection
from tollbook.capture.gateway.ports import NoKeys
from tollbook.capture.gateway.service import Service
from tollbook.capture.gateway.upstream import UpstreamConnection
from tollbook.config import Config
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.call import Frame

MARK: Final = b"\n====\n"
"""Between what the client sends and what the provider answers."""
_CUTS: Final = 4
"""Leading bytes that say into how large pieces the rest is cut; 0 is not at all."""
_TURNS: Final = 6


class BrokenPromiseError(AssertionError):
    """Something that must hold did not."""


class _Health:
    ok, error, ring_bytes, frames_lost, bytes_written = True, None, 0, 0, 0


class _Sink:
    health = _Health()

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def append(self, frame: Frame) -> None:
        self.frames.append(frame)

    def flush(self) -> bool:
        return True

    def sync(self) -> object:
        return True

    def close(self) -> None:
        """Nothing is open."""


class _Transport:
    """The little of a transport that connections use."""

    def __init__(self, protocol: Any) -> None:
        self.written = bytearray()
        self.protocol = protocol
        self._is_closing = False
        protocol.connection_made(self)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        if not self._is_closing:
            self.written += data

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def pause_reading(self) -> None:
        """Bytes come by hand."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The other side does not look."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        del name
        return default


class _Pool:
    """Gives every request a connection of its own at once, and remembers what was sent on it."""

    first_byte_timeout_s = idle_timeout_s = 60.0
    counts = (0, 0, 0)

    def __init__(self, wheel: Any) -> None:
        self.wheel = wheel
        self.live: list[_Transport] = []

    def acquire(self, waiter: Any, *, must_be_fresh: bool = False) -> None:
        del must_be_fresh
        connection = UpstreamConnection(cast("Any", self))
        self.live.append(_Transport(connection))
        waiter.connected(connection)

    def leave(self, waiter: Any) -> None:
        del waiter

    def give_back(self, connection: UpstreamConnection) -> None:
        del connection

    def lost(self, connection: UpstreamConnection) -> None:
        del connection

    def close(self) -> None:
        """Nothing is open."""


class HttpTarget:
    """The gateway of one worker, without sockets."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._on_exception)
        self._problem: BaseException | str | None = None
        self._sink = _Sink()
        self._service = self._loop.run_until_complete(self._make())
        self._pools = []
        for upstream in self._service.upstreams.values():
            pool = _Pool(self._service.wheel)
            upstream.pool = cast("Any", pool)
            self._pools.append(pool)
        vars(self._service)["report"] = self._report  # faults are to be seen, not logged

    def close(self) -> None:
        """Close the loop."""
        self._loop.close()

    async def _make(self) -> Service:
        return Service(
            Config(), spool=cast("Any", self._sink), keys=NoKeys(), dialect_named=dialect_named,
            environ={"OPENAI_API_KEY": "sk-own", "ANTHROPIC_API_KEY": "sk-own"},
        )  # fmt: skip

    def _report(self, error: BaseException) -> None:
        self._problem = error

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self._problem = context.get("exception") or str(context.get("message"))

    def __call__(self, data: bytes) -> None:
        """Run one input.

        Raises:
            BrokenPromiseError: something did not hold.
        """
        sizes, data = data[:_CUTS], data[_CUTS:]
        sent, _, answer = data.partition(MARK)
        self._loop.run_until_complete(self._run(sizes, sent, answer))
        if isinstance(self._problem, BaseException):
            raise self._problem
        if self._problem is not None:
            raise BrokenPromiseError(self._problem)
        self._check_frames()

    async def _run(self, sizes: bytes, sent: bytes, answer: bytes) -> None:
        client = _Transport(ClientConnection(self._service))
        for piece in _pieces(sent, sizes[:2]):
            if not client.is_closing():
                client.protocol.data_received(piece)
            await asyncio.sleep(0)
        await self._answer(_pieces(answer, sizes[2:]))
        client.protocol.connection_lost(None)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            await self._answer(iter(()))
        if self._service.exchanges:
            raise BrokenPromiseError(f"{len(self._service.exchanges)} calls never end")
        self._service.known_heads.forget()

    async def _answer(self, pieces: Iterator[bytes]) -> None:
        """Let the provider answer whatever has been sent to it, the same each time."""
        whole = list(pieces)
        while True:
            waiting = [one for pool in self._pools for one in pool.live]
            for pool in self._pools:
                pool.live.clear()
            if not waiting:
                return
            for provider in waiting:
                if provider.written:
                    _check_request(bytes(provider.written))
                for piece in whole:
                    if not provider.is_closing():
                        provider.protocol.data_received(piece)
                        await asyncio.sleep(0)
                if not provider.is_closing():
                    provider.protocol.eof_received()
                provider.protocol.connection_lost(None)
                await asyncio.sleep(0)

    def _check_frames(self) -> None:
        frames, self._sink.frames[:] = list(self._sink.frames), []
        opened = [one.call_id for one in frames if isinstance(one, CallOpened)]
        closed = [one.call_id for one in frames if isinstance(one, CallClosed)]
        if len(set(opened)) != len(opened) or sorted(opened) != sorted(closed):
            raise BrokenPromiseError(f"{len(opened)} calls opened, {len(closed)} closed")


def _pieces(data: bytes, sizes: bytes) -> Iterator[bytes]:
    at = turn = 0
    while at < len(data):
        size = (sizes[turn % len(sizes)] if sizes else 0) or len(data)
        yield data[at : at + size]
        at, turn = at + size, turn + 1


def _check_request(data: bytes) -> None:
    """Hold what left for a provider against a second, strict parser."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    try:
        parser.receive_data(data)
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                return  # the client did not send all of it
            if isinstance(event, h11.Request) and any(n == b"upgrade" for n, _ in event.headers):
                return  # what follows an upgrade is no HTTP
            if isinstance(event, h11.EndOfMessage):
                break
        rest, _ = parser.trailing_data
    except h11.RemoteProtocolError as error:
        raise BrokenPromiseError(f"{error}: {data[:300]!r}") from error
    if rest:
        raise BrokenPromiseError(f"a second request follows the first: {rest[:300]!r}")
