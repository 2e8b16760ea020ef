"""Providers that are down, silent, slow, or break off; reuse and retry; TLS; pools."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import msgspec
import pytest
import trustme
from tests.gateway.kit import (
    ANSWER,
    Gateway,
    Provider,
    Received,
    answer,
    chat,
    get,
    run,
    running,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path


def error_type(body: bytes) -> str:
    return str(msgspec.json.decode(body)["error"]["code"])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_provider_that_is_down_is_502_in_its_own_shape() -> None:
    async def main() -> None:
        async with running(base_url=f"http://127.0.0.1:{free_port()}") as gateway:
            response = await gateway.ask(chat())
            assert (response.status, error_type(response.body)) == (502, "upstream_unreachable")
            assert response.headers["x-should-retry"] == "true"
            assert "x-tollbook-call-id" in response.headers
            claude = await gateway.ask(
                chat(path="/claude/v1/messages", headers="x-api-key: sk-ant\r\n")
            )
            assert msgspec.json.decode(claude.body)["type"] == "error"
            closed = gateway.sink.closed[0]
            assert (closed.status, closed.http_status, closed.is_billable) == ("error", 502, False)

    run(main())


def test_a_name_that_does_not_resolve_is_502() -> None:
    async def main() -> None:
        async with running(base_url="http://no-such-host.invalid") as gateway:
            assert (await gateway.ask(chat())).status == 502

    run(main())


async def _silent(
    _: Provider, __: Received, reader: asyncio.StreamReader, ___: asyncio.StreamWriter
) -> None:
    await reader.read()


def test_a_provider_that_never_answers_is_504() -> None:
    async def main() -> None:
        limits = {"first_byte_timeout_s": 0.1}
        async with running(Provider(_silent), provider_settings=limits) as gateway:
            response = await gateway.ask(chat())
            assert (response.status, error_type(response.body)) == (504, "upstream_timeout")
            assert gateway.sink.closed[0].is_billable

    run(main())


def test_a_connect_that_is_never_answered_is_504() -> None:
    async def main() -> None:
        with socket.socket() as hole, socket.socket() as filler:
            hole.bind(("127.0.0.1", 0))
            hole.listen(0)
            filler.connect(hole.getsockname())
            more = [socket.socket() for _ in range(4)]
            for each in more:
                each.setblocking(False)
                each.connect_ex(hole.getsockname())
            url = f"http://127.0.0.1:{hole.getsockname()[1]}"
            limits = {"connect_timeout_s": 0.2}
            async with running(base_url=url, provider_settings=limits) as gateway:
                response = await gateway.ask(chat())
                assert response.status == 504
                assert error_type(response.body) == "upstream_connect_timeout"
            for each in more:
                each.close()

    run(main())


def test_a_provider_that_closes_without_an_answer_is_502() -> None:
    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.close()

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            response = await gateway.ask(chat())
            assert (response.status, error_type(response.body)) == (502, "upstream_disconnected")
            assert len(gateway.provider.requests) == 1
            assert gateway.sink.closed[0].is_billable, "it may have generated: to be estimated"

    run(main())


@pytest.mark.parametrize("length", [True, False])
def test_a_response_that_breaks_off_cuts_the_client(length: bool) -> None:  # noqa: FBT001
    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = answer(length=length).removesuffix(ANSWER)
        if not length:
            head = head.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n") + b"5\r\n"
        writer.write(head + ANSWER[:5])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            client.send(chat())
            data = await client.rest()
            assert data.startswith(b"HTTP/1.1 200 OK")
            assert ANSWER[:5] in data
            assert not data.endswith(b"0\r\n\r\n")
            (closed,) = gateway.sink.closed
            assert (closed.status, closed.error_type) == ("error", "upstream_broken")

    run(main())


def test_an_answer_that_stalls_is_cut() -> None:
    async def handler(
        _: Provider, __: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(answer()[:-5])
        await reader.read()

    async def main() -> None:
        async with running(Provider(handler), provider_settings={"idle_timeout_s": 0.1}) as gateway:
            client = await gateway.client()
            client.send(chat())
            assert (await client.rest()).endswith(ANSWER[:-5])
            assert gateway.sink.closed[0].error_type == "upstream_timeout"

    run(main())


class Stale(Provider):
    """Answers once on each connection, then closes it when the next request has come."""

    def __init__(self, *, keeps: int = 1) -> None:
        super().__init__(self._handle)
        self.keeps = keeps
        self.served: dict[int, int] = {}

    async def _handle(
        self,
        _: Provider,
        __: Received,
        ___: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        count = self.served[id(writer)] = self.served.get(id(writer), 0) + 1
        if count > self.keeps:
            writer.close()
        else:
            writer.write(answer())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get(), 200),
        (get(method="DELETE"), 200),
        (chat(headers="Idempotency-Key: k-1\r\n"), 200),
        (chat(), 502),
    ],
)
def test_a_stale_connection_is_retried_once_where_that_is_safe(
    request_bytes: bytes, status: int
) -> None:
    async def main() -> None:
        async with running(Stale()) as gateway:
            assert (await gateway.ask(chat())).status == 200
            assert gateway.service.upstreams[b"openai"].pool.counts == (1, 1, 0)
            response = await gateway.ask(request_bytes)
            assert response.status == status
            retried = status == 200
            assert gateway.provider.connections == 1 + retried
            assert gateway.service.metrics.retries == retried
            assert len(gateway.sink.opened) == len(gateway.sink.closed) == 2
            # Closed before the request came: the provider has not seen it.
            assert gateway.sink.closed[1].is_billable == retried

    run(main())


def test_connections_are_reused_and_a_dead_one_is_noticed() -> None:
    async def main() -> None:
        async with running() as gateway:
            for _ in range(5):
                assert (await gateway.ask(chat())).status == 200
            assert gateway.provider.connections == 1
            pool = gateway.service.upstreams[b"openai"].pool
            gateway.provider.writers[0].close()
            await until(lambda: pool.counts == (0, 0, 0))
            assert (await gateway.ask(chat())).status == 200
            assert gateway.provider.connections == 2

    run(main())


def test_idle_connections_are_closed_in_time() -> None:
    async def main() -> None:
        async with running(provider_settings={"keepalive_s": 0.05}) as gateway:
            assert (await gateway.ask(chat())).status == 200
            await until(lambda: gateway.service.upstreams[b"openai"].pool.counts == (0, 0, 0))

    run(main())


def test_requests_wait_for_a_free_connection() -> None:
    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(0.01)
        writer.write(answer())

    async def main() -> None:
        async with running(Provider(handler), provider_settings={"max_connections": 2}) as gateway:
            responses = await asyncio.gather(*[gateway.ask(chat()) for _ in range(20)])
            assert {response.status for response in responses} == {200}
            assert gateway.provider.connections == 2

    run(main())


def test_a_request_that_waits_too_long_is_503() -> None:
    async def main() -> None:
        limits = {"max_connections": 1, "connect_timeout_s": 0.1}
        async with running(Provider(_silent), provider_settings=limits) as gateway:
            first = asyncio.create_task(gateway.ask(chat()))
            await until(lambda: gateway.provider.requests)
            response = await gateway.ask(chat())
            assert (response.status, error_type(response.body)) == (503, "gateway_overloaded")
            first.cancel()

    run(main())


def _server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_tls_is_verified(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def ask(tls: ssl.SSLContext) -> tuple[int, bytes]:
        ca = {"ca_file": str(tmp_path / "ca.pem")}
        async with running(tls=tls, provider_settings=ca) as gateway:
            response = await gateway.ask(chat())
            return response.status, response.body

    assert run(ask(_server_context(authority, "localhost"))) == (200, ANSWER)
    for bad in (_server_context(other, "localhost"), _server_context(authority, "elsewhere.test")):
        status, body = run(ask(bad))
        assert status == 502
        assert b"not trusted" in body


def test_an_upload_passes_with_constant_memory_and_back_pressure() -> None:
    size, gate = 64 * 1024 * 1024, asyncio.Event()

    async def handler(
        provider: Provider,
        _: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        await gate.wait()
        while provider.bytes_seen < size:
            provider.bytes_seen += len(await reader.read(1024 * 1024))
        writer.write(answer())

    async def main() -> None:
        async with running(Provider(handler, reads_body=False)) as gateway:
            client = await gateway.client()
            head = get("/openai/v1/files", headers=f"Content-Length: {size}\r\n", method="POST")
            client.send(head)
            part, sent = b"x" * 1024 * 1024, 0

            async def upload() -> None:
                nonlocal sent
                while sent < size:
                    client.send(part)
                    sent += len(part)
                    await client.writer.drain()

            task = asyncio.create_task(upload())
            await _stalls(lambda: sent)
            assert 0 < sent < size // 2
            assert _buffered(gateway) < 4 * 1024 * 1024
            gate.set()
            assert (await client.response()).status == 200
            await task
            assert gateway.provider.bytes_seen == size
            assert gateway.sink.opened[0].request_bytes == size

    run(main())


def test_a_download_passes_with_constant_memory_and_back_pressure() -> None:
    size = 64 * 1024 * 1024
    sent = 0

    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        part = b"x" * 1024 * 1024
        while sent < size:
            writer.write(part)
            await writer.drain()
            sent += len(part)

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            client.send(get())
            await _stalls(lambda: sent)
            assert sent < size // 2
            assert _buffered(gateway) < 4 * 1024 * 1024
            response = await client.response()
            assert len(response.body) == size
            assert (await gateway.closed_calls())[0].response_bytes == size

    run(main())


async def _stalls(progress: object) -> None:
    """Wait until nothing moves any more."""
    assert callable(progress)
    last, still = -1, 0
    while still < 10:
        await asyncio.sleep(0.02)
        now = progress()
        still = still + 1 if now == last and now > 0 else 0
        last = now


def _buffered(gateway: Gateway) -> int:
    """Return the bytes that the gateway holds for its clients and its provider."""
    pool = gateway.service.upstreams[b"openai"].pool
    transports = [each.transport for each in gateway.service.clients]
    transports += [each.transport for each in pool._connections]
    held: int = sum(transport.get_write_buffer_size() for transport in transports)
    return held + sum(
        len(part) for exchange in gateway.service.exchanges for part in exchange._body
    )
