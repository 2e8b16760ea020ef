"""What is recorded of a call, in which order, and what happens when the client hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import msgspec
import pytest
from tests.gateway.kit import (
    ANSWER,
    STREAM_BODY,
    USAGE,
    FakeKeys,
    Gateway,
    Provider,
    Received,
    Sink,
    answer,
    chat,
    get,
    replying,
    run,
    running,
    until,
)

from tollbook.call import CallClosed, CallOpened
from tollbook.identity.claims import KeyBinding

EVENT = (
    b'data: {"id":"chatcmpl-9","model":"gpt-4o-mini","choices":'
    b'[{"index":0,"delta":{"content":"abc"}}]}\n\n'
)
LAST = b'data: {"id":"chatcmpl-9","model":"gpt-4o-mini","choices":[],"usage":' + USAGE + b"}\n\n"
DONE = b"data: [DONE]\n\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Streaming(Provider):
    """Sends an event, waits for ``go_on``, sends the rest."""

    def __init__(self, *, size: int = 1) -> None:
        super().__init__(self._stream)
        self.go_on = asyncio.Event()
        self.size = size
        self.is_cut = False

    async def _stream(
        self,
        _: Provider,
        __: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(STREAM_HEAD + chunk(EVENT))
        gone = asyncio.ensure_future(reader.read(1))
        waiting = asyncio.ensure_future(self.go_on.wait())
        await asyncio.wait({gone, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if gone.done():
            self.is_cut = True
            writer.close()
            return
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        for _each in range(self.size):
            writer.write(chunk(EVENT))
            await writer.drain()
        writer.write(chunk(LAST) + chunk(DONE) + b"0\r\n\r\n")


def test_frames_are_on_file_before_what_they_allow() -> None:
    async def main() -> None:
        sink, provider = Sink(), Provider()
        seen: list[int] = []
        provider.on_request = lambda: seen.append(len(sink.opened))
        async with running(provider, sink=sink) as gateway:
            for number in range(1, 4):
                client = await gateway.client()
                client.send(chat())
                await client.response()
                assert len(sink.closed) == number
                assert seen[-1] == number

    run(main())


def test_the_last_bytes_wait_for_the_close_frame() -> None:
    reply = STREAM_HEAD + chunk(EVENT) + chunk(LAST + DONE) + b"0\r\n\r\n"

    async def main() -> None:
        sink = Sink()
        async with running(Provider(replying(reply)), sink=sink) as gateway:
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", gateway.port)) as client:
                client.setblocking(False)
                arrived: list[tuple[str, bytes]] = []
                flush = sink.flush

                def noting_flush() -> bool:
                    """Look at what the kernel has for the client while frames are written."""
                    for frame in sink.queued:
                        with contextlib.suppress(BlockingIOError):
                            arrived.append(
                                (type(frame).__name__, client.recv(9999, socket.MSG_PEEK))
                            )
                    return flush()

                sink.flush = noting_flush  # type: ignore[method-assign]
                await loop.sock_sendall(client, chat(STREAM_BODY))
                data = b""
                while not data.endswith(b"0\r\n\r\n"):
                    data += await loop.sock_recv(client, 9999)
            assert [name for name, early in arrived if early.endswith(b"0\r\n\r\n")] == []
            assert len(sink.closed) == 1

    run(main())


def test_frames_of_one_turn_are_written_together() -> None:
    async def main() -> None:
        async with running() as gateway:
            clients = [await gateway.client() for _ in range(20)]
            for client in clients:
                client.send(chat())
            for client in clients:
                await client.response()
            assert gateway.sink.flushes < 40
            assert len(gateway.sink.closed) == 20

    run(main())


async def _hang_up_mid_stream(gateway: Gateway) -> None:
    client = await gateway.client()
    client.send(chat(STREAM_BODY))
    await client.reader.readuntil(b"abc")
    client.close()


def test_drain_reads_on_to_the_real_usage() -> None:
    async def main() -> None:
        provider = Streaming()
        async with running(provider) as gateway:
            await _hang_up_mid_stream(gateway)
            await until(lambda: gateway.service.metrics.draining)
            provider.go_on.set()
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.usage, closed.usage_complete) == (
                "cancelled", (USAGE,), True
            )  # fmt: skip
            assert closed.is_billable
            assert gateway.service.metrics.drains == {"complete": 1}
            assert gateway.service.metrics.draining == 0
            assert gateway.service.metrics.open_streams == 0
            # The provider's connection was read to its end and is used again.
            assert (await gateway.ask(chat(STREAM_BODY))).status == 200
            assert provider.connections == 1

    run(main())


def test_abort_stops_paying() -> None:
    async def main() -> None:
        provider = Streaming()
        async with running(provider, provider_settings={"client_disconnect": "abort"}) as gateway:
            await _hang_up_mid_stream(gateway)
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.usage, closed.output_events) == ("cancelled", (), 1)
            assert closed.output_chars > 0
            await until(lambda: provider.is_cut)

    run(main())


@pytest.mark.parametrize(
    ("settings", "size", "outcome"),
    [
        ({"drain_timeout_s": 0.1}, 0, "timeout"),
        ({"drain_max_bytes": 100_000}, 5000, "too_large"),
    ],
)
def test_draining_is_bounded(settings: dict[str, Any], size: int, outcome: str) -> None:
    async def main() -> None:
        provider = Streaming(size=size)
        async with running(provider, settings=settings) as gateway:
            await _hang_up_mid_stream(gateway)
            await until(lambda: gateway.service.metrics.draining)
            if size:
                provider.go_on.set()
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.usage_complete) == ("cancelled", False)
            assert gateway.service.metrics.drains == {outcome: 1}
            assert gateway.service.metrics.draining == 0

    run(main())


def test_beyond_max_draining_the_policy_is_abort() -> None:
    async def main() -> None:
        provider = Streaming()
        async with running(provider, settings={"max_draining": 1}) as gateway:
            await _hang_up_mid_stream(gateway)
            await until(lambda: gateway.service.metrics.draining)
            await _hang_up_mid_stream(gateway)
            (closed,) = await gateway.closed_calls()
            assert closed.call_id == gateway.sink.opened[1].call_id
            assert closed.status == "cancelled"
            assert gateway.service.metrics.draining == 1
            provider.go_on.set()
            await gateway.closed_calls(2)

    run(main())


def test_hanging_up_before_the_answer_follows_the_policy_too() -> None:
    gate = asyncio.Event()

    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await gate.wait()
        writer.write(answer())

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            client.send(chat())
            await until(lambda: gateway.provider.requests)
            client.close()
            await until(lambda: gateway.service.metrics.draining)
            gate.set()
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.usage) == ("cancelled", (USAGE,))

    run(main())


def test_closing_right_after_the_streams_own_end_is_ok() -> None:
    async def handler(
        _: Provider, __: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(EVENT + LAST + DONE))
        await reader.read()

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            client.send(chat(STREAM_BODY))
            await client.reader.readuntil(b"[DONE]")
            client.close()
            (closed,) = await gateway.closed_calls()
            assert (closed.status, closed.usage) == ("ok", (USAGE,))

    run(main())


def test_usage_asked_for_by_the_gateway_is_hidden() -> None:
    async def main() -> None:
        reply = STREAM_HEAD + chunk(EVENT) + chunk(LAST) + chunk(DONE) + b"0\r\n\r\n"
        async with running(Provider(replying(reply))) as gateway:
            body = STREAM_BODY.replace(b',"stream_options":{"include_usage":true}', b"")
            response = await gateway.ask(chat(body))
            assert response.body == EVENT + DONE
            sent = msgspec.json.decode(gateway.provider.requests[0].body)
            assert sent["stream_options"] == {"include_usage": True}
            (closed,) = gateway.sink.closed
            assert (closed.usage, closed.time_to_first_token_ns is not None) == ((USAGE,), True)

    run(main())


def test_a_stream_that_breaks_keeps_what_arrived() -> None:
    async def handler(
        _: Provider, __: Received, ___: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(EVENT) + chunk(LAST))
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with running(Provider(handler)) as gateway:
            client = await gateway.client()
            client.send(chat(STREAM_BODY))
            data = await client.rest()
            assert not data.endswith(b"0\r\n\r\n")
            (closed,) = gateway.sink.closed
            assert (closed.status, closed.error_type) == ("error", "upstream_broken")
            assert (closed.usage, closed.output_events) == ((USAGE,), 1)

    run(main())


def test_a_provider_error_is_an_error_that_is_not_billed() -> None:
    async def main() -> None:
        body = b'{"error":{"message":"slow down","type":"tokens","code":"rate_limit_exceeded"}}'
        reply = answer(body, "429 Too Many Requests", "retry-after: 1\r\n")
        async with running(Provider(replying(reply))) as gateway:
            response = await gateway.ask(chat(headers="x-stainless-retry-count: 1\r\n"))
            assert (response.status, response.body) == (429, body)
            assert response.headers["retry-after"] == "1"
            (opened,), (closed,) = gateway.sink.opened, gateway.sink.closed
            assert opened.attempt == 2
            assert (closed.status, closed.http_status, closed.is_billable) == ("error", 429, False)
            assert closed.error_type == "rate_limit_exceeded"

    run(main())


CHAT_GOOD = chat().replace(b"sk-own", b"tb_good")
FILES_GOOD = chat(path="/openai/v1/files").replace(b"sk-own", b"tb_good")
OTHER_MODEL = chat(b'{"model":"o9"}').replace(b"sk-own", b"tb_good")
NO_KEY = chat().replace(b"Authorization: Bearer sk-own\r\n", b"")
BOUND = KeyBinding(api_key_id="key-1", tenant_id="acme", models=("gpt-4o-*",))


@pytest.mark.parametrize(
    ("request_bytes", "environ", "settings", "status", "code"),
    [
        (chat(), None, {"client_keys": "refuse"}, 401, "client_key_refused"),
        (chat().replace(b"sk-own", b"tb_nobody"), None, {}, 401, "invalid_api_key"),
        (NO_KEY, None, {}, 401, "missing_api_key"),
        (OTHER_MODEL, None, {}, 403, "model_not_allowed"),
        (FILES_GOOD, None, {}, 403, "model_not_allowed"),
        (CHAT_GOOD, {}, {}, 500, "provider_key_missing"),
        (chat(), None, {"environment": "development"}, 400, "missing_tenant"),
    ],
)  # fmt: skip
def test_every_refusal_is_recorded(
    request_bytes: bytes,
    environ: dict[str, str] | None,
    settings: dict[str, Any],
    status: int,
    code: str,
) -> None:
    async def main() -> None:
        keys = FakeKeys(tb_good=BOUND)
        async with running(keys=keys, environ=environ, settings=settings) as gateway:
            client = await gateway.client()
            for number in (1, 2):  # the connection is kept
                client.send(request_bytes)
                response = await client.response()
                assert response.status == status
                assert msgspec.json.decode(response.body)["error"]["code"] == code
                opened, closed = gateway.sink.opened, gateway.sink.closed
                assert len(opened) == len(closed) == number
                assert closed[-1].call_id == opened[-1].call_id
                assert (closed[-1].status, closed[-1].http_status) == ("rejected", status)
                assert not closed[-1].is_billable
                call_id = response.headers["x-tollbook-call-id"]
                assert call_id.replace("-", "") == opened[-1].call_id.hex()
            assert gateway.provider.requests == []
            if code == "provider_key_missing":
                assert b"OPENAI_API_KEY" in response.body

    run(main())


def test_a_virtual_key_is_replaced_and_names_the_owner() -> None:
    async def main() -> None:
        async with running(keys=FakeKeys(tb_good=BOUND)) as gateway:
            headers = "baggage: tenant.id=other,user.id=u1\r\n"
            request = chat(headers=headers).replace(b"sk-own", b"tb_good")
            assert (await gateway.ask(request)).status == 200
            assert gateway.provider.requests[0].header("authorization") == "Bearer sk-provider"
            identity = gateway.sink.opened[0].identity
            assert (identity.tenant_id, identity.user_id) == ("acme", "u1")
            assert identity.api_key_id == "key-1"
            assert identity.conflicts[0].refused == "other"

    run(main())


def test_a_provider_without_keys_needs_none() -> None:
    async def main() -> None:
        async with running(provider_settings={"api_key_env": None}) as gateway:
            request = chat().replace(b"Authorization: Bearer sk-own\r\n", b"")
            assert (await gateway.ask(request)).status == 200
            assert gateway.provider.requests[0].header("authorization") is None

    run(main())


def test_a_failing_spool_is_not_in_the_way() -> None:
    async def main() -> None:
        sink = Sink()
        sink.is_failing = True
        async with running(sink=sink) as gateway:
            assert (await gateway.ask(chat())).status == 200
            assert [type(frame) for frame in sink.queued] == [CallOpened, CallClosed]
            assert b'"degraded"' in (await gateway.ask(get("/healthz"))).body
            sink.is_failing = False

    run(main())


def test_strict_mode_refuses_what_cannot_be_recorded() -> None:
    async def main() -> None:
        sink = Sink()
        async with running(sink=sink, settings={"strict": True}) as gateway:
            sink.is_failing = True
            response = await gateway.ask(chat())
            assert response.status == 503
            assert msgspec.json.decode(response.body)["error"]["code"] == "spool_unavailable"
            assert gateway.provider.requests == []
            assert (await gateway.ask(get("/healthz"))).status == 503
            sink.is_failing = False
            assert (await gateway.ask(chat())).body == ANSWER
            assert [frame.status for frame in sink.closed] == ["rejected", "ok"]
            assert (await gateway.ask(get("/healthz"))).status == 200

    run(main())


def test_stopping_lets_calls_finish_and_cuts_the_rest() -> None:
    async def main() -> None:
        provider = Streaming()
        async with running(provider, settings={"shutdown_timeout_s": 0.3}) as gateway:
            idle, busy, stuck = [await gateway.client() for _ in range(3)]
            idle.send(get("/readyz"))
            assert (await idle.response()).status == 200
            busy.send(chat(STREAM_BODY))
            await busy.reader.readuntil(b"abc")
            stopping = asyncio.create_task(gateway.service.stop())
            assert await idle.rest() == b""
            provider.go_on.set()
            assert (await busy.rest()).endswith(DONE + b"\r\n0\r\n\r\n")
            provider.go_on.clear()
            await stopping
            assert [frame.status for frame in gateway.sink.closed] == ["ok"]
            assert gateway.sink.is_closed
            stuck.close()
        provider = Streaming()
        async with running(provider, settings={"shutdown_timeout_s": 0.1}) as gateway:
            client = await gateway.client()
            client.send(chat(STREAM_BODY))
            await client.reader.readuntil(b"abc")
            await gateway.service.stop()
            assert not (await _rest(client)).endswith(b"0\r\n\r\n")
            (closed,) = gateway.sink.closed
            assert isinstance(closed, CallClosed)
            assert (closed.status, closed.error_type) == ("error", "gateway_shutdown")

    run(main())


async def _rest(client: Any) -> bytes:
    try:
        return bytes(await client.rest())
    except ConnectionError:
        return b""
