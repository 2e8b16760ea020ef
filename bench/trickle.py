"""Holds many slow streams open: ``python -m bench.trickle PORT REQUESTS COUNT``.

Opens the streams at a steady pace, prints ``open`` once every one has begun to answer, then reads
on until a line (or the end) comes on standard input and prints how many events have come since.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

from bench.openloop import read_requests

_OPEN_PER_S = 1000


class Stream(asyncio.Protocol):
    """One open answer, read and thrown away."""

    begun = 0
    events = 0
    closed = 0

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._is_begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events."""
        if not self._is_begun:
            self._is_begun = True
            Stream.begun += 1
        Stream.events += data.count(b"data: ")

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what should not happen while streams are held."""
        del exc
        Stream.closed += 1


async def hold(port: int, requests: list[bytes], count: int) -> None:
    """Open ``count`` streams and hold them."""
    loop = asyncio.get_running_loop()
    transports = []
    for at in range(count):
        request = requests[at % len(requests)]
        transport, _ = await loop.create_connection(lambda r=request: Stream(r), "127.0.0.1", port)  # type: ignore[misc]
        transports.append(transport)
        if at % 10 == 9:
            await asyncio.sleep(10 / _OPEN_PER_S)
    while Stream.begun < count:
        await asyncio.sleep(0.05)
        if Stream.closed:
            raise SystemExit(f"trickle: {Stream.closed} streams were closed")
    print("open", flush=True)
    before = Stream.events
    await loop.run_in_executor(None, sys.stdin.readline)
    print(Stream.events - before, Stream.closed, flush=True)


if __name__ == "__main__":
    port_text, file_name, count_text = sys.argv[1:]
    uvloop.run(hold(int(port_text), read_requests(Path(file_name)), int(count_text)))
