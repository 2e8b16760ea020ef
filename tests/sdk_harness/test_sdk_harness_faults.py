"""Nothing that goes wrong in metering reaches the caller, whose answer stays as it was."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk_harness.harness_kit import MESSAGES, MODEL, Seen

import tollbook
from tollbook.call import Status
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.openai_stream import CompletionStreamMeter
from tollbook.errors import TollbookError
from tollbook.sdk.harness import dropped, faults, transport, wrap
from tollbook.sdk.harness.sending import Sending
from tollbook.sdk.missing import MissingTenantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},'
    b'"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}'
)
HEAD = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
USAGE = b'{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}'
CHUNKS = [
    HEAD + b'[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    HEAD + b'[{"index":0,"delta":{"content":"h\xc3\xa9llo"}}]}\n\n',
    HEAD + b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    HEAD + b'[],"usage":' + USAGE + b"}\n\n",
    b"data: [DONE]\n\n",
]
STREAM = b"".join(CHUNKS)
SHOWN = b"".join([*CHUNKS[:3], CHUNKS[4]])


class Body(httpx2.SyncByteStream):
    """Bytes in pieces, as a network gives them."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


def client_of(
    pieces: Iterable[bytes], content_type: str = "application/json", **headers: str
) -> tuple[openai.OpenAI, list[httpx2.Request]]:
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        head = {"content-type": content_type, "transfer-encoding": "chunked", **headers}
        return httpx2.Response(200, headers=head, stream=Body(pieces))

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", http_client=http_client, max_retries=0), requests


def stream_client(pieces: Iterable[bytes], **headers: str) -> openai.OpenAI:
    return client_of(pieces, "text/event-stream", **headers)[0]


def raw_stream(client: openai.OpenAI) -> bytes:
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=MESSAGES, stream=True
    ) as response:
        return b"".join(response.http_response.iter_raw())


class BrokenSink:
    """Raises whatever it is asked."""

    dropped = 0

    def opened(self, frame: Any) -> None:
        raise RuntimeError("disk full")

    def closed(self, opened: Any, frame: Any) -> None:
        raise OSError("gone")

    def span(self, frame: Any) -> None:
        raise RuntimeError("no")

    def flush(self, timeout_s: float) -> bool:
        raise RuntimeError("no")

    def close(self) -> None:
        raise RuntimeError("no")


def test_a_sink_that_raises(seen: Seen) -> None:
    client = wrap(client_of([ANSWER])[0], sink=BrokenSink())
    for _ in range(3):
        assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    assert faults.counts == {"opened: RuntimeError": 3, "close: OSError": 3}


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("secret prompt")


