"""A WebSocket through the gateway, byte by byte: handshake, tunnel, book-keeping, its ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.gateway.kit import FakeKeys, Provider, Received, Sink, get, run, running, until
from tests.gateway.socket_kit import (
    KEY,
    SocketProvider,
    created,
    done,
    down,
    event,
    frame,
    handshake,
    switching,
    tunnel,
)

from tollbook.capture.gateway.socket_frames import close_frame
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from tollbook.call import CallClosed

CLOSE = close_frame(1000, "", is_masked=True)
IN_PROTOCOL = (
    "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.tb_k, openai-beta.realtime-v1\r\n"
)
NO_HTTP = "upstream_protocol_error"
CREATE = frame(event("response.create"))


def by_operation(sink: Sink) -> dict[str, list[CallClosed]]:
    names = {opened.call_id: opened.operation for opened in sink.opened}
    found: dict[str, list[CallClosed]] = {}
    for closed in sink.closed:
        found.setdefault(names[closed.call_id], []).append(closed)
    return found


def test_bytes_pass_unchanged_and_each_response_is_a_call() -> None:
    down_bytes = (
        down(event("session.created", session={"model": "gpt-realtime-2025-08-28"}))
        + down(created()) + down(b"", opcode=0x9) + down(done())
        + down(created("resp_2")) + down(done("resp_2", "cancelled"))
    )  # fmt: skip

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(CREATE))
        writer.write(down_bytes)
        await reader.read()

    async def main() -> None:
        async with tunnel(SocketProvider(talk)) as line:
            assert line.status == 101
            sink = line.gateway.sink
            line.writer.write(CREATE)
            await line.exactly(down_bytes)
            # Every frame was on file before the bytes that it is about went on.
            assert [closed.provider_response_id for closed in sink.closed] == ["resp_1", "resp_2"]
            line.writer.write(CLOSE)
            line.writer.write_eof()
            await until(lambda: len(sink.closed) == 3)
            session, first, second = sink.opened
            assert (session.operation, session.metering) == ("websocket", "free")
            assert (first.operation, first.metering) == ("realtime", "metered")
            assert first.operation_id == second.operation_id == session.call_id
            assert first.model_requested == "gpt-realtime-2025-08-28"
            assert session.model_requested == "gpt-realtime"
            closed = by_operation(sink)
            assert [one.status for one in closed["realtime"]] == ["ok", "cancelled"]
            assert all(one.usage_complete and one.is_billable for one in closed["realtime"])
            assert closed["websocket"][0].status == "ok"
            assert closed["websocket"][0].response_bytes == len(down_bytes)
            metrics = line.gateway.service.metrics
            assert (metrics.in_flight, metrics.open_streams) == (0, 0)

    run(main())


def test_the_provider_sees_its_own_handshake_only() -> None:
    provider = SocketProvider()
    request = handshake(
        headers="x-tollbook-tenant: acme\r\nbaggage: user.id=ann\r\nOrigin: https://app\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\nOpenAI-Beta: realtime=v1\r\n"
    )

    async def main() -> None:
        async with tunnel(provider, request) as line:
            (seen,) = provider.requests
            assert seen.line == "GET /v1/realtime?model=gpt-realtime HTTP/1.1"
            names = {name for name, _ in seen.headers}
            assert not names & {"x-tollbook-tenant", "baggage", "sec-websocket-extensions"}
            assert seen.header("sec-websocket-key") == KEY
            assert seen.header("upgrade") == "websocket"
            assert seen.header("connection") == "Upgrade"
            assert seen.header("openai-beta") == "realtime=v1"
            assert seen.header("authorization") == "Bearer sk-own"
            assert "x-tollbook-call-id" in line.head
            assert line.gateway.sink.opened[0].identity.tenant_id == "acme"

    run(main())


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/openai/v1/realtime?model=m", IN_PROTOCOL),
        ("/openai/openai/realtime?api-version=1&api-key=tb_k&deployment=m", ""),
        ("/openai/v1/realtime?model=m", "api-key: tb_k\r\n"),
    ],
    ids=["subprotocol", "query", "header"],
)  # fmt: skip
def test_a_key_is_replaced_wherever_the_client_put_it(path: str, headers: str) -> None:
    provider = SocketProvider(answer=switching("sec-websocket-protocol: realtime\r\n"))
    keys = FakeKeys(tb_k=KeyBinding(api_key_id="k", tenant_id="acme"))

    async def main() -> None:
        request = handshake(path, headers, authorization=False)
        async with tunnel(provider, request, keys=keys) as line:
            (seen,) = provider.requests
            assert "tb_k" not in seen.line + repr(seen.headers)
            assert seen.header("authorization") == "Bearer sk-provider"
            if "Protocol" in headers:
                assert seen.header("sec-websocket-protocol") == "realtime, openai-beta.realtime-v1"
            assert line.head["sec-websocket-protocol"] == "realtime"
            (opened,) = line.gateway.sink.opened
            assert opened.identity.tenant_id == "acme"
            assert opened.model_requested == "m"
            assert "tb_k" not in repr(opened)

    run(main())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (handshake("/openai/v1/chat/completions"), 501),
        (handshake("/openai/v1/files"), 501),
        (handshake().replace(b"Upgrade: websocket", b"Upgrade: h2c"), 501),
        (handshake().replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nUpgrade: h2c"), 501),
        (handshake().replace(b"GET", b"POST"), 501),
        (handshake(headers="Content-Length: 3\r\n") + b"abc", 501),
        (handshake(headers="Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 501),
        (handshake().replace(KEY.encode(), b"short"), 400),
        (handshake(headers=f"Sec-WebSocket-Key: {KEY}\r\n"), 400),
        (handshake().replace(b"Version: 13", b"Version: 8"), 400),
        (handshake("/nobody/v1/realtime"), 501),
    ],
)
def test_what_is_no_proper_handshake_is_refused(request_bytes: bytes, status: int) -> None:
    provider = SocketProvider()

    async def main() -> None:
        async with running(provider) as gateway:
            response = await gateway.ask(request_bytes)
            assert response.status == status
            assert provider.requests == []
            assert gateway.sink.opened == []

    run(main())


def test_an_upgrade_behind_another_request_is_refused() -> None:
    async def slow(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    async def main() -> None:
        async with running(Provider(slow)) as gateway:
            client = await gateway.client()
            client.send(get() + handshake())
            assert (await client.response()).status == 200
            assert (await client.response()).status == 501
            assert len(gateway.provider.requests) == 1

    run(main())


def test_a_plain_get_of_a_socket_address_is_an_ordinary_request() -> None:
    async def main() -> None:
        async with running() as gateway:
            response = await gateway.ask(get("/openai/v1/realtime?model=m"))
            assert response.status == 200
            (opened,) = gateway.sink.opened
            assert opened.metering == "unmetered"

    run(main())


@pytest.mark.parametrize(
    ("path", "dialect", "line_seen", "model"),
    [
        ("/openai/openai/realtime?api-version=1&deployment=voice", "azure",
         "GET /openai/realtime?api-version=1&deployment=voice HTTP/1.1", "voice"),
        ("/openai/openai/v1/realtime?model=voice", "azure",
         "GET /openai/v1/realtime?model=voice HTTP/1.1", "voice"),
        ("/v1/realtime?model=gpt-realtime", "openai",
         "GET /v1/realtime?model=gpt-realtime HTTP/1.1", "gpt-realtime"),
        ("/openai/v1/responses", "openai", "GET /v1/responses HTTP/1.1", None),
    ],
)  # fmt: skip
def test_addresses_of_sockets(path: str, dialect: str, line_seen: str, model: str | None) -> None:
    provider = SocketProvider()

    async def main() -> None:
        settings = {"dialect": dialect, "default": True}
        async with tunnel(provider, handshake(path), provider_settings=settings) as line:
            assert line.status == 101
            assert provider.requests[0].line == line_seen
            assert line.gateway.sink.opened[0].model_requested == model

    run(main())


@pytest.mark.parametrize(
    ("keys", "path", "status", "error"),
    [
        ("tb_k", "/openai/v1/realtime?model=gpt-realtime", 101, None),
        ("tb_k", "/openai/v1/realtime?model=gpt-other", 403, "model_not_allowed"),
        ("tb_k", "/openai/v1/responses", 403, "model_not_allowed"),
        ("tb_none", "/openai/v1/realtime?model=gpt-realtime", 401, "invalid_api_key"),
    ],
)
def test_keys_are_held_to_their_models(
    keys: str, path: str, status: int, error: str | None
) -> None:
    known = FakeKeys(tb_k=KeyBinding(api_key_id="k", tenant_id="acme", models=("gpt-realtime",)))

    async def main() -> None:
        request = handshake(path, f"Authorization: Bearer {keys}\r\n", authorization=False)
        async with tunnel(SocketProvider(), request, keys=known) as line:
            assert line.status == status
            if error is not None:
                (closed,) = await line.gateway.closed_calls()
                assert (closed.status, closed.error_type) == ("rejected", error)
                assert closed.is_billable is False

    run(main())


def test_a_missing_tenant_is_refused_where_it_is_for_every_call() -> None:
    async def main() -> None:
        identity = {"missing_tenant": {"production": "refuse"}}
        async with tunnel(SocketProvider(), identity=identity) as line:
            assert line.status == 400

    run(main())


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (b"HTTP/1.1 401 No\r\ncontent-length: 3\r\n\r\nbad", 401, "http_401"),
        (
            b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            503,
            "http_503",
        ),
        (b"HTTP/1.1 404 No\r\n\r\nuntil the end", 404, "http_404"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, "http_200"),
        (switching(accept="wrong"), 502, NO_HTTP),
        (switching("sec-websocket-extensions: permessage-deflate\r\n"), 502, NO_HTTP),
        (switching().replace(b"upgrade: websocket", b"upgrade: h2c"), 502, NO_HTTP),
        (b"SSH-2.0-nonsense\r\n\r\n", 502, NO_HTTP),
    ],
)
def test_a_provider_that_does_not_agree(answer: bytes, status: int, error: str) -> None:
    async def hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        return

    async def main() -> None:
        async with tunnel(SocketProvider(hang_up, answer=answer)) as line:
            assert line.status == status
            rest = await line.reader.read()
            (closed,) = await line.gateway.closed_calls()
            assert (closed.http_status, closed.error_type) == (status, error)
            assert closed.is_billable is False
            if status in {401, 503, 404}:
                assert answer.rpartition(b"\r\n\r\n")[2] in rest or status == 503
                assert line.head["connection"] == "close"

    run(main())


def test_a_provider_that_cannot_be_reached() -> None:
    async def main() -> None:
        async with tunnel(SocketProvider(), base_url="http://localhost:1") as line:
            assert line.status == 502
            (closed,) = await line.gateway.closed_calls()
            assert closed.error_type == "upstream_unreachable"

    run(main())


def test_a_provider_that_never_answers_the_handshake() -> None:
    async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        provider = SocketProvider(wait, answer=b"")
        settings = {"first_byte_timeout_s": 0.1}
        async with tunnel(provider, provider_settings=settings) as line:
            assert line.status == 504

    run(main())


@pytest.mark.parametrize("who", ["client", "provider"])
def test_a_response_under_way_is_closed_as_cut(who: str) -> None:
    text = "some words"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(down(created()))
        delta = event("response.output_text.delta", response_id="resp_1", delta=text)
        writer.write(down(delta))
        await writer.drain()
        if who == "client":
            await reader.read()

    async def main() -> None:
        async with tunnel(SocketProvider(talk)) as line:
            await line.reader.readexactly(len(down(created())))
            # A worker that is killed now leaves evidence of it.
            assert [one.operation for one in line.gateway.sink.opened] == ["websocket", "realtime"]
            if who == "client":
                await asyncio.sleep(0.05)
                line.writer.transport.abort()
            sink = line.gateway.sink
            await until(lambda: len(sink.closed) == 2)
            closed = by_operation(sink)
            (response,), (session,) = closed["realtime"], closed["websocket"]
            expected = {
                "client": ("cancelled", "client_gone"),
                "provider": ("error", "upstream_broken"),
            }[who]
            assert (session.status, session.error_type) == expected
            assert (response.status, response.error_type) == expected
            assert response.usage_complete is False
            assert response.is_billable is True
            assert response.output_chars == len(text)

    run(main())


def test_a_message_too_large_to_be_read_passes_and_is_flagged() -> None:
    large = down(event("response.done", response={"id": "resp_1", "pad": "x" * 5000}))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(down(created()) + large + down(created("resp_2")) + down(done("resp_2")))
        await reader.read()

    async def main() -> None:
        settings = {"max_metered_message_bytes": 2000}
        async with tunnel(SocketProvider(talk), settings=settings) as line:
            await line.reader.readexactly(len(down(created())))
            await line.exactly(large)
            await line.exactly(down(created("resp_2")) + down(done("resp_2")))
            line.writer.write(CLOSE)
            line.writer.write_eof()
            sink = line.gateway.sink
            await until(lambda: len(sink.closed) == 3)
            whole, unread = by_operation(sink)["realtime"]
            assert whole.usage_complete is True
            assert (unread.usage_complete, unread.error_type) == (False, "socket_closed")
            assert line.gateway.service.metrics.unread_messages == 1

    run(main())


def test_early_frames_wait_for_the_provider() -> None:
    provider = SocketProvider()

    async def main() -> None:
        async with tunnel(provider, handshake() + CREATE) as line:
            assert line.status == 101
            await until(lambda: provider.seen == CREATE)

    run(main())


def test_back_pressure_reaches_the_provider() -> None:
    sent = 0
    total = 64 * 1024 * 1024

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        block = down(b"x" * 65536, opcode=2)
        while sent < total:
            writer.write(block)
            await writer.drain()
            sent += len(block)

    async def main() -> None:
        async with tunnel(SocketProvider(talk)) as line:
            line.reader._transport.pause_reading()
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.1)
            assert sent < total // 2
            line.reader._transport.resume_reading()
            got = 0
            while got < sent and got < total:
                got += len(await line.reader.read(2**20))
            assert got >= total // 2

    run(main())


def test_an_idle_socket_is_closed_with_a_word() -> None:
    async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        settings = {"socket_idle_timeout_s": 0.1}
        async with tunnel(SocketProvider(wait), settings=settings) as line:
            rest = await line.reader.read()
            assert rest == close_frame(1001, "idle timeout", is_masked=False)
            (closed,) = await line.gateway.closed_calls()
            assert (closed.status, closed.error_type) == ("ok", "idle_timeout")

    run(main())


def test_a_stopping_worker_waits_for_the_response_and_leaves() -> None:
    go_on = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(down(created()))
        await go_on.wait()
        writer.write(down(done()))
        await reader.read()

    async def main() -> None:
        async with tunnel(SocketProvider(talk), settings={"shutdown_timeout_s": 10.0}) as line:
            await line.exactly(down(created()))
            stopping = asyncio.ensure_future(line.gateway.service.stop())
            await asyncio.sleep(0.1)
            assert not stopping.done()
            go_on.set()
            await line.exactly(down(done()))
            await line.exactly(close_frame(1001, "gateway shutdown", is_masked=False))
            await stopping
            closed = by_operation(line.gateway.sink)
            assert closed["realtime"][0].usage_complete is True
            assert closed["websocket"][0].error_type == "gateway_shutdown"

    run(main())


def test_sockets_are_bounded() -> None:
    async def main() -> None:
        async with tunnel(SocketProvider(), settings={"max_sockets": 1}) as line:
            second = await line.gateway.ask(handshake())
            assert second.status == 503

    run(main())


def test_a_meter_that_fails_does_not_stop_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tollbook.dialects.openai_realtime.RealtimeMeter.from_provider", broken)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(down(created()) + down(done()))
        await reader.read()

    async def main() -> None:
        async with tunnel(SocketProvider(talk)) as line:
            await line.exactly(down(created()) + down(done()))
            assert line.gateway.service.metrics.connections == 1

    run(main())
