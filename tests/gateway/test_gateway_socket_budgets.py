"""Responses within a WebSocket count against the budgets, and end the session that has no room."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.budgets.kit import FixedPrices, rules_of, table_in
from tests.gateway.kit import Provider, run, running, until
from tests.gateway.socket_kit import (
    Line,
    SocketProvider,
    created,
    done,
    down,
    event,
    frame,
    handshake,
    tunnel,
)

from tollbook.budgets.guard import Guard
from tollbook.budgets.table import BudgetTable
from tollbook.capture.gateway.socket_frames import CLOSE_POLICY, close_frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW_S = 1_790_000_000
CREATE = frame(event("response.create"))
OVER = close_frame(CLOSE_POLICY, "budget exceeded", is_masked=False)
RESPONSES = "/openai/v1/responses"


@contextlib.asynccontextmanager
async def guarded(
    provider: Provider, directory: Path, request: bytes | None = None, **budget: Any
) -> AsyncIterator[Line]:
    """Open a socket through a gateway with one budget; every response costs 10 pico."""
    async with running(provider) as gateway:
        gateway.service.guard = Guard(
            rules_of(**budget), table_in(directory), "w0", FixedPrices(10), lambda: NOW_S
        )
        client = await gateway.client()
        line = Line(gateway, client.reader, client.writer)
        await line.open(handshake() if request is None else request)
        yield line


def standing(directory: Path) -> tuple[int, int]:
    """Return what is spent and held by all."""
    with contextlib.closing(BudgetTable(directory / "budgets.table")) as table:
        every = [table.standing(slot) for slot in table.used()]
    return sum(one.spent for one in every), sum(one.held for one in every)


def test_each_response_is_held_and_then_counted(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in ("resp_1", "resp_2"):
            await reader.readexactly(len(CREATE))
            writer.write(down(created(response)))
            await begun.wait()
            begun.clear()
            writer.write(down(done(response)))
        await reader.read()

    async def main() -> None:
        async with guarded(SocketProvider(talk), tmp_path, limit_usd=1) as line:
            for count, response in enumerate(("resp_1", "resp_2")):
                line.writer.write(CREATE)
                await line.exactly(down(created(response)))
                assert standing(tmp_path) == (10 * count, 10)
                begun.set()
                await line.exactly(down(done(response)))
                assert standing(tmp_path) == (10 * count + 10, 0)

    run(main())


def test_a_session_opens_only_where_there_is_room(tmp_path: Path) -> None:
    provider = SocketProvider()

    async def main() -> None:
        async with guarded(provider, tmp_path, limit_requests=0) as line:
            assert line.status == 429
            assert b"budget_exceeded" in await line.reader.read()
            sink = line.gateway.sink
            assert [(one.status, one.error_type) for one in sink.closed] == [
                ("rejected", "budget_exceeded")
            ]
        assert not provider.requests

    run(main())


def test_the_session_itself_counts_as_no_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with guarded(SocketProvider(), tmp_path, limit_requests=1) as line:
            assert line.status == 101
            assert standing(tmp_path) == (0, 0)

    run(main())


def test_a_response_of_the_provider_without_room_ends_the_session(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(down(created()) + down(done()))
        await reader.readexactly(len(CREATE))
        writer.write(down(created("resp_2")))
        await reader.read()

    async def main() -> None:
        async with guarded(SocketProvider(talk), tmp_path, limit_requests=1) as line:
            await line.exactly(down(created()) + down(done()))
            line.writer.write(CREATE)
            assert await line.reader.read() == OVER
            sink = line.gateway.sink
            await until(lambda: len(sink.closed) == 3)
            assert [(one.status, one.error_type, one.is_billable) for one in sink.closed] == [
                ("ok", None, True),
                ("error", "budget_exceeded", True),  # the provider has begun it, and bills it
                ("error", "budget_exceeded", True),
            ]
            assert standing(tmp_path) == (2, 0)
            metrics = line.gateway.service.metrics
            assert (metrics.in_flight, metrics.open_streams) == (0, 0)

    run(main())


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_request_without_room_is_not_sent(tmp_path: Path, pieces: int) -> None:
    asked = frame(event("response.create", model="m", input="hello"))

    async def main() -> None:
        provider = SocketProvider()
        async with guarded(
            provider, tmp_path, handshake(RESPONSES), limit_usd="0.000000000015"
        ) as line:
            assert line.status == 101
            line.writer.write(asked)
            await until(lambda: provider.seen == asked)
            step = -(-len(asked) // pieces)
            for at in range(0, len(asked), step):
                line.writer.write(asked[at : at + step])
                await asyncio.sleep(0.02)
            assert await line.reader.read() == OVER
            sink = line.gateway.sink
            await until(lambda: len(sink.closed) == 3)
            states = {(one.status, one.is_billable) for one in sink.closed}
            # The first was cut and is billed, the second never left, the third is the session.
            assert states == {("rejected", False), ("error", True)}
            assert sum(one.status == "rejected" for one in sink.closed) == 1
            assert provider.seen != asked * 2
            assert standing(tmp_path) == (10, 0)

    run(main())


def test_the_end_of_a_session_lets_go_of_what_it_held(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(down(created()))
        await reader.read()

    async def main() -> None:
        async with guarded(SocketProvider(talk), tmp_path, limit_usd=1) as line:
            await line.exactly(down(created()))
            assert standing(tmp_path) == (0, 10)
            line.writer.transport.abort()
            await until(lambda: len(line.gateway.sink.closed) == 2)
            assert standing(tmp_path) == (10, 0)

    run(main())


def test_without_budgets_nothing_is_asked() -> None:
    async def main() -> None:
        async with tunnel(SocketProvider()) as line:
            assert line.status == 101

    run(main())
