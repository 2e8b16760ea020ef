"""How long a runaway tenant goes on after somebody has stopped it, in its own traffic."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import httpx2
from tests.e2e.conftest import make_house

from tollbook import clock
from tollbook.books import open_books
from tollbook.books.documents import Subject, put_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["make_house"]

STOP = """{"name": "stop-runaway", "limit_usd": "0", "match": {"tenant": "runaway"},
"window": "month", "stop_streams": true}"""
BODY = {
    "model": "gpt-4o-mini", "max_tokens": 64, "stream": True,
    "messages": [{"role": "user", "content": "again"}],
}  # fmt: skip
PATH = "/openai/v1/chat/completions"
CLIENTS = 8


def stop(data_dir: Path) -> None:
    """Write the budget that stops the tenant, as the desk does."""
    with contextlib.closing(open_books(data_dir)) as books:
        put_document(
            books, Subject.BUDGET, "stop-runaway", STOP,
            effective_from_ns=clock.unix_ns(), reason="it loops",
        )  # fmt: skip


class Traffic:
    """What the clients of both tenants have seen, in seconds of one clock."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        """Beginnings of calls of the runaway that were let through."""
        self.cut: list[float] = []
        self.is_refused = False
        self.others_after: list[int] = []

    async def loop(self, session: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        while not self.is_refused:
            begun = time.monotonic()
            try:
                answer = await session.post(PATH, json=BODY, headers=headers)
            except httpx2.RemoteProtocolError:  # it was under way when the stop came, and was cut
                self.begun.append(begun)
                continue
            if answer.status_code == 429:
                self.is_refused = True
                assert "stop-runaway" in answer.json()["error"]["message"]
            else:
                assert answer.status_code == 200
                self.begun.append(begun)

    async def stream(self, session: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        slow = {**headers, "x-tollbook-feature": "slow",
                "x-sim-size": "input=10;output=60;events=60;pause_ms=500"}  # fmt: skip
        with contextlib.suppress(httpx2.TransportError):
            await session.post(PATH, json=BODY, headers=slow)
        self.cut.append(time.monotonic())


def test_a_runaway_is_stopped_within_a_second_of_its_own_traffic(
    make_house: Callable[..., Any],
) -> None:
    house = make_house(workers=2)
    key = house.key("product")
    traffic = Traffic()
    stopped_at = 0.0

    async def main() -> None:
        nonlocal stopped_at
        headers = {"authorization": f"Bearer {key}", "x-tollbook-tenant": "runaway"}
        async with httpx2.AsyncClient(base_url=house.url, timeout=30) as session:
            streams = [asyncio.create_task(traffic.stream(session, headers)) for _ in range(3)]
            loops = [asyncio.create_task(traffic.loop(session, headers)) for _ in range(CLIENTS)]
            await asyncio.sleep(1.5)
            assert len(traffic.begun) > 20
            stopped_at = time.monotonic()
            await asyncio.to_thread(stop, house.data_dir)
            await asyncio.gather(*loops, *streams)
            other = {**headers, "x-tollbook-tenant": "quiet"}
            answer = await session.post(PATH, json=BODY, headers=other)
            traffic.others_after.append(answer.status_code)

    asyncio.run(main())
    last_s = max(traffic.begun) - stopped_at
    cut_s = max(traffic.cut) - stopped_at
    print(f"last call let through {last_s:.3f} s after, last answer cut {cut_s:.3f} s after")
    assert last_s < 1.0
    assert cut_s < 2.0
    assert traffic.others_after == [200], "nobody else is stopped"
    house.stop()
    # Of the loops' short answers some may be cut as well, where the machine is busy.
    assert house.rows(
        "SELECT status, error_type, sum(calls) FROM entries WHERE feature = 'slow' GROUP BY ALL"
    ) == [("error", "budget_exceeded", 3)]
