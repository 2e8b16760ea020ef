"""Answers that break off, are held back or come late; targets that stay away."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from tests.gateway.kit import (
    ANSWER,
    USAGE,
    Handler,
    Provider,
    Received,
    Sink,
    answer,
    replying,
    run,
    until,
)  # fmt: skip
from tests.gateway.routing_kit import Routed, ask, closing, failing, route, routed, silent

from tollbook.budgets.guard import Refused
from tollbook.capture.gateway.routing.exchange import MAX_HELD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.budgets.guard import Guard
    from tollbook.call import CallClosed, CallOpened

STREAM = b',"stream":true,"stream_options":{"include_usage":true}'
EVENTS = (
    b'data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n',
    b'data: {"id":"c1","model":"m-1","choices":[],"usage":' + USAGE + b"}\n\n",
    b"data: [DONE]\n\n",
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunks(*events: bytes, is_whole: bool = True) -> bytes:
    """Return events in chunked framing."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in events)
    return framed + (b"0\r\n\r\n" if is_whole else b"")


def then_closing(data: bytes) -> Handler:
    """Return a handler that writes this and hangs up."""

    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()

    return handler


def test_a_stream_after_a_failure_is_whole() -> None:
    async def main() -> None:
        one = Provider(replying(failing("529 x", kind="overloaded")))
        two = Provider(replying(HEAD + chunks(*EVENTS)))
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            got = await gateway.ask(ask(more=STREAM))
            assert got.body == b"".join(EVENTS)
            assert got.headers["x-tollbook-attempts"] == "2"
            assert gateway.sink.closed[-1].usage == (USAGE,)
            assert gateway.service.metrics.open_streams == 0

    run(main())


def test_a_stream_that_has_begun_is_never_sent_again() -> None:
    async def main() -> None:
        one = Provider(then_closing(HEAD + chunks(EVENTS[0], is_whole=False)))
        two = Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            client = await gateway.client()
            client.send(ask(more=STREAM))
            data = await client.rest()
            assert EVENTS[0] in data
            assert not data.endswith(b"0\r\n\r\n"), "nobody takes it for whole"
            (closed,) = gateway.sink.closed
            assert (closed.status, closed.error_type) == ("error", "upstream_broken")
            assert closed.is_billable
            assert gateway.seen() == {"one": 1, "two": 0}
            assert gateway.target("one").failures == 1

    run(main())


def test_a_plain_answer_that_has_begun_is_never_sent_again() -> None:
    async def main() -> None:
        one, two = Provider(then_closing(answer()[:-9])), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            client = await gateway.client()
            client.send(ask())
            assert (await client.rest()).startswith(b"HTTP/1.1 200 OK")
            assert gateway.seen() == {"one": 1, "two": 0}

    run(main())


def test_an_error_answer_that_breaks_off_is_tried_again() -> None:
    async def main() -> None:
        one, two = Provider(then_closing(failing("500 x")[:-9])), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.body) == (200, ANSWER)
            first, _ = gateway.sink.closed
            assert (first.error_type, first.http_status) == ("upstream_broken", 500)
            assert not first.is_billable

    run(main())


def test_the_last_error_answer_that_breaks_off_is_cut_for_the_client_too() -> None:
    async def main() -> None:
        one = Provider(then_closing(failing("500 x")[:-9]))
        async with routed({"one": one}, {"r": route("one", retries=1)}) as gateway:
            client = await gateway.client()
            client.send(ask())
            data = await client.rest()
            assert data.startswith(b"HTTP/1.1 500")
            assert len(one.requests) == 2

    run(main())


def test_an_error_too_large_to_hold_is_the_answer() -> None:
    async def main() -> None:
        body = b"x" * (MAX_HELD_BYTES * 3)
        one, two = Provider(replying(answer(body, "503 x"))), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.body) == (503, body)
            assert gateway.seen() == {"one": 1, "two": 0}
            assert len(gateway.sink.closed) == 1

    run(main())


