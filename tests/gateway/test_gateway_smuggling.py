"""Whatever two readers could read differently is refused, and no provider sees any of it."""

from __future__ import annotations

import asyncio

import pytest
from tests.gateway.kit import CHAT, Gateway, run, running

HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer sk-own\r\n".encode()
TAIL = b"\r\n\r\n"

CASES = {
    "cl and te": (400, HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "te and cl": (400, HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    "two equal cl": (400, HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    "two cl": (400, HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "cl list": (400, HEAD + b"Content-Length: 2, 2\r\n\r\n{}"),
    "cl plus": (400, HEAD + b"Content-Length: +2\r\n\r\n{}"),
    "cl negative": (400, HEAD + b"Content-Length: -2\r\n\r\n{}"),
    "cl hex": (400, HEAD + b"Content-Length: 0x2\r\n\r\n{}"),
    "cl empty": (400, HEAD + b"Content-Length:\r\n\r\n{}"),
    "cl absurd": (400, HEAD + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n{}"),
    "te xchunked": (400, HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "te gzip, chunked": (400, HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "te chunked twice": (400, HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "te two headers": (
        400, HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "te identity": (400, HEAD + b"Transfer-Encoding: identity\r\n\r\n"),
    "te vertical tab": (400, HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
    "te with http/1.0": (
        400, HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "folded line": (400, HEAD + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}"),
    "space before colon": (400, HEAD + b"Content-Length : 2\r\n\r\n{}"),
    "bare lf": (400, HEAD + b"X-A: b\nContent-Length: 2\r\n\r\n{}"),
    "bare cr": (400, HEAD + b"X-A: b\rContent-Length: 2\r\n\r\n{}"),
    "nul": (400, HEAD + b"X-A: b\x00c\r\nContent-Length: 2\r\n\r\n{}"),
    "control": (400, HEAD + b"X-A: b\x01c\r\nContent-Length: 2\r\n\r\n{}"),
    "name not ascii": (400, HEAD + b"X-\x80: c\r\nContent-Length: 2\r\n\r\n{}"),
    "no name": (400, HEAD + b": c\r\nContent-Length: 2\r\n\r\n{}"),
    "no colon": (400, HEAD + b"Foo\r\nContent-Length: 2\r\n\r\n{}"),
    "chunk size 0x": (400, HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk bare lf": (400, HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n"),
    "chunk too long": (400, HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n"),
    "chunk overflow": (400, HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}"),
    "no host": (400, f"POST {CHAT} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode()),
    "two hosts": (400, HEAD + b"Host: other\r\nContent-Length: 2\r\n\r\n{}"),
    "expect other": (417, HEAD + b"Expect: tea\r\nContent-Length: 2\r\n\r\n{}"),
    "http/0.9": (505, f"GET {CHAT}\r\n\r\n".encode()),
    "http/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "http/2.0": (505, f"GET {CHAT} HTTP/2.0\r\nHost: gw\r\n\r\n".encode()),
    "http/1.10": (400, f"GET {CHAT} HTTP/1.10\r\nHost: gw\r\n\r\n".encode()),
    "lower-case method": (400, f"post {CHAT} HTTP/1.1\r\nHost: gw\r\n\r\n".encode()),
    "connect": (405, b"CONNECT openai:443 HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "trace": (405, f"TRACE {CHAT} HTTP/1.1\r\nHost: gw\r\n\r\n".encode()),
    "target without slash": (400, b"GET openai/v1/models HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "asterisk": (400, b"OPTIONS * HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "other scheme": (400, b"GET ftp://gw/openai/v1/models HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "fragment": (400, b"GET /openai/v1/models#x HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "control in target": (400, b"GET /openai/v1/\x01 HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "high byte in target": (400, b"GET /openai/v1/\xff HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "dot segments": (400, b"GET /openai/../claude/v1/models HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "encoded dot segments": (400, b"GET /openai/%2E%2e/x HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "dot segment at end": (400, b"GET /openai/v1/.. HTTP/1.1\r\nHost: gw\r\n\r\n"),
    "upgrade": (
        501, HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "garbage": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_reaches_nobody(name: str) -> None:
    status, request = CASES[name]

    async def main(gateway: Gateway) -> tuple[bytes, int]:
        client = await gateway.client()
        client.send(request + b"GET /openai/v1/smuggled HTTP/1.1\r\nHost: gw\r\n\r\n")
        return await client.rest(), len(gateway.provider.requests)

    async def with_gateway() -> tuple[bytes, int]:
        async with running() as gateway:
            return await main(gateway)

    data, seen = run(with_gateway())
    assert data.startswith(b"HTTP/1.1 %d " % status), data
    assert data.count(b"content-length: ") == 1
    assert b"connection: close\r\n" in data
    assert seen == 0


@pytest.mark.parametrize(
    ("settings", "request_bytes", "status"),
    [
        ({"max_header_bytes": 500}, HEAD + b"X-Long: " + b"a" * 600 + TAIL, 431),
        ({"max_header_bytes": 500}, HEAD + b"X-Long: " + b"a" * 600, 431),
        ({"max_headers": 10}, HEAD + b"X-A: b\r\n" * 11 + TAIL, 431),
        ({"max_url_bytes": 50}, b"GET /" + b"a" * 60, 414),
        (
            {"max_inspected_body_bytes": 100},
            HEAD + b"Connection: close\r\nContent-Length: 101\r\n\r\n" + b"x" * 101,
            413,
        ),
        ({"max_inspected_body_bytes": 100}, HEAD + b"Content-Length: 9999999\r\n\r\n", 413),
        (
            {"max_inspected_body_bytes": 100},
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101,
            413,
        ),
        (
            {"max_header_bytes": 500},
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nT: " + b"x" * 1200,
            400,
        ),
        ({"header_timeout_s": 0.1}, HEAD, 408),
        ({"body_timeout_s": 0.1}, HEAD + b"Content-Length: 9\r\n\r\n{", 408),
    ],
)  # fmt: skip
def test_limits(settings: dict[str, object], request_bytes: bytes, status: int) -> None:
    async def main() -> None:
        async with running(settings=settings) as gateway:
            client = await gateway.client()
            client.send(request_bytes)
            if status == 400:  # framing without data counts per read
                for _ in range(3):
                    await asyncio.sleep(0.02)
                    client.send(b"x" * 600)
            response = await client.response()
            assert response.status == status
            assert response.headers["connection"] == "close"
            assert await client.rest() == b""
            assert gateway.provider.requests == []

    run(main())


def test_a_slow_head_is_timed_from_its_first_byte() -> None:
    async def main() -> None:
        async with running(settings={"header_timeout_s": 0.3}) as gateway:
            client = await gateway.client()
            for byte in HEAD + b"X" * 1000:
                client.send(bytes([byte]))
                if gateway.service.metrics.malformed:
                    break

                await asyncio.sleep(0.02)
            assert (await client.response()).status == 408

    run(main())


def test_an_idle_connection_is_closed() -> None:
    async def main() -> None:
        async with running(settings={"header_timeout_s": 0.1, "keepalive_s": 0.1}) as gateway:
            client = await gateway.client()
            assert await client.rest() == b""
            client = await gateway.client()
            client.send(b"GET /readyz HTTP/1.1\r\nHost: gw\r\n\r\n")
            assert (await client.response()).status == 200
            assert await client.rest() == b""

    run(main())


def test_connections_are_bounded() -> None:
    async def main() -> None:
        async with running(settings={"max_client_connections": 2}) as gateway:
            first, second = await gateway.client(), await gateway.client()
            for client in (first, second):
                client.send(b"GET /readyz HTTP/1.1\r\nHost: gw\r\n\r\n")
                assert (await client.response()).status == 200
            third = await gateway.client()
            assert (await third.response()).status == 503
            assert await third.rest() == b""
            first.close()

    run(main())
