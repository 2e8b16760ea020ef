"""Answers given again: to the same tenant, to an equal request, in bounds, and as calls."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.kit import (
    ANSWER,
    CHAT_BODY,
    STREAM_BODY,
    USAGE,
    FakeKeys,
    Gateway,
    Provider,
    Response,
    answer,
    chat,
    replying,
    run,
    running,
)

from tollbook.call import CallClosed, Status
from tollbook.capture.gateway.response_cache import ResponseCache, cache_key
from tollbook.config import Config
from tollbook.config.schema import ResponseCacheSettings
from tollbook.identity.claims import KeyBinding

USE = "x-tollbook-cache: use\r\n"
ACME = "x-tollbook-tenant: acme\r\n"
EVENT = b'data: {"id":"c","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'
LAST = b'data: {"id":"c","model":"gpt-4o","choices":[],"usage":' + USAGE + b"}\n\n"
DONE = b"data: [DONE]\n\n"
CLOSED = CallClosed(b"c" * 16, 1, Status.OK)


def cached(provider: Provider | None = None, **settings: Any) -> Any:
    """Run a gateway with a response cache."""
    return running(provider, cache={"enabled": True, **settings})


async def ask_twice(gateway: Gateway, first: bytes, second: bytes | None = None) -> list[Response]:
    return [await gateway.ask(first), await gateway.ask(first if second is None else second)]


def outcomes(responses: list[Response]) -> list[str | None]:
    return [response.headers.get("x-tollbook-cache") for response in responses]


def test_an_equal_request_gets_the_same_answer_as_a_call_of_its_own() -> None:
    async def main() -> None:
        headers = (
            "x-ratelimit-remaining: 5\r\nset-cookie: a=b\r\nx-request-id: r1\r\nx-own: kept\r\n"
        )
        async with cached(Provider(replying(answer(headers=headers)))) as gateway:
            first, again = await ask_twice(gateway, chat(headers=ACME + USE))
            assert outcomes([first, again]) == ["miss", "hit"]
            assert first.body == again.body == ANSWER
            assert again.headers["x-own"] == "kept"
            assert again.headers["age"] == "0"
            dropped = {"set-cookie", "x-request-id", "x-ratelimit-remaining"}
            assert not dropped & again.headers.keys()
            assert again.headers["content-length"] == str(len(ANSWER))
            assert first.headers["x-tollbook-call-id"] != again.headers["x-tollbook-call-id"]
            assert len(gateway.provider.requests) == 1
            opened, closed = gateway.sink.opened[1], gateway.sink.closed[1]
            assert closed.call_id == opened.call_id != gateway.sink.opened[0].call_id
            assert closed.cached_from == gateway.sink.opened[0].call_id
            assert (closed.status, closed.is_billable, closed.http_status) == ("ok", False, 200)
            assert closed.usage == (USAGE,)
            assert closed.model_actual == "gpt-4o-mini-2024-07-18"
            assert gateway.sink.closed[0].cached_from is None
            third = await gateway.ask(chat(headers=ACME + USE))
            assert outcomes([third]) == ["hit"]
            assert gateway.sink.closed[2].cached_from == gateway.sink.opened[0].call_id
            metrics = gateway.service.metrics
            assert metrics.in_flight == metrics.open_streams == 0

    run(main())


@pytest.mark.parametrize("hides_usage", [False, True])
def test_a_stream_is_given_again_as_a_stream(hides_usage: bool) -> None:  # noqa: FBT001 -- a case
    body = STREAM_BODY
    if hides_usage:
        body = body.replace(b',"stream_options":{"include_usage":true}', b"")
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (EVENT, LAST, DONE))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"

    async def main() -> None:
        async with cached(Provider(replying(head + b"\r\n" + wire + b"0\r\n\r\n"))) as gateway:
            first, again = await ask_twice(gateway, chat(body, headers=ACME + USE))
            assert outcomes([first, again]) == ["miss", "hit"]
            shown = EVENT + DONE if hides_usage else EVENT + LAST + DONE
            assert first.body == again.body == shown
            assert again.headers["content-type"] == "text/event-stream"
            assert again.headers["transfer-encoding"] == "chunked"
            assert gateway.sink.closed[1].usage == (USAGE,)
            assert gateway.service.metrics.open_streams == 0

    run(main())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (ACME + USE, "x-tollbook-tenant: globex\r\n" + USE, ["miss", "miss"]),
        (USE, USE, ["bypass", "bypass"]),  # whose it would be is not known
        (ACME + USE, ACME, ["miss", None]),
        (ACME + USE, ACME + USE + "Cache-Control: no-store\r\n", ["miss", "bypass"]),
        (ACME + USE + "Cache-Control: no-store\r\n", ACME + USE, ["bypass", "miss"]),
        (ACME + USE, ACME + USE + "Cache-Control: no-cache\r\n", ["miss", "miss"]),
        (ACME + USE, ACME + USE + "OpenAI-Beta: x=1\r\n", ["miss", "miss"]),
        (ACME + USE, ACME + USE + "x-anything-else: 1\r\n", ["miss", "miss"]),
        (ACME + USE, ACME + USE + "User-Agent: other\r\nx-stainless-retry-count: 1\r\n",
         ["miss", "hit"]),
        (ACME + USE, ACME + "x-tollbook-user: ann\r\n" + USE, ["miss", "hit"]),
        (ACME + "x-tollbook-cache: no\r\n", ACME + USE, [None, "miss"]),
    ],
)  # fmt: skip
def test_who_gets_what_again(first: str, second: str, expected: list[str | None]) -> None:
    async def main() -> None:
        async with cached() as gateway:
            asked = await ask_twice(gateway, chat(headers=first), chat(headers=second))
            assert outcomes(asked) == expected
            assert len(gateway.provider.requests) == 2 - expected.count("hit")

    run(main())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{ "messages":[{"content":"hi","role":"user"}], "model":"gpt-4o-mini" }', "hit"),
        (CHAT_BODY.replace(b"hi", b"ho"), "miss"),
        (CHAT_BODY[:-1] + b',"temperature":0}', "miss"),
        (CHAT_BODY[:-1] + b',"temperature":0.0}', "miss"),
        (CHAT_BODY[:-1] + b',"conversation":"conv_1"}', "bypass"),
        (CHAT_BODY[:-1] + b',"background":true}', "bypass"),
        (CHAT_BODY[:-1], "bypass"),
    ],
)
def test_which_bodies_are_equal(body: bytes, expected: str) -> None:
    async def main() -> None:
        async with cached() as gateway:
            headers = ACME + USE
            asked = await ask_twice(gateway, chat(headers=headers), chat(body, headers=headers))
            assert outcomes(asked) == ["miss", expected]

    run(main())


def test_paths_and_queries_are_compared() -> None:
    async def main() -> None:
        async with cached() as gateway:
            for path in ("", "?a=1", "?a=2"):
                request = chat(headers=ACME + USE, path=f"/openai/v1/chat/completions{path}")
                assert outcomes(await ask_twice(gateway, request)) == ["miss", "hit"]

    run(main())


@pytest.mark.parametrize(
    "given_answer",
    [
        answer(b'{"error":{"message":"no"}}', "500 Oops"),
        answer(b'{"error":{"message":"no"}}'),  # an error under 200
        answer(b"{}", "201 Created"),
        answer(ANSWER + b" " * 20_000),  # more than an eighth of the cache
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{}",
    ],
)
def test_what_is_not_a_whole_good_answer_is_not_kept(given_answer: bytes) -> None:
    async def reply(provider: Provider, _: Any, __: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(given_answer)
        if b": 999" in given_answer:
            writer.close()

    async def main() -> None:
        async with cached(Provider(reply), max_bytes=65_536) as gateway:
            for _ in range(2):
                client = await gateway.client()
                client.send(chat(headers=ACME + USE))
                line = await client.reader.readuntil(b"\r\n\r\n")
                assert b"x-tollbook-cache: miss" in line
                client.close()
            assert len(gateway.service.response_cache) == 0

    run(main())


def test_an_answer_nobody_waited_for_is_not_kept() -> None:
    async def half(_: Any, __: Any, ___: Any, writer: asyncio.StreamWriter) -> None:
        whole = answer()
        writer.write(whole[:-5])
        await asyncio.sleep(0.1)
        writer.write(whole[-5:])

    async def main() -> None:
        async with cached(Provider(half)) as gateway:
            client = await gateway.client()
            client.send(chat(headers=ACME + USE))
            await client.reader.readexactly(10)
            client.close()
            await gateway.closed_calls()
            assert len(gateway.service.response_cache) == 0

    run(main())


def test_a_retried_request_keeps_its_last_answer() -> None:
    broken = answer(b'{"error":{"message":"no"}}', "500 Oops", "retry-after-ms: 1\r\n")

    async def main() -> None:
        provider = Provider(replying(broken, answer()))
        settings = {"retries": 1}
        async with running(
            provider, cache={"enabled": True}, provider_settings=settings
        ) as gateway:
            request = chat(headers=ACME + USE + "x-tollbook-report: cost\r\n")
            first, again = await ask_twice(gateway, request)
            assert outcomes([first, again]) == ["miss", "hit"]
            assert first.headers["x-tollbook-attempts"] == "2"
            assert "no prices" in again.headers["x-tollbook-report"]
            assert first.body == again.body == ANSWER
            failed, good, hit = gateway.sink.closed
            assert (failed.status, good.status, hit.status) == ("error", "ok", "ok")
            assert hit.cached_from == good.call_id
            metrics = gateway.service.metrics
            assert metrics.in_flight == 0

    run(main())


def test_an_answer_grows_old() -> None:
    async def main() -> None:
        async with cached(ttl_s=0.1) as gateway:
            request = chat(headers=ACME + USE)
            assert outcomes(await ask_twice(gateway, request)) == ["miss", "hit"]
            await asyncio.sleep(0.2)
            assert outcomes(await ask_twice(gateway, request)) == ["miss", "hit"]

    run(main())


def test_by_settings_all_use_it_or_each_user_its_own() -> None:
    async def main() -> None:
        async with cached(requests="all") as gateway:
            assert outcomes(await ask_twice(gateway, chat(headers=ACME))) == ["miss", "hit"]
            metrics = await gateway.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b'response_cache_total{outcome="hit"} 1' in metrics.body
        ann, bob = (ACME + f"x-tollbook-user: {name}\r\n" + USE for name in ("ann", "bob"))
        async with cached(per="user") as gateway:
            assert outcomes(await ask_twice(gateway, chat(headers=ann))) == ["miss", "hit"]
            assert outcomes(await ask_twice(gateway, chat(headers=bob))) == ["miss", "hit"]
            assert outcomes([await gateway.ask(chat(headers=ACME + USE))]) == ["bypass"]
        async with running() as gateway:  # off by default
            assert outcomes(await ask_twice(gateway, chat(headers=ACME + USE))) == [None, None]

    run(main())


def test_a_key_that_nobody_here_has_judged_gets_its_own_answers_only() -> None:
    keys = FakeKeys(
        tb_a=KeyBinding(api_key_id="a", tenant_id="acme"),
        tb_b=KeyBinding(api_key_id="b", tenant_id="acme"),
    )

    def by(key: str) -> bytes:
        return chat(headers=ACME + USE).replace(b"sk-own", key.encode())

    async def main() -> None:
        async with running(keys=keys, cache={"enabled": True}) as gateway:
            assert outcomes(await ask_twice(gateway, by("sk-one"))) == ["miss", "hit"]
            assert outcomes(await ask_twice(gateway, by("sk-made-up"))) == ["miss", "hit"]
            assert outcomes(await ask_twice(gateway, by("tb_a"), by("tb_b"))) == ["miss", "hit"]

    run(main())


def test_a_refused_request_gets_no_answer_given_before() -> None:
    async def main() -> None:
        async with cached() as gateway:
            await gateway.ask(chat(headers=ACME + USE))
            refused = chat(headers=ACME + USE).replace(b"Bearer sk-own", b"Bearer tb_stolen")
            assert (await gateway.ask(refused)).status == 401

    run(main())


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12_000), st.integers(0, 30)), max_size=30)
)
def test_the_cache_keeps_its_bounds(puts: list[tuple[int, int, int]]) -> None:
    cache = ResponseCache(ResponseCacheSettings(enabled=True, max_bytes=65_536, ttl_s=20))
    last: dict[bytes, tuple[int, int]] = {}
    now = 0
    for name, size, later in puts:
        now += later
        key = b"%d" % name
        cache.put(key, [(b"content-type", b"x")], b"y" * size, CLOSED, now)
        if size <= cache.max_answer_bytes:
            last[key] = (size, now)
        assert cache.size_bytes <= 65_536
        assert cache.size_bytes == sum(kept.size_bytes for kept in cache._kept.values())
    for key, (size, kept_at) in last.items():
        kept = cache.get(key, now)
        assert kept is None or (len(kept.body) == size and now - kept_at <= 20)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), _json, max_size=4), st.randoms())
def test_order_and_spacing_of_members_do_not_matter(body: dict[str, Any], random: Any) -> None:
    members = list(body.items())
    random.shuffle(members)
    plain = msgspec.json.encode(body)
    shuffled = msgspec.json.format(msgspec.json.encode(dict(members)), indent=3)
    where = ("provider openai", "POST", b"/v1/x")
    assert cache_key(("acme",), where, [], plain) == cache_key(("acme",), where, [], shuffled)
    assert cache_key(("acme",), where, [], plain) != cache_key(("acmeb",), where, [], plain)


def test_parts_of_a_key_do_not_run_together() -> None:
    where = ("p", "POST", b"/x")
    keys = {
        cache_key(("a", "b"), where, [], b"{}"),
        cache_key(("ab", ""), where, [], b"{}"),
        cache_key(("a",), ("bp", "POST", b"/x"), [], b"{}"),
        cache_key(("a",), ("p", "POST", b"/x"), [(b"y", b"z")], b"{}"),
        cache_key(("a",), ("p", "POST", b"/x"), [(b"yz", b"")], b"{}"),
    }
    assert len(keys) == 5
    assert msgspec.convert({"response_cache": {"ttl_s": 5}}, Config).response_cache.ttl_s == 5
