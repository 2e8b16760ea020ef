"""HTTP/1.1 on both sides: framing, order, interim responses, what passes and what does not."""

from __future__ import annotations

import asyncio
import gzip
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.kit import (
    ANSWER,
    CHAT_BODY,
    USAGE,
    Provider,
    Received,
    answer,
    chat,
    get,
    replying,
    run,
    running,
)


def test_a_call_passes_and_is_metered() -> None:
    async def main() -> None:
        async with running() as gateway:
            response = await gateway.ask(chat(headers="baggage: tenant.id=acme\r\n"))
            assert (response.status, response.body) == (200, ANSWER)
            seen = gateway.provider.requests[0]
            assert seen.line == "POST /v1/chat/completions HTTP/1.1"
            assert seen.body == CHAT_BODY
            assert seen.header("host") == f"localhost:{gateway.provider.port}"
            assert seen.header("authorization") == "Bearer sk-own"
            assert seen.header("accept-encoding") == "identity"
            (opened,), (closed,) = gateway.sink.opened, gateway.sink.closed
            assert opened.identity.tenant_id == "acme"
            assert opened.model_requested == "gpt-4o-mini"
            assert opened.operation == "chat"
            assert opened.identity.api_key_id is not None
            assert opened.identity.api_key_id.startswith("client:")
            assert closed.call_id == opened.call_id
            assert (closed.status, closed.http_status, closed.usage) == ("ok", 200, (USAGE,))
            assert closed.usage_complete
            assert closed.response_bytes == len(ANSWER)
            assert response.headers["x-tollbook-call-id"].replace("-", "") == opened.call_id.hex()

    run(main())


