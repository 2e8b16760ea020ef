"""A canned provider that is as fast as Python allows: ``python -m bench.upstream``.

The first letter of the path chooses the answer: ``/plain/…`` a JSON answer in one write
(``/message/…`` Anthropic's),
``/stream/…`` 20 events in five writes of one loop turn each, ``/trickle/…`` an event every
``--interval`` seconds until the client goes; the names of ``bench.framing_answers`` a stream in
that framing, in one write. It prints its port.

Requests are not validated: only wrk, nginx, the gateway and this bench's own clients speak to it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
from typing import ClassVar, cast

import uvloop

from bench.answers import content_event, message_answer, plain_answer, stream_events, stream_head
from bench.framing_answers import framings

_WRITES_PER_STREAM = 5
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KIND_AT = len("POST /")


def stream_writes() -> list[bytes]:
    """Return the streamed answer as the parts that are written one loop turn after another."""
    events = list(stream_events())
    size = -(-len(events) // _WRITES_PER_STREAM)
    parts = [b"".join(events[at : at + size]) for at in range(0, len(events), size)]
    return [stream_head() + parts[0], *parts[1:]]


class Upstream(asyncio.Protocol):
    """One connection from a proxy."""

    plain = plain_answer()
    message = message_answer()
    stream = tuple(stream_writes())
    framings: ClassVar = {ord(name[0]): answer for name, answer in framings().items()}
    event = content_event()
    head = stream_head() + event
    interval_s = 2.0
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self._begun = b""
        self._kind = 0
        self._body_left = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request whose last byte is here."""
        while data:
            if self._body_left:
                taken = min(self._body_left, len(data))
                self._body_left -= taken
                data = data[taken:]
            else:
                data = self._begun + data
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    self._begun = data
                    return
                self._begun = b""
                length = _LENGTH.search(data, 0, end)
                if length is None:
                    self._transport.close()  # every client here sends a length
                    return
                self._kind = data[_KIND_AT]
                need = end + 4 + int(length[1])
                self._body_left = max(0, need - len(data))
                data = data[need:]
            if not self._body_left:
                self._answer()

    def _answer(self) -> None:
        if self._kind == ord("p"):
            self._transport.write(self.plain)
        elif self._kind == ord("m"):
            self._transport.write(self.message)
        elif self._kind == ord("s"):
            self._transport.write(self.stream[0])
            self.loop.call_soon(self._go_on, 1)
        elif self._kind in self.framings:
            self._transport.write(self.framings[self._kind])
        else:
            self._transport.write(self.head)
            # A random first pause spreads the events evenly over the interval.
            self.loop.call_later(random.random() * self.interval_s, self._trickle)

    def _go_on(self, at: int) -> None:
        self._transport.write(self.stream[at])
        if at + 1 < len(self.stream):
            self.loop.call_soon(self._go_on, at + 1)

    def _trickle(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self.event)
            self.loop.call_later(self.interval_s, self._trickle)


async def serve(interval_s: float) -> None:
    """Serve on an ephemeral port of the loopback until killed."""
    loop = asyncio.get_running_loop()
    Upstream.loop, Upstream.interval_s = loop, interval_s
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interval", type=float, default=2.0)
    uvloop.run(serve(parser.parse_args().interval))
