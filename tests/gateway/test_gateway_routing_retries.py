"""Failures that are worth another attempt: each attempt a call, one answer to the client."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.gateway.kit import ANSWER, USAGE, Provider, Received, Sink, answer, replying, run, until
from tests.gateway.routing_kit import (
    Routed,
    ask,
    closing,
    failing,
    route,
    routed,
    silent,
)

if TYPE_CHECKING:
    from tollbook.call import CallClosed, CallOpened

GOOD = answer()


def chain(sink: Sink) -> list[tuple[CallOpened, CallClosed]]:
    """Return the calls in the order they were opened, each closed once."""
    closed = {each.call_id: each for each in sink.closed}
    assert len(closed) == len(sink.closed) == len(sink.opened)
    return [(each, closed[each.call_id]) for each in sink.opened]


def assert_one_operation(sink: Sink, count: int) -> None:
    opened = sink.opened
    assert len(opened) == count
    assert opened[0].operation_id is None
    assert opened[0].retry_of is None
    for before, after in pairwise(opened):
        assert after.operation_id == opened[0].call_id
        assert after.retry_of == before.call_id
        assert after.attempt == before.attempt + 1
        assert after.identity == before.identity
        assert after.model_requested == before.model_requested
        assert after.started_at_ns >= before.started_at_ns


@pytest.mark.parametrize(
    "status",
    ["408 x", "409 x", "429 x", "500 x", "502 x", "503 x", "504 x", "529 x"],
)
def test_a_passing_error_is_tried_again(status: str) -> None:
    async def main() -> None:
        one = Provider(replying(failing(status), GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.body) == (200, ANSWER)
            assert got.headers["x-tollbook-attempts"] == "2"
            (first, end), (second, done) = chain(gateway.sink)
            assert_one_operation(gateway.sink, 2)
            assert (end.status, end.http_status, end.is_billable) == (
                "error",
                int(status[:3]),
                False,
            )
            assert end.error_type == "server_error"
            assert (done.status, done.http_status, done.is_billable) == ("ok", 200, True)
            assert first.route == second.route == "r"
            assert second.fallback_from is None
            assert second.call_id.hex() == got.headers["x-tollbook-call-id"].replace("-", "")
            assert one.requests[0].body == one.requests[1].body

    run(main())


@pytest.mark.parametrize("status", ["400 x", "401 x", "403 x", "404 x", "422 x", "501 x"])
def test_a_lasting_error_is_the_clients(status: str) -> None:
    async def main() -> None:
        one = Provider(replying(failing(status, headers="x-request-id: r1\r\n"), GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            got = await gateway.ask(ask())
            assert got.status == int(status[:3])
            assert got.headers["x-request-id"] == "r1"
            assert "x-tollbook-attempts" not in got.headers
            assert len(one.requests) == 1
            assert len(chain(gateway.sink)) == 1

    run(main())


def test_the_last_error_comes_unchanged() -> None:
    async def main() -> None:
        last = failing("503 Busy", kind="overloaded", headers="x-request-id: last\r\nx-odd: 1\r\n")
        one = Provider(replying(failing("500 x"), failing("502 x"), last))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            client = await gateway.client()
            client.send(ask())
            got = await client.response()
            assert got.status == 503
            assert got.body == last.partition(b"\r\n\r\n")[2]
            assert (got.headers["x-request-id"], got.headers["x-odd"]) == ("last", "1")
            assert got.headers["x-tollbook-attempts"] == "3"
            assert [end.http_status for _, end in chain(gateway.sink)] == [500, 502, 503]
            assert not any(end.is_billable for _, end in chain(gateway.sink))
            one.handler = replying(GOOD)
            client.send(ask())
            assert (await client.response()).status == 200, "the connection is kept"

    run(main())


def test_a_quota_that_is_used_up_is_not_tried_again() -> None:
    async def main() -> None:
        one = Provider(replying(failing("429 x", kind="insufficient_quota"), GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            assert (await gateway.ask(ask())).status == 429
            assert len(one.requests) == 1

    run(main())


@pytest.mark.parametrize(
    ("advice", "status", "count"), [("false", "500 x", 1), ("true", "400 x", 2)]
)
def test_the_providers_own_advice_goes_first(advice: str, status: str, count: int) -> None:
    async def main() -> None:
        first = failing(status, headers=f"x-should-retry: {advice}\r\n")
        one = Provider(replying(first, GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            await gateway.ask(ask())
            assert len(one.requests) == count

    run(main())


def test_only_what_retry_on_names_is_tried_again() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x"), GOOD))
        async with routed({"one": one}, {"r": route("one", retry_on=["connect", 404])}) as gateway:
            assert (await gateway.ask(ask())).status == 500
            one.handler = replying(failing("404 x"), GOOD)
            assert (await gateway.ask(ask())).status == 200

    run(main())


def test_retry_after_is_waited_for() -> None:
    async def main() -> None:
        first = failing("429 x", headers="retry-after-ms: 150\r\n")
        one = Provider(replying(first, GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            got = await gateway.ask(ask())
            assert got.status == 200
            (_, end), (second, _) = chain(gateway.sink)
            assert second.started_at_ns - end.closed_at_ns >= 140_000_000

    run(main())


def test_a_longer_retry_after_than_the_budget_is_answered_at_once() -> None:
    async def main() -> None:
        first = failing("429 x", headers="retry-after: 30\r\n")
        one = Provider(replying(first, GOOD))
        async with routed({"one": one}, {"r": route("one", max_wait_s=5.0)}) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.headers["retry-after"]) == (429, "30")
            assert len(one.requests) == 1

    run(main())


def test_the_waits_of_a_request_share_one_budget() -> None:
    async def main() -> None:
        first = failing("429 x", headers="retry-after-ms: 60\r\n")
        one = Provider(replying(first))
        settings = route("one", max_wait_s=0.1, retries=5)
        async with routed({"one": one}, {"r": settings}) as gateway:
            assert (await gateway.ask(ask())).status == 429
            assert len(one.requests) == 2

    run(main())


def test_another_target_is_tried_without_a_wait() -> None:
    async def main() -> None:
        one = Provider(replying(failing("429 x", headers="retry-after: 3600\r\n")))
        two = Provider()
        settings = route("one", "two", backoff_base_s=100.0, backoff_max_s=100.0)
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            got = await gateway.ask(ask())
            assert got.status == 200
            first, second = gateway.sink.opened
            assert (first.provider, second.provider) == ("one", "two")
            assert second.fallback_from == "one/m"
            assert two.requests[0].header("authorization") == "Bearer sk-two"
            assert one.requests[0].header("authorization") == "Bearer sk-one"
            two.requests.clear()
            await gateway.ask(ask())
            assert gateway.seen() == {"one": 1, "two": 1}, "it asked for a pause: others go first"

    run(main())


def test_a_pause_asked_of_a_callers_own_key_is_not_everyones() -> None:
    async def main() -> None:
        one = Provider(replying(failing("429 x", headers="retry-after: 3600\r\n"), GOOD))
        async with routed(
            {"one": one}, {"r": route("one", {"provider": "one", "model": "n"})}
        ) as g:
            assert (await g.ask(ask(key="sk-mine"))).status == 200
            assert g.target("one/*").rests_until == 0

    run(main())


def test_connection_refused_is_tried_elsewhere_and_costs_nothing() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        settings = {"r": route("one", "two")}
        async with routed(providers, settings, down=("one",)) as gateway:
            assert (await gateway.ask(ask())).status == 200
            (_, end), (_, done) = chain(gateway.sink)
            assert (end.error_type, end.is_billable) == ("upstream_unreachable", False)
            assert (end.status, end.http_status, end.response_bytes) == ("error", 502, 0)
            assert done.is_billable

    run(main())


def test_a_provider_that_stays_away_is_502_after_all_attempts() -> None:
    async def main() -> None:
        async with routed({"one": Provider()}, {"r": route("one")}, down=("one",)) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.headers["x-tollbook-attempts"]) == (502, "3")
            assert msgspec.json.decode(got.body)["error"]["code"] == "upstream_unreachable"
            assert_one_operation(gateway.sink, 3)

    run(main())


def test_a_target_may_have_less_time_to_begin() -> None:
    async def main() -> None:
        one, two = Provider(silent()), Provider()
        slow = {"provider": "one", "first_byte_timeout_s": 0.05}
        async with routed({"one": one, "two": two}, {"r": route(slow, "two")}) as gateway:
            assert (await gateway.ask(ask())).status == 200
            (_, end), _ = chain(gateway.sink)
            assert end.error_type == "upstream_timeout"
            assert end.is_billable, "it may have generated: it is estimated"

    run(main())


def test_a_timeout_is_not_tried_again_where_the_route_says_so() -> None:
    async def main() -> None:
        one, two = Provider(silent()), Provider()
        slow = {"provider": "one", "first_byte_timeout_s": 0.05}
        settings = route(slow, "two", retry_on=["status"], fallback_on=["status"])
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            assert (await gateway.ask(ask())).status == 504
            assert gateway.seen() == {"one": 1, "two": 0}

    run(main())


def test_a_provider_that_hangs_up_is_tried_again() -> None:
    async def main() -> None:
        one, two = Provider(closing()), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            assert (await gateway.ask(ask())).status == 200
            (_, end), _ = chain(gateway.sink)
            assert (end.error_type, end.is_billable) == ("upstream_disconnected", True)

    run(main())


def test_a_target_may_have_less_time_to_connect() -> None:
    async def main() -> None:
        one, two = Provider(), Provider()
        slow = {"provider": "one", "connect_timeout_s": 0.05}
        async with routed({"one": one, "two": two}, {"r": route(slow, "two")}) as gateway:
            pool = gateway.target("one").upstream.pool
            pool._dial_if_needed = lambda: None  # type: ignore[method-assign]  # a network that swallows packets
            assert (await gateway.ask(ask())).status == 200
            (_, end), _ = chain(gateway.sink)
            assert (end.error_type, end.is_billable) == ("upstream_connect_timeout", False)
            assert pool.counts[2] == 0, "nobody waits there any more"

    run(main())


def test_a_failed_attempt_that_reports_usage_stays_billed() -> None:
    async def main() -> None:
        body = (
            b'{"error":{"message":"no","type":"server_error","code":null},"usage":' + USAGE + b"}"
        )
        one = Provider(replying(answer(body, "500 x"), GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            assert (await gateway.ask(ask())).status == 200
            (_, end), (_, done) = chain(gateway.sink)
            assert end.is_billable
            assert end.usage == (USAGE,)
            assert done.usage == (USAGE,)

    run(main())


def test_fallbacks_follow_when_the_first_group_has_failed() -> None:
    async def main() -> None:
        providers = {
            "one": Provider(replying(failing("500 x"))),
            "two": Provider(replying(failing("503 x"))),
            "three": Provider(replying(failing("429 x"))),
            "four": Provider(),
        }
        settings = route(
            "one", "two", retries=1,
            fallbacks=[{"provider": "three"}, {"provider": "four", "model": "other"}],
        )  # fmt: skip
        async with routed(providers, {"r": settings}) as gateway:
            got = await gateway.ask(ask())
            assert (got.status, got.headers["x-tollbook-attempts"]) == (200, "4")
            assert_one_operation(gateway.sink, 4)
            opened = gateway.sink.opened
            assert [each.provider for each in opened] == ["one", "two", "three", "four"]
            assert [each.fallback_from for each in opened] == [None, "one/m", "one/m", "one/m"]
            assert b'"model":"other"' in providers["four"].requests[0].body
            assert b'"model":"m"' in providers["three"].requests[0].body
            assert gateway.sink.opened[-1].model_requested == "m"
            assert gateway.sink.closed[-1].model_actual == "gpt-4o-mini-2024-07-18"

    run(main())


@pytest.mark.parametrize("is_fallback", [True, False])
@pytest.mark.parametrize("status", ["401 x", "402 x", "403 x", "404 x", "429 x"])
def test_a_lasting_error_of_the_target_goes_to_another(status: str, is_fallback: bool) -> None:  # noqa: FBT001 -- a parameter
    async def main() -> None:
        one, two = Provider(replying(failing(status, kind="insufficient_quota"))), Provider()
        settings = route("one", "two")
        if is_fallback:
            settings = route("one", retries=3, fallbacks=[{"provider": "two"}])
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            assert (await gateway.ask(ask())).status == 200
            assert gateway.seen() == {"one": 1, "two": 1}

    run(main())


def test_a_bad_request_is_nobodys_to_mend() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("400 x"))), Provider()
        settings = route("one", fallbacks=[{"provider": "two"}])
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            assert (await gateway.ask(ask())).status == 400
            assert gateway.seen() == {"one": 1, "two": 0}

    run(main())


def test_a_fallback_that_fails_is_the_answer() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider(replying(failing("418 Tea")))
        settings = route("one", retries=0, fallbacks=[{"provider": "two"}])
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            assert (await gateway.ask(ask())).status == 418

    run(main())


def test_an_attempt_without_an_answer_names_the_model_that_was_asked() -> None:
    async def main() -> None:
        one, two = Provider(closing()), Provider()
        settings = route({"provider": "one", "model": "big"}, "two")
        async with routed({"one": one, "two": two}, {"r": settings}) as gateway:
            await gateway.ask(ask("small"))
            (first, end), (_, done) = chain(gateway.sink)
            assert (first.model_requested, end.model_actual) == ("small", "big")
            assert done.model_actual == "gpt-4o-mini-2024-07-18"

    run(main())


def test_a_providers_own_prefix_may_have_retries() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x"), failing("502 x"), GOOD))
        async with routed({"one": one}, provider_settings={"one": {"retries": 2}}) as gateway:
            settings = gateway.service.router.own_plans["one"]
            settings.policy = settings.policy._replace(backoff_base_s=0.001)
            got = await gateway.ask(ask(path="/one/v1/chat/completions"))
            assert (got.status, got.headers["x-tollbook-attempts"]) == (200, "3")
            assert_one_operation(gateway.sink, 3)
            assert {each.route for each in gateway.sink.opened} == {None}
            files = b"POST /one/v1/files HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer tb_k\r\n"
            one.handler = replying(failing("500 x"))
            got = await gateway.ask(files + b"Content-Length: 2\r\n\r\nhi")
            assert got.status == 500
            assert len(one.requests) == 4, "what is streamed through is not sent twice"

    run(main())


def test_without_retries_an_error_passes_at_once() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x"), GOOD))
        async with routed({"one": one}) as gateway:
            assert (await gateway.ask(ask(path="/one/v1/chat/completions"))).status == 500

    run(main())


def test_a_clients_own_count_goes_on() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x"), GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            request = ask().replace(b"Host: gw", b"Host: gw\r\nx-stainless-retry-count: 2")
            await gateway.ask(request)
            assert [each.attempt for each in gateway.sink.opened] == [3, 4]

    run(main())


def test_every_attempt_is_on_file_before_it_leaves() -> None:
    async def main() -> None:
        sink = Sink()
        known: list[int] = []
        one = Provider(replying(failing("500 x"), failing("500 x"), GOOD))
        one.on_request = lambda: known.append(len(sink.opened))
        async with routed({"one": one}, {"r": route("one")}, sink=sink) as gateway:
            await gateway.ask(ask())
            assert known == [1, 2, 3]
            assert gateway.service.metrics.in_flight == 0
            assert not gateway.service.exchanges

    run(main())


def test_metrics_tell_of_each_target() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            await gateway.ask(ask())
            text = (await gateway.ask(b"GET /metrics HTTP/1.1\r\nHost: g\r\n\r\n")).body.decode()
            labels = 'route="r",provider="two",model="*"'
            for name, value in (("attempts", 1), ("retries", 1), ("fallbacks", 1), ("failures", 0)):
                assert f"tollbook_gateway_target_{name}_total{{{labels}}} {value}\n" in text
            assert 'target_failures_total{route="r",provider="one",model="*"} 1\n' in text
            assert f"tollbook_gateway_target_breaker{{{labels}}} 0\n" in text
            assert f"tollbook_gateway_target_in_flight{{{labels}}} 0\n" in text

    run(main())


async def _gone(gateway: Routed, request: bytes, when: Any) -> None:
    client = await gateway.client()
    client.send(request)
    await until(when)
    client.close()


def test_a_client_that_leaves_during_the_wait_ends_it() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x", headers="retry-after: 10\r\n")))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            await _gone(gateway, ask(), lambda: gateway.sink.closed)
            assert len(gateway.service.exchanges) == 1
            await until(lambda: not gateway.service.exchanges)
            assert len(one.requests) == 1
            assert len(chain(gateway.sink)) == 1
            assert gateway.target("one").in_flight == 0

    run(main())


def test_a_client_that_has_left_gets_no_further_attempt() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def handler(
            _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await release.wait()
            writer.write(failing("500 x"))

        one = Provider(handler)
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            await _gone(gateway, ask(), lambda: one.requests)
            await until(lambda: gateway.service.metrics.draining)
            release.set()
            (closed,) = await gateway.closed_calls()
            assert closed.status == "cancelled"
            assert len(one.requests) == 1

    run(main())


def test_a_worker_that_stops_lets_a_wait_end_in_time() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x", headers="retry-after-ms: 200\r\n"), GOOD))
        async with routed({"one": one}, {"r": route("one")}) as gateway:
            client = await gateway.client()
            client.send(ask())
            await gateway.closed_calls()
            stopping = asyncio.create_task(gateway.service.stop())
            got = await client.response()
            assert (got.status, got.headers["connection"]) == (200, "close")
            await stopping
            assert len(chain(gateway.sink)) == 2

    run(main())


def test_a_worker_that_stops_waits_no_longer_than_it_may() -> None:
    async def main() -> None:
        one = Provider(replying(failing("500 x", headers="retry-after: 15\r\n"), GOOD))
        settings = {"shutdown_timeout_s": 0.1}
        async with routed({"one": one}, {"r": route("one")}, settings=settings) as gateway:
            client = await gateway.client()
            client.send(ask())
            await gateway.closed_calls()
            await gateway.service.stop()
            assert len(chain(gateway.sink)) == 1
            assert len(one.requests) == 1
            assert not gateway.service.exchanges

    run(main())