def test_hop_by_hop_identity_and_forwarded_headers_do_not_pass() -> None:
    sent = (
        "Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n"
        "TE: trailers\r\nProxy-Authorization: Basic x\r\nForwarded: for=1.2.3.4\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nbaggage: tenant.id=acme\r\nX-Tollbook-User: u\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
        "Helicone-Property-Feature: f\r\nx-portkey-metadata: {}\r\nX-Tollbook-Call-Id: forged\r\n"
        "OpenAI-Organization: org-1\r\nUser-Agent: probe\r\n"
    )

    async def main() -> None:
        reply = answer(
            headers="Connection: close, X-Hop\r\nX-Hop: 1\r\nAlt-Svc: h3\r\n"
            "X-Tollbook-Call-Id: forged\r\nX-Request-Id: req_1\r\n"
        )
        async with running(Provider(replying(reply))) as gateway:
            response = await gateway.ask(chat(headers=sent))
            names = {name for name, _ in gateway.provider.requests[0].headers}
            assert names == {
                "host", "authorization", "content-type", "content-length", "accept-encoding",
                "openai-organization", "user-agent",
            }  # fmt: skip
            assert {"x-hop", "alt-svc", "connection"}.isdisjoint(response.headers)
            assert response.headers["x-request-id"] == "req_1"
            assert response.headers["x-tollbook-call-id"] != "forged"
            assert gateway.sink.opened[0].trace_id == "0af7651916cd43dd8448eb211c80319c"
            assert gateway.sink.opened[0].parent_span_id == "b7ad6b7169203331"
            assert gateway.sink.closed[0].provider_request_id == "req_1"

    run(main())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def handler(
        _: Provider, request: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(0.02 if b"slow" in request.body else 0)
        writer.write(answer(b'{"echo":' + request.body + b"}"))

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            bodies = [b'"slow 0"', b'"1"', b'"slow 2"', b'"3"']
            client.send(
                b"".join([chat(body) for body in bodies])
                + b"GET /readyz HTTP/1.1\r\nHost: gw\r\n\r\n"
                + chat(b'"5"')
            )
            for body in bodies:
                assert (await client.response()).body == b'{"echo":' + body + b"}"
            assert b"ready" in (await client.response()).body
            assert (await client.response()).body == b'{"echo":"5"}'

    run(main())


def test_a_flood_of_pipelined_requests_is_bounded() -> None:
    async def main() -> None:
        async with running() as gateway:
            client = await gateway.client()
            client.send(chat() * 500)
            data = await client.rest()
            answered = data.count(b"HTTP/1.1 200")
            assert 1 <= answered < 500
            assert answered == len(gateway.provider.requests) == len(gateway.sink.closed)

    run(main())


def test_a_malformed_request_is_answered_after_the_one_before_it() -> None:
    async def main() -> None:
        async with running() as gateway:
            client = await gateway.client()
            client.send(chat() + b"GET /x HTTP/1.1\r\nHost : gw\r\n\r\n")
            assert (await client.response()).status == 200
            assert (await client.response()).status == 400
            assert await client.rest() == b""

    run(main())


CHUNKED = b"20\r\n" + CHAT_BODY[:32] + b"\r\n" + b"%x;ext=1\r\n" % (len(CHAT_BODY) - 32)
CHUNKED_REQUEST = (
    chat(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + CHUNKED + CHAT_BODY[32:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
)  # fmt: skip


def test_a_chunked_request_of_a_metered_endpoint_leaves_with_a_length() -> None:
    async def main() -> None:
        async with running() as gateway:
            assert (await gateway.ask(CHUNKED_REQUEST)).status == 200
            seen = gateway.provider.requests[0]
            assert seen.body == CHAT_BODY
            assert seen.header("transfer-encoding") is None
            assert seen.header("trailer") is None

    run(main())


def test_a_chunked_request_is_streamed_through_elsewhere() -> None:
    async def main() -> None:
        async with running() as gateway:
            response = await gateway.ask(
                CHUNKED_REQUEST.replace(b"/v1/chat/completions", b"/v1/files?purpose=x%2Fy")
            )
            assert response.status == 200
            seen = gateway.provider.requests[0]
            assert seen.line == "POST /v1/files?purpose=x%2Fy HTTP/1.1"
            assert seen.body == CHAT_BODY
            assert seen.header("transfer-encoding") == "chunked"
            (opened,) = gateway.sink.opened
            assert (opened.operation, opened.metering, opened.path) == (
                "files", "free", "/v1/files"
            )  # fmt: skip

    run(main())


@pytest.mark.parametrize("request_bytes", [chat(), CHUNKED_REQUEST], ids=["length", "chunked"])
def test_a_request_cut_at_every_byte(request_bytes: bytes) -> None:
    async def main() -> None:
        async with running() as gateway:
            client = await gateway.client()
            for byte in request_bytes:
                client.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await client.response()).body == ANSWER
            assert gateway.provider.requests[0].body == CHAT_BODY

    run(main())


RESPONSES = {
    "length": answer(),
    "chunked": answer(b"", length=False, headers="transfer-encoding: chunked\r\n")
    + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (ANSWER[:9], ANSWER[9:]))
    + b"0\r\n\r\n",
    "close": answer(length=False),
    "http/1.0": answer().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    + answer(),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("step", [1, 10_000])
def test_every_framing_of_a_response(name: str, version: str, step: int) -> None:
    raw = RESPONSES[name]

    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for at in range(0, len(raw), step):
            writer.write(raw[at : at + step])
            await asyncio.sleep(0)
        if name in {"close", "http/1.0"}:
            writer.close()

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            client.send(chat().replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
            response = await client.response()
            assert (response.status, response.body) == (200, ANSWER)
            if version == "1.0":
                assert "transfer-encoding" not in response.headers
                assert await client.rest() == b""
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.usage) == ("ok", (USAGE,))

    run(main())


@pytest.mark.parametrize(
    ("method", "raw", "status"),
    [
        ("HEAD", answer(b"", headers="").replace(b"length: 0", b"length: 99"), 200),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 12\r\n\r\n", 304),
    ],
)
def test_responses_without_a_body_keep_both_connections(
    method: str, raw: bytes, status: int
) -> None:
    async def main() -> None:
        async with running(Provider(replying(raw))) as gateway:
            client = await gateway.client()
            for _ in range(3):
                client.send(get(method=method))
                response = await client.response(is_head=True)
                assert response.status == status
            if method == "HEAD" and b"99" in raw:
                assert response.headers["content-length"] == "99"
            assert gateway.provider.connections == 1

    run(main())


def test_100_continue_is_sent_only_when_the_body_is_wanted() -> None:
    async def main() -> None:
        async with running() as gateway:
            client = await gateway.client()
            head, body = chat(headers="Expect: 100-continue\r\n").split(b"\r\n\r\n")
            client.send(head + b"\r\n\r\n")
            assert (await client.response()).status == 100
            client.send(body)
            assert (await client.response()).status == 200
            assert gateway.provider.requests[0].header("expect") is None
            client.send(head.replace(b"Bearer sk-own", b"Bearer tb_unknown") + b"\r\n\r\n")
            response = await client.response()
            assert (response.status, response.headers["connection"]) == (401, "close")

    run(main())


def test_a_compressed_answer_is_metered_from_a_copy() -> None:
    packed = gzip.compress(ANSWER)

    async def main() -> None:
        reply = answer(packed, headers="content-encoding: gzip\r\n")
        async with running(Provider(replying(reply))) as gateway:
            response = await gateway.ask(chat())
            assert response.body == packed
            assert gateway.sink.closed[0].usage == (USAGE,)

    run(main())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 600 + b"content-length: 0\r\n\r\n",
    ],
)
def test_a_response_that_is_not_http_is_502(raw: bytes) -> None:
    async def main() -> None:
        async with running(Provider(replying(raw))) as gateway:
            response = await gateway.ask(chat())
            assert response.status == 502
            assert b'"error"' in response.body
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.error_type) == ("error", "upstream_protocol_error")

    run(main())


def test_local_paths() -> None:
    async def main() -> None:
        async with running() as gateway:
            client = await gateway.client()
            client.send(get("/healthz"))
            assert b'"status":"ok"' in (await client.response()).body
            client.send(chat(path="/nobody/v1/x"))
            response = await client.response()
            assert response.status == 404
            assert b"/openai/, /claude/" in response.body
            client.send(get("/"))
            assert (await client.response()).status == 404
            client.send(get("/healthz", method="POST"))
            assert (await client.response()).status == 405
            client.send(chat())
            assert (await client.response()).status == 200
            client.send(get("http://any.host/metrics"))
            text = (await client.response()).body.decode()
            assert (
                'tollbook_gateway_requests_total{provider="openai",operation="chat",status="200"} 1'
                in text
            )
            assert "tollbook_spool_writable 1" in text
            assert len(gateway.provider.requests) == 1

    run(main())


@given(cuts=st.lists(st.integers(1, len(CHUNKED_REQUEST) + len(chat()) - 1), max_size=12))
@settings(max_examples=40)
def test_any_split_gives_the_same_upstream_bytes(cuts: list[int]) -> None:
    data = CHUNKED_REQUEST + chat()
    edges = [0, *sorted(set(cuts)), len(data)]

    async def main() -> None:
        async with running() as gateway:
            client = await gateway.client()
            for start, end in itertools.pairwise(edges):
                client.send(data[start:end])
                await asyncio.sleep(0.001)
            for _ in range(2):
                assert (await client.response()).body == ANSWER
            first, second = gateway.provider.requests
            assert first == second

    run(main())