def test_a_held_error_in_chunks_comes_unchanged() -> None:
    async def main() -> None:
        body = failing("503 x").partition(b"\r\n\r\n")[2]
        parts = [body[at : at + 7] for at in range(0, len(body), 7)]
        head = HEAD.replace(b"200 OK", b"503 Busy").replace(b"text/event-stream", b"text/x")

        async def handler(
            _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            for part in (head, *(chunks(each, is_whole=False) for each in parts), b"0\r\n\r\n"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

        one = Provider(handler)
        async with routed({"one": one}, {"r": route("one", retries=1)}) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.body) == (503, body)
            assert len(one.requests) == 2

    run(main())


def test_an_old_client_gets_the_answer_of_a_later_attempt() -> None:
    async def main() -> None:
        no_length = failing("500 x").replace(b"content-length", b"x-length") + b""
        one = Provider(then_closing(no_length))
        two = Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            client = await gateway.client()
            request = ask().replace(b"HTTP/1.1", b"HTTP/1.0", 1)
            client.send(request.replace(b"Host: gw", b"Host: gw\r\nConnection: keep-alive"))
            got = await client.response()
            assert (got.status, got.body) == (200, ANSWER)
            assert got.headers["connection"] == "keep-alive"

    run(main())


async def _fail(gateway: Routed, times: int) -> None:
    for _ in range(times):
        await gateway.ask(ask())


def test_a_target_that_keeps_failing_is_left_alone_and_probed() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider()
        settings = route("one", "two", breaker={"failures": 3, "window_s": 30, "open_s": 0.3})
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            await _fail(gateway, 6)
            assert gateway.seen() == {"one": 3, "two": 6}
            text = (await gateway.ask(b"GET /metrics HTTP/1.1\r\nHost: g\r\n\r\n")).body
            assert b'target_breaker{route="r",provider="one",model="*"} 2\n' in text
            await asyncio.sleep(0.35)
            await _fail(gateway, 3)
            assert gateway.seen()["one"] == 4, "one probe, which failed"
            await asyncio.sleep(0.35)
            one.handler = replying(answer())
            await _fail(gateway, 3)
            assert gateway.seen()["one"] == 7, "closed again"
            assert {each.status for each in gateway.sink.closed} == {"ok", "error"}

    run(main())


def test_half_open_lets_one_probe_through_at_a_time() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def slow(
            _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await release.wait()
            writer.write(answer())

        one, two = Provider(replying(failing("500 x"))), Provider()
        settings = route("one", "two", breaker={"failures": 1, "open_s": 0.1})
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            await gateway.ask(ask())
            await asyncio.sleep(0.15)
            one.handler = slow
            probe = asyncio.create_task(gateway.ask(ask()))
            await until(lambda: len(one.requests) == 2)
            await _fail(gateway, 5)
            assert gateway.seen() == {"one": 2, "two": 6}
            release.set()
            assert (await probe).status == 200
            await gateway.ask(ask())
            assert gateway.seen()["one"] == 3

    run(main())


def test_a_probe_whose_client_leaves_does_not_close_the_way_for_ever() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider()
        settings = route("one", "two", breaker={"failures": 1, "open_s": 0.1})
        limits = {"client_disconnect": "abort"}
        async with routed({"one": one, "two": two}, {"r": settings}, settings=limits) as gateway:
            await gateway.ask(ask())
            await asyncio.sleep(0.15)
            one.handler = silent()
            client = await gateway.client()
            client.send(ask())
            await until(lambda: len(one.requests) == 2)
            client.close()
            await until(lambda: not gateway.service.exchanges)
            assert gateway.target("one").in_flight == 0
            one.handler = replying(answer())
            await gateway.ask(ask())
            assert gateway.seen()["one"] == 3

    run(main())


def test_with_all_targets_open_it_is_said_when_to_come_back() -> None:
    async def main() -> None:
        one = Provider(closing())
        settings = route("one", retries=0, breaker={"failures": 2, "open_s": 20})
        async with routed({"one": one}, {"r": settings}) as gateway:
            await _fail(gateway, 2)
            got = await gateway.ask(ask())
            assert got.status == 503
            assert 15 <= int(got.headers["retry-after"]) <= 20
            assert msgspec.json.decode(got.body)["error"]["code"] == "circuit_open"
            closed = gateway.sink.closed[-1]
            assert (closed.status, closed.is_billable) == ("rejected", False)
            assert gateway.sink.opened[-1].route == "r"
            assert len(one.requests) == 2

    run(main())


@pytest.mark.parametrize("is_answer", [True, False])
def test_a_breaker_that_opens_during_the_wait_ends_it_with_the_last_error(is_answer: bool) -> None:  # noqa: FBT001 -- a parameter
    async def main() -> None:
        last = failing("503 Busy", headers="retry-after-ms: 150\r\nx-odd: 1\r\n")
        one = Provider(replying(last) if is_answer else closing())
        settings = route("one", retries=5, breaker={"failures": 9}) | {
            "backoff_base_s": 0.2, "backoff_max_s": 0.2,
        }  # fmt: skip
        async with routed({"one": one}, {"r": settings}) as gateway:
            target = gateway.target("one")
            gateway.service.router.random.random = lambda: 0.9  # type: ignore[method-assign]
            client = await gateway.client()
            client.send(ask())
            await gateway.closed_calls()
            for _ in range(9):
                target.breaker.failed(asyncio.get_running_loop().time())
            got = await client.response()
            assert got.status == (503 if is_answer else 502)
            assert len(one.requests) == 1
            if is_answer:
                assert got.headers["x-odd"] == "1"
                assert got.body == last.partition(b"\r\n\r\n")[2]
            one.handler = replying(answer())
            target.breaker.succeeded()
            client.send(ask())
            assert (await client.response()).status == 200, "the connection is kept"
            assert not gateway.service.exchanges

    run(main())


def test_a_client_error_is_not_the_targets_fault() -> None:
    async def main() -> None:
        one = Provider(replying(failing("400 x")))
        settings = route("one", breaker={"failures": 2})
        async with routed({"one": one}, {"r": settings}) as gateway:
            await _fail(gateway, 6)
            assert len(one.requests) == 6
            assert gateway.target("one").failures == 0

    run(main())


def test_strict_mode_sends_nothing_that_is_not_on_file() -> None:
    async def main() -> None:
        sink = Sink()

        def break_spool() -> None:
            sink.is_failing = True

        one, two = Provider(replying(failing("500 x"))), Provider()
        one.on_request = break_spool
        async with routed(
            {"one": one, "two": two}, {"r": route("one", "two")}, settings={"strict": True},
            sink=sink,
        ) as gateway:  # fmt: skip
            got = await gateway.ask(ask())
            assert got.status == 503
            assert gateway.seen() == {"one": 1, "two": 0}
            sink.is_failing = False

    run(main())


def test_an_attempt_that_waits_for_a_connection_ends_with_its_client() -> None:
    async def main() -> None:
        one = Provider(silent())
        full = {"one": {"max_connections": 1}}
        slow = {"provider": "one", "connect_timeout_s": 5.0}
        async with routed({"one": one}, {"r": route(slow)}, provider_settings=full) as gateway:
            first = await gateway.client()
            first.send(ask())
            await until(lambda: one.requests)
            second = await gateway.client()
            second.send(ask())
            await until(lambda: len(gateway.sink.opened) == 2)
            second.close()
            closed = await gateway.closed_calls()
            assert (closed[0].status, closed[0].is_billable) == ("cancelled", False)
            assert gateway.target("one").in_flight == 1
            first.close()

    run(main())


def test_when_all_connections_are_in_use_another_target_serves() -> None:
    async def main() -> None:
        one, two = Provider(silent()), Provider()
        full = {"one": {"max_connections": 1}}
        slow = {"provider": "one", "connect_timeout_s": 0.05}
        async with routed(
            {"one": one, "two": two}, {"r": route(slow, "two")}, provider_settings=full
        ) as gateway:
            first = await gateway.client()
            first.send(ask())
            await until(lambda: one.requests)
            assert (await gateway.ask(ask())).status == 200
            assert gateway.seen() == {"one": 1, "two": 1}
            first.close()

    run(main())


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_many_clients_at_once_are_each_answered_once(cut: int) -> None:
    """Every request fails a few times, in one way or another: nobody is lost or mixed up."""

    async def main() -> None:
        tried: Counter[str] = Counter()

        async def flaky(
            _: Provider, got: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            user = msgspec.json.decode(got.body)["user"]
            tried[user] += 1
            left = len(user) + int(user[-1]) - tried[user]
            if left > 0 and left % 3 == 0:
                writer.close()
                return
            await asyncio.sleep(0.001 * (left % 4))
            echo = msgspec.json.encode({"model": "x", "echo": user})
            whole = failing("503 x") if left > 0 else answer(echo)
            writer.write(whole[:cut])
            await writer.drain()
            writer.write(whole[cut:])

        providers = {name: Provider(flaky) for name in ("one", "two", "three")}
        settings = route(*providers, strategy="weighted", retries=10, breaker={"failures": 0})
        async with routed(providers, {"r": settings}) as gateway:

            async def one_of(number: int) -> None:
                client = await gateway.client()
                for turn in range(4):
                    user = f"u{number}-{turn}"
                    client.send(ask(more=b',"user":"%b"' % user.encode()))
                    got = await client.response()
                    assert got.status == 200
                    assert msgspec.json.decode(got.body)["echo"] == user

            await asyncio.gather(*(one_of(each) for each in range(25)))
            sink, service = gateway.sink, gateway.service
            assert len(sink.opened) == len({each.call_id for each in sink.closed})
            operations = {each.operation_id or each.call_id for each in sink.opened}
            assert len(operations) == len(tried) == 100
            assert len(sink.opened) == sum(tried.values()) > 300
            assert sum(each.status == "ok" for each in sink.closed) == 100
            assert service.metrics.in_flight == 0
            assert not service.exchanges
            for name in providers:
                assert gateway.target(name).in_flight == 0

    run(main())


@pytest.mark.parametrize(
    "handler", [silent, closing, lambda: replying(failing("500 x", headers="retry-after: 9\r\n"))]
)
def test_clients_that_leave_at_any_moment_leave_nothing_behind(
    handler: Callable[[], Handler],
) -> None:
    async def main() -> None:
        one, two = Provider(handler()), Provider(handler())
        settings = route("one", "two", retries=10, breaker={"failures": 0}, max_wait_s=60.0)
        limits = {"client_disconnect": "abort"}
        async with routed({"one": one, "two": two}, {"r": settings}, settings=limits) as gateway:
            for delay in range(30):
                client = await gateway.client()
                client.send(ask())
                await asyncio.sleep(delay * 0.0005)
                client.close()
            service = gateway.service
            await until(lambda: not service.exchanges and not service.clients)
            assert service.metrics.in_flight == 0
            assert len(gateway.sink.opened) == len(gateway.sink.closed)
            for name in ("one", "two"):
                assert gateway.target(name).in_flight == 0

    run(main())


class Budget:
    """Room for so many attempts, and what came of each reservation."""

    has_models = False

    def __init__(self, room: int) -> None:
        self.room = room
        self.held: dict[bytes, int] = {}
        self.settled: list[bytes] = []

    def admit(self, opened: CallOpened) -> tuple[bytes, ...] | Refused:
        if len(self.held) == self.room:
            return Refused(None, "the budget has no room", 60)
        self.held[opened.call_id] = 1
        return (opened.call_id,)

    def settle(self, holds: tuple[bytes, ...], opened: CallOpened, closed: CallClosed) -> None:
        assert holds == (opened.call_id,) == (closed.call_id,)
        self.settled += holds


@pytest.mark.parametrize("room", [1, 2, 3])
def test_each_attempt_is_held_and_settled_once(room: int) -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x"), failing("500 x"), answer()))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            budget = Budget(room)
            gateway.service.guard = cast("Guard", budget)
            got = await gateway.ask(ask())
            gateway.service.guard = None
            assert got.status == (200 if room == 3 else 429)
            assert len(one.requests) == room
            assert budget.settled == list(budget.held)
            assert len(gateway.sink.closed) == min(room + 1, 3)

    run(main())
