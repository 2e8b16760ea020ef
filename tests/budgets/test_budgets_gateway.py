"""Budgets as callers see them: waits, steps, headers, rules that change, answers that are cut."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.budgets.kit import FixedPrices, rules_of, table_in
from tests.gateway.kit import (
    ANSWER,
    Gateway,
    Provider,
    Received,
    answer,
    chat,
    run,
    running,
    until,
)

from tollbook.budgets.guard import Guard
from tollbook.budgets.rulesfile import RulesFile, TopUp, write_rules
from tollbook.budgets.seed import fingerprint
from tollbook.budgets.table import BudgetTable
from tollbook.capture.gateway.budget_watch import BudgetWatch
from tollbook.config import Config
from tollbook.config.budgets import Budget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW_S = 1_790_000_000


class Held:
    """A provider that answers when it is told to."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.seen = 0

    async def __call__(
        self, _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.seen += 1
        await self.free.wait()
        writer.write(answer())


@contextlib.asynccontextmanager
async def guarded(
    directory: Path, provider: Provider | None = None, **budget: Any
) -> AsyncIterator[Gateway]:
    """Serve with one budget; every call costs 10 pico."""
    async with running(provider) as gateway:
        gateway.service.guard = Guard(
            rules_of(**budget), table_in(directory), "w0", FixedPrices(10), lambda: NOW_S
        )
        yield gateway


def asked(tenant: str = "acme", headers: str = "", **more: Any) -> bytes:
    return chat(headers=f"x-tollbook-tenant: {tenant}\r\n{headers}", **more)


def standing(directory: Path) -> tuple[int, int]:
    with contextlib.closing(BudgetTable(directory / "budgets.table")) as table:
        every = [table.standing(slot) for slot in table.used()]
    return sum(one.spent for one in every), sum(one.held for one in every)


def test_a_call_waits_for_what_another_holds_and_is_then_let_through(tmp_path: Path) -> None:
    async def main() -> None:
        held = Held()
        async with guarded(tmp_path, Provider(held), limit_usd="25E-12") as gateway:
            first = [asyncio.create_task(gateway.ask(asked())) for _ in range(3)]
            await until(lambda: held.seen == 2)
            await asyncio.sleep(0.05)
            assert held.seen == 2  # the third has no room beside the holds of two
            held.free.set()
            statuses = sorted([(await one).status for one in first])
            assert statuses == [200, 200, 429]  # 20 are spent of 25: it would not fit
            assert standing(tmp_path) == (20, 0)

    run(main())


def test_a_waiting_call_whose_client_leaves_holds_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        held = Held()
        async with guarded(tmp_path, Provider(held), limit_usd="19E-12") as gateway:
            first = asyncio.create_task(gateway.ask(asked()))
            await until(lambda: held.seen == 1)
            client = await gateway.client()
            client.send(asked())
            await until(lambda: gateway.service.room is not None and gateway.service.room.count)
            client.close()
            await until(lambda: len(gateway.sink.closed) == 1)
            held.free.set()
            assert (await first).status == 200
            await until(lambda: gateway.service.room is not None and not gateway.service.room.count)
            assert standing(tmp_path) == (10, 0)
            assert [one.status for one in gateway.sink.closed] == ["cancelled", "ok"]

    run(main())


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/claude/v1/messages"])
def test_a_refusal_tells_all_of_it(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        budget: dict[str, Any] = {"limit_usd": "15E-12", "each": ["tenant"], "window": "day",
                  "timezone": "Europe/Berlin"}  # fmt: skip
        async with guarded(tmp_path, **budget) as gateway:
            assert (await gateway.ask(asked(path=path))).status == 200
            refused = await gateway.ask(asked(path=path))
            assert refused.status == 429
            headers = refused.headers
            reset_s = int(headers["x-tollbook-budget-reset"])
            assert headers["x-tollbook-budget"] == "cap"
            assert headers["x-tollbook-budget-remaining"] == "0.000000000005"
            assert headers["x-tollbook-budget-limit"] == "0.000000000015"
            assert int(headers["retry-after"]) == reset_s - NOW_S
            assert headers["x-should-retry"] == "false"
            message = msgspec.json.decode(refused.body)["error"]["message"]
            assert "budget 'cap' of tenant 'acme' is used up for this day" in message
            assert message.endswith("; it resets at 2026-09-22T00:00:00+02:00")
            assert (await gateway.ask(asked("globex", path=path))).status == 200

    run(main())


def test_a_limit_by_the_minute_says_when_enough_is_free(tmp_path: Path) -> None:
    async def main() -> None:
        async with guarded(tmp_path, limit_requests=2, window="minute") as gateway:
            assert [(await gateway.ask(asked())).status for _ in range(3)] == [200, 200, 429]
            refused = await gateway.ask(asked())
            assert refused.headers["retry-after"] == "61"
            assert refused.headers["x-should-retry"] == "true"
            message = msgspec.json.decode(refused.body)["error"]["message"]
            assert "is used up for the last minute: 0 of 2 requests left" in message

    run(main())


def test_a_step_asks_for_a_cheaper_model_and_says_so(tmp_path: Path) -> None:
    steps = [{"at_percent": 10, "action": "model", "model": "gpt-4.1-nano"}]

    async def main() -> None:
        provider = Provider()
        async with guarded(tmp_path, provider, limit_usd="100E-12", steps=steps) as gateway:
            report = "x-tollbook-report: cost\r\n"
            plain = await gateway.ask(asked())
            assert "x-tollbook-budget-model" not in plain.headers
            cheaper = await gateway.ask(asked(headers=report))
            assert cheaper.headers["x-tollbook-budget-model"] == "gpt-4.1-nano; budget=cap"
            bodies = [msgspec.json.decode(one.body) for one in provider.requests]
            assert [one["model"] for one in bodies] == ["gpt-4o-mini", "gpt-4.1-nano"]
            assert bodies[0]["messages"] == bodies[1]["messages"]
            first, second = gateway.sink.opened
            assert (first.model_sent, first.fallback_from) == (None, None)
            assert second.model_requested == "gpt-4o-mini"
            assert second.model_sent == "gpt-4.1-nano"
            assert second.fallback_from == "openai/gpt-4o-mini"

    run(main())


class Settings(FixedPrices):
    """Prices that a caller is told, too."""

    is_ready = True

    def when_ready(self, then: Any) -> None:
        then()


@contextlib.asynccontextmanager
async def watched(
    directory: Path, provider: Provider | None = None
) -> AsyncIterator[tuple[Gateway, BudgetWatch]]:
    """Serve without any budget, but for those that come."""
    async with running(provider) as gateway:
        prices: Any = Settings(10)
        watch = BudgetWatch(Config(), "tollbook.toml", directory, "w0", prices)
        gateway.service.wheel.each_tick(lambda _: watch.tick(gateway.service))
        yield gateway, watch


def publish(directory: Path, *budgets: dict[str, Any], top_ups: tuple[TopUp, ...] = ()) -> None:
    read = [msgspec.convert({"name": "cap", **one}, Budget, strict=False) for one in budgets]
    write_rules(directory, RulesFile(settings=fingerprint([]), budgets=read, top_ups=list(top_ups)))


def test_rules_come_change_and_go_while_calls_are_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with watched(tmp_path) as (gateway, watch):
            service = gateway.service
            assert (await gateway.ask(asked())).status == 200
            assert service.guard is None
            table_in(tmp_path)
            publish(tmp_path, {"limit_requests": 2, "each": ["tenant"]})
            await until(lambda: service.guard is not None)
            statuses = [(await gateway.ask(asked())).status for _ in range(3)]
            assert statuses == [200, 200, 429]
            publish(tmp_path, {"limit_requests": 3, "each": ["tenant"]})
            await until(lambda: watch.rules[0].limit == 3)
            statuses = [(await gateway.ask(asked())).status for _ in range(2)]
            assert statuses == [200, 429]  # what was counted before still is
            more = TopUp(rule="cap", owner=("acme",), amount=1, expires_at_s=2**40)
            publish(tmp_path, {"limit_requests": 3, "each": ["tenant"]}, top_ups=(more,))
            await until(lambda: watch.rules[0].top_ups)
            statuses = [(await gateway.ask(asked())).status for _ in range(2)]
            assert statuses == [200, 429]
            publish(tmp_path)
            await until(lambda: not watch.rules)
            assert (await gateway.ask(asked())).status == 200

    run(main())


def test_a_file_of_rules_that_cannot_be_read_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with watched(tmp_path) as (gateway, _):
            table_in(tmp_path)
            publish(tmp_path, {"limit_requests": 0})
            await until(lambda: gateway.service.guard is not None)
            for text in (b"{", b'{"settings":"","budgets":[{"name":"x"}]}'):
                caplog.clear()
                (tmp_path / "budgets.rules").write_bytes(text)
                await until(lambda: "the budgets stay as they are" in caplog.text)
                assert (await gateway.ask(asked())).status == 429

    run(main())


def test_a_running_call_counts_in_a_rule_that_has_come_since(tmp_path: Path) -> None:
    async def main() -> None:
        held = Held()
        async with watched(tmp_path, Provider(held)) as (gateway, _):
            table_in(tmp_path)
            call = asyncio.create_task(gateway.ask(asked()))
            await until(lambda: held.seen == 1)
            publish(tmp_path, {"limit_usd": "1E-11", "each": ["tenant"]})
            await until(lambda: standing(tmp_path) == (0, 10))
            held.free.set()
            assert (await call).status == 200
            assert standing(tmp_path) == (10, 0)
            assert (await gateway.ask(asked())).status == 429

    run(main())


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_running_answer_is_cut_where_the_rule_says_so(tmp_path: Path, *, has_begun: bool) -> None:
    async def half(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if has_begun:
            writer.write(answer()[: -len(ANSWER) // 2])
            await writer.drain()
        await asyncio.sleep(20)

    async def main() -> None:
        provider = Provider(half)
        async with watched(tmp_path, provider) as (gateway, _):
            stopped, other = await gateway.client(), await gateway.client()
            stopped.send(asked("runaway"))
            other.send(asked("quiet"))
            await until(lambda: len(provider.requests) == 2)
            await asyncio.sleep(0.05)
            publish(
                tmp_path, {"limit_usd": 0, "match": {"tenant": "runaway"}, "stop_streams": True}
            )
            if has_begun:
                with contextlib.suppress(ConnectionError):
                    assert ANSWER not in await stopped.rest()
            else:
                response = await stopped.response()
                assert response.status == 429
                assert b"calls of tenant 'runaway' are stopped (budget 'cap'" in response.body
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.error_type) == ("error", "budget_exceeded")
            assert gateway.service.metrics.in_flight == 1  # the other's

    run(main())