@pytest.mark.parametrize(
    "method", ["route", "read_request", "attempt", "meter", "provider_request_id", "is_retryable"]
)
def test_a_dialect_that_raises(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    monkeypatch.setattr(OpenAI, method, broken)
    client = wrap(client_of([ANSWER])[0], sink=seen)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    client = wrap(stream_client([STREAM]), sink=seen)
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert len(chunks) >= 3
    assert bool(faults.counts) == (method != "is_retryable")
    assert "secret" not in caplog.text
    assert len(caplog.records) <= 1, "each kind of fault is told of once"


@pytest.mark.parametrize("method", ["feed", "flush", "result"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_meter_that_raises_in_the_midst_of_a_stream(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, method: str, after: int
) -> None:
    original = getattr(CompletionStreamMeter, method)
    calls = [0]

    def sometimes(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            broken()
        return original(self, *arguments)

    monkeypatch.setattr(CompletionStreamMeter, method, sometimes)
    # Cut in the middle of events, so that something is held back when it breaks.
    pieces = [STREAM[at : at + 97] for at in range(0, len(STREAM), 97)]
    got = raw_stream(wrap(stream_client(pieces), sink=seen))
    assert got in {STREAM, SHOWN}, "no byte is lost, whatever is not hidden"
    assert seen.only().closed.status is not Status.CANCELLED


@pytest.mark.parametrize("name", ["current", "owner_of", "current_span"])
def test_a_context_that_raises(seen: Seen, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(f"tollbook.sdk.harness.sending.{name}", broken)
    client, requests = client_of([ANSWER])
    assert wrap(client, sink=seen).chat.completions.create(model=MODEL, messages=MESSAGES).usage
    assert seen.settled() == []
    assert requests[0].headers["accept-encoding"] != "identity", "untouched"


def test_a_transport_that_cannot_be_looked_at(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_pairs", broken)
    client = wrap(client_of([ANSWER])[0], sink=seen)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    assert faults.counts == {"prepare: ZeroDivisionError": 1}


def test_a_gateway_address_that_is_none(seen: Seen) -> None:
    client = wrap(client_of([ANSWER])[0], gateway="http://[", sink=seen)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    assert faults.counts


def test_a_missing_tenant_is_the_one_thing_that_is_raised(seen: Seen) -> None:
    tollbook.configure(missing_tenant="raise")
    client, requests = client_of([ANSWER])
    wrap(client, sink=seen)
    with pytest.raises(MissingTenantError, match="test_sdk_harness_faults"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert requests == []
    tollbook.configure(missing_tenant="book")
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    opened = seen.only().opened
    assert opened.call_site is not None
    assert "test_a_missing_tenant_is_the_one_thing" in opened.call_site


@given(
    cuts=st.lists(st.integers(1, len(STREAM) - 1), max_size=12),
    asks=st.booleans(),
)
def test_a_stream_is_the_same_however_it_is_cut(cuts: list[int], asks: bool) -> None:  # noqa: FBT001 -- Hypothesis gives it
    places = [0, *sorted(set(cuts)), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    seen = Seen()
    client = wrap(stream_client(pieces), sink=seen, inject_stream_usage=asks)
    assert raw_stream(client) == (SHOWN if asks else STREAM)
    closed = seen.only().closed
    assert closed.usage == (USAGE,)
    assert (closed.status, closed.output_chars, closed.response_bytes) == (
        Status.OK, 5, len(STREAM),
    )  # fmt: skip


@given(garbage=st.binary(max_size=400), is_stream=st.booleans())
def test_garbage_reaches_the_caller_as_it_is(garbage: bytes, is_stream: bool) -> None:  # noqa: FBT001 -- as above
    seen = Seen()
    faults.counts.clear()
    kind = "text/event-stream" if is_stream else "application/json"
    client = wrap(client_of([garbage], kind)[0], sink=seen)
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=MESSAGES
    ) as response:
        assert b"".join(response.http_response.iter_raw()) == garbage
    assert seen.only().closed.response_bytes == len(garbage)
    assert not faults.counts


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_an_answer_that_is_compressed_all_the_same(seen: Seen, encoding: str) -> None:
    body = gzip.compress(STREAM)
    got = raw_stream(
        wrap(stream_client([body[:50], body[50:]], **{"content-encoding": encoding}), sink=seen)
    )
    assert got == body
    closed = seen.only().closed
    assert closed.usage_complete == (encoding == "gzip")


def test_an_answer_too_large_to_be_read(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollbook.sdk.harness.watched._MAX_PLAIN_BYTES", 100)
    client = wrap(client_of([ANSWER])[0], sink=seen)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    closed = seen.only().closed
    assert (closed.status, closed.usage, closed.is_billable) == (Status.OK, (), True)


def test_a_stream_that_only_the_connection_ends(seen: Seen) -> None:
    cut, whole = CHUNKS[:2], CHUNKS
    for pieces in (cut, whole):
        client, _ = client_of(pieces, "text/event-stream")
        answer = client._client._transport
        original = answer.handle_request

        def handle(request: Any, original: Any = original) -> Any:
            response = original(request)
            del response.headers["transfer-encoding"]
            return response

        answer.handle_request = handle  # type: ignore[method-assign] # a server of HTTP/1.0
        list(wrap(client, sink=seen).chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True
        ))  # fmt: skip
    broken_off, ended = seen.settled()
    assert (broken_off.closed.status, broken_off.closed.error_type) == (
        Status.ERROR, "upstream_broken",
    )  # fmt: skip
    assert ended.closed.status is Status.OK


def test_a_dropped_stream_found_while_the_sink_is_locked(seen: Seen) -> None:
    client = wrap(stream_client(CHUNKS), sink=seen)
    stream: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    next(stream)
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    del stream, cycle
    with seen._lock:  # the collector may run here, in the thread that holds the lock
        gc.collect()
    assert seen.only().closed.status is Status.CANCELLED


def test_dropped_calls_end_without_a_thread_too(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropped, "start", lambda: None)
    monkeypatch.setattr(dropped, "_queue", queue := type(dropped._queue)())
    monkeypatch.setattr(dropped, "drop", queue.put)
    client = wrap(stream_client(CHUNKS), sink=seen)
    stream: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    next(stream)
    del stream
    gc.collect()
    assert seen.open_calls == 1
    dropped.settle()
    assert seen.only().closed.status is Status.CANCELLED


def test_threads_have_tenants_of_their_own(seen: Seen) -> None:
    client = wrap(client_of([ANSWER])[0], sink=seen)
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        with tollbook.tenant(f"t{number}"):
            barrier.wait(10)
            for _ in range(20):
                client.chat.completions.create(model=MODEL, messages=MESSAGES)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    tenants = [pair.tenant or "" for pair in seen.settled()]
    assert sorted(tenants) == sorted(f"t{number}" for number in range(8) for _ in range(20))
    assert len({pair.opened.call_id for pair in seen.settled()}) == 160


def test_a_forked_child_meters_too(seen: Seen) -> None:
    client = wrap(stream_client(CHUNKS), sink=seen)
    stream: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    next(stream)  # the thread that ends dropped calls runs in the parent
    child = os.fork()
    if child == 0:
        own = Seen()
        mine: Any = wrap(client, sink=own).chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True
        )
        next(mine)
        del mine
        os._exit(0 if own.only().closed.status is Status.CANCELLED else 1)
    assert os.waitpid(child, 0)[1] == 0
    stream.close()
    assert seen.only().closed.status is Status.CANCELLED


def test_an_asynchronous_sink_that_raises(seen: Seen) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        del request
        return httpx2.Response(
            200, headers={"content-type": "application/json"}, stream=httpx2.ByteStream(ANSWER)
        )

    async def main() -> None:
        http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        async with wrap(
            openai.AsyncOpenAI(api_key="k", http_client=http_client), sink=BrokenSink()
        ) as client:
            assert (await client.chat.completions.create(model=MODEL, messages=MESSAGES)).usage

    asyncio.run(main())
    assert faults.counts == {"opened: RuntimeError": 1, "close: OSError": 1}


def test_owners_are_written_into_the_request_where_that_is_asked_for(seen: Seen) -> None:
    client, requests = client_of([ANSWER])
    wrap(client, sink=seen, tags=True)
    with tollbook.tenant("acme", user="ada"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, store=True)
    with tollbook.tenant("acme"):
        wrap(client, sink=seen).chat.completions.create(model=MODEL, messages=MESSAGES)
    tagged, plain = (json.loads(request.content) for request in requests)
    assert tagged["safety_identifier"] == "ada"
    assert "acme" in tagged["metadata"].values()
    assert int(requests[0].headers["content-length"]) == len(requests[0].content)
    assert plain.keys() == {"model", "messages"}
    assert [pair.opened.identity.user_id for pair in seen.settled()] == ["ada", None]


def test_errors_and_keys_are_not_shown(seen: Seen) -> None:
    from tollbook.sdk.harness.options import Options  # noqa: PLC0415 -- only here

    assert "tb_secret" not in repr(Options(gateway_key="tb_secret"))
    assert "body" in Sending._fields
    assert issubclass(MissingTenantError, TollbookError)
