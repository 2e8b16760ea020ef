"""The official OpenAI client, metered in process; the provider's own record is the truth."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from tests.sdk_harness.harness_kit import KEY, MESSAGES, MODEL

import tollbook
from tollbook.call import Observer, Status
from tollbook.sdk.harness import faults, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sdk_harness.harness_kit import Providers, Seen


@pytest.fixture
def client(providers: Providers, seen: Seen) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{providers.url('openai')}/v1", api_key=KEY) as made:
        yield wrap(made, sink=seen)
    assert faults.counts == {}


def async_client(providers: Providers, seen: Seen, **options: Any) -> openai.AsyncOpenAI:
    made = openai.AsyncOpenAI(base_url=f"{providers.url('openai')}/v1", api_key=KEY, **options)
    return wrap(made, sink=seen)


def wave(seconds: float) -> bytes:
    data = bytes(int(seconds * 32_000))
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       16_000, 32_000, 2, 16)  # fmt: skip
    return head + b"data" + struct.pack("<I", len(data)) + data


def test_a_plain_call(client: openai.OpenAI, providers: Providers, seen: Seen) -> None:
    with tollbook.tenant("acme", user="ada", feature="search"):
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)

    pair = seen.only()
    opened, closed = pair
    owner = opened.identity
    assert (owner.tenant_id, owner.user_id, owner.feature) == ("acme", "ada", "search")
    assert owner.sources["tenant_id"] == "sdk"
    assert (opened.provider, opened.dialect, opened.operation) == ("openai", "openai", "chat")
    assert (opened.observer, opened.method, opened.path) == (
        Observer.SDK, "POST", "/openai/v1/chat/completions",
    )  # fmt: skip
    assert (opened.model_requested, closed.model_actual) == (MODEL, answer.model)
    assert opened.span_id == opened.call_id[8:].hex()
    assert opened.call_site is None
    assert opened.layers
    assert (closed.status, closed.http_status, closed.usage_complete) == (Status.OK, 200, True)
    assert closed.provider_response_id == answer.id
    assert closed.duration_ns >= (closed.time_to_first_token_ns or 0) > 0
    providers.assert_tied_out(pair)


def test_a_stream_read_to_its_end(client: openai.OpenAI, providers: Providers, seen: Seen) -> None:
    with tollbook.tenant("acme"):
        chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))

    pair = seen.only()
    assert all(chunk.usage is None and chunk.choices for chunk in chunks), "asked for: hidden"
    assert (pair.opened.is_stream, pair.closed.status) == (True, Status.OK)
    assert pair.closed.output_events > 1
    providers.assert_tied_out(pair)


def test_usage_that_was_asked_for_is_shown(
    client: openai.OpenAI, providers: Providers, seen: Seen
) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].usage
    providers.assert_tied_out(seen.only())


def test_usage_is_not_asked_for_where_that_is_off(providers: Providers, seen: Seen) -> None:
    with openai.OpenAI(base_url=f"{providers.url('openai')}/v1", api_key=KEY) as client:
        wrap(client, sink=seen, inject_stream_usage=False)
        chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    pair = seen.only()
    assert chunks
    assert (pair.closed.usage, pair.closed.usage_complete) == ((), False)
    assert pair.closed.output_chars > 0


@pytest.mark.parametrize("how", ["close", "with", "drop", "break"])
def test_a_stream_that_is_left_early(
    client: openai.OpenAI, providers: Providers, seen: Seen, how: str
) -> None:
    with tollbook.tenant("acme"):
        stream = client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True,
            extra_headers={"x-sim-fault": "slow_stream;delay_ms=5"},
        )  # fmt: skip
        next(stream)  # the first event only names the role
        if how == "with":
            with stream:
                next(stream)
        elif how == "break":
            for _ in stream:
                break
        else:
            next(stream)
            if how == "close":
                stream.close()
    del stream

    pair = seen.only()
    assert (pair.tenant, pair.closed.status) == ("acme", Status.CANCELLED)
    assert pair.closed.is_billable
    assert pair.closed.output_events >= 1
    assert not pair.closed.usage_complete


def test_raw_and_streaming_responses(
    client: openai.OpenAI, providers: Providers, seen: Seen
) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    parsed = raw.parse()
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=MESSAGES
    ) as response:
        text = b"".join(response.iter_bytes())
    raw_stream = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, stream=True
    )
    chunks = list(raw_stream.parse())

    pairs = seen.settled()
    assert parsed.usage
    assert b'"usage"' in text
    assert all(chunk.usage is None for chunk in chunks)
    assert [pair.closed.status for pair in pairs] == [Status.OK] * 3
    providers.assert_tied_out(*pairs)


def test_a_streaming_response_that_nobody_reads(client: openai.OpenAI, seen: Seen) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES):
        pass
    pair = seen.only()
    assert (pair.closed.status, pair.closed.usage) == (Status.CANCELLED, ())
    assert pair.closed.is_billable, "the provider answered: estimated"


def test_responses_embeddings_and_free_endpoints(
    client: openai.OpenAI, providers: Providers, seen: Seen
) -> None:
    client.responses.create(model="gpt-5", input="Hello.")
    with client.responses.stream(model="gpt-5-mini", input="Hello.") as stream:
        stream.get_final_response()
    client.embeddings.create(model="text-embedding-3-small", input="a text")
    client.models.list()

    pairs = seen.settled()
    assert [pair.opened.operation for pair in pairs] == ["responses", "responses", "embeddings"]
    assert [pair.closed.status for pair in pairs] == [Status.OK] * 3
    providers.assert_tied_out(*pairs)


def test_speech_and_transcription(client: openai.OpenAI, providers: Providers, seen: Seen) -> None:
    client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.")
    client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", wave(2)))

    pairs = seen.settled()
    assert [pair.opened.operation for pair in pairs] == ["speech", "transcription"]
    assert [pair.opened.model_requested for pair in pairs] == ["tts-1", "gpt-4o-transcribe"]
    providers.assert_tied_out(*pairs)


def test_a_refused_call_costs_nothing(client: openai.OpenAI, seen: Seen) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, extra_headers={"x-sim-fault": "bad_request"}
        )
    closed = seen.only().closed
    assert (closed.status, closed.http_status, closed.is_billable) == (Status.ERROR, 400, False)
    assert closed.error_type
    assert closed.usage == ()


def test_every_attempt_is_a_call(client: openai.OpenAI, providers: Providers, seen: Seen) -> None:
    with tollbook.tenant("acme"):
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES,
            extra_headers={
                "x-sim-fault": "rate_limit;times=1;retry_after_ms=20",
                "x-sim-request-id": "attempts-1",
            },
        )  # fmt: skip

    first, second = seen.settled()
    assert (first.closed.http_status, first.closed.is_billable) == (429, False)
    assert (second.closed.http_status, second.closed.status) == (200, Status.OK)
    assert (first.opened.attempt, second.opened.attempt) == (1, 2)
    assert second.opened.retry_of == first.opened.call_id == second.opened.operation_id
    assert first.opened.operation_id is None
    assert {first.tenant, second.tenant} == {"acme"}
    providers.assert_tied_out(second)


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        ("cut_before_usage;after=2", "upstream_broken"),
        ("error_event;after=1", "server_error"),
    ],
)
def test_a_stream_that_breaks(
    client: openai.OpenAI, seen: Seen, fault: str, error_type: str
) -> None:
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        list(
            client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, extra_headers={"x-sim-fault": fault}
            )
        )
    closed = seen.only().closed
    assert (closed.status, closed.error_type) == (Status.ERROR, error_type)
    assert closed.is_billable


def test_a_provider_that_cannot_be_reached(seen: Seen) -> None:
    client = wrap(
        openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key=KEY, max_retries=1), sink=seen
    )
    with client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    first, second = seen.settled()
    assert (first.closed.error_type, first.closed.is_billable) == ("upstream_unreachable", False)
    assert first.closed.http_status is None
    assert second.opened.retry_of == first.opened.call_id


def test_a_provider_that_does_not_answer_in_time(client: openai.OpenAI, seen: Seen) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2, max_retries=0).chat.completions.create(
            model=MODEL, messages=MESSAGES, extra_headers={"x-sim-fault": "hang;delay_ms=2000"}
        )
    closed = seen.only().closed
    assert (closed.error_type, closed.is_billable) == ("upstream_timeout", True)


def test_a_compressed_answer_is_asked_for_plain(
    client: openai.OpenAI, providers: Providers, seen: Seen
) -> None:
    client.chat.completions.create(
        model=MODEL, messages=MESSAGES, extra_headers={"x-sim-fault": "gzip"}
    )
    providers.assert_tied_out(seen.only())


def test_copies_of_a_client_are_metered_too(client: openai.OpenAI, seen: Seen) -> None:
    client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert wrap(client, sink=seen, provider="own") is client
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert [pair.opened.provider for pair in seen.settled()] == ["openai", "own"]


def test_owners_named_in_the_request_fill_what_the_context_does_not_say(
    client: openai.OpenAI, providers: Providers, seen: Seen
) -> None:
    with tollbook.tenant("acme"):
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, user="ada",
            extra_headers={"x-tollbook-feature": "search", "baggage": "tenant.id=other"},
        )  # fmt: skip
    pair = seen.only()
    owner = pair.opened.identity
    assert (owner.tenant_id, owner.user_id, owner.feature) == ("acme", "ada", "search")
    assert (owner.sources["tenant_id"], owner.sources["feature"]) == ("sdk", "tollbook_header")
    assert [conflict.refused for conflict in owner.conflicts] == ["other"]
    assert providers.of(pair).received.leaks == ()


def test_without_a_sink_nothing_is_metered_and_nothing_changes(
    providers: Providers, seen: Seen
) -> None:
    with wrap(openai.OpenAI(base_url=f"{providers.url('openai')}/v1", api_key=KEY)) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert seen.settled() == []


def test_asynchronous_calls_of_many_tenants_at_once(providers: Providers, seen: Seen) -> None:
    async def one(client: openai.AsyncOpenAI, tenant: str, number: int) -> None:
        with tollbook.tenant(tenant, user=f"u{number}"):
            if number % 2:
                stream = await client.chat.completions.create(
                    model=MODEL, messages=MESSAGES, stream=True
                )
                async for _ in stream:
                    await asyncio.sleep(0)
            else:
                await client.chat.completions.create(model=MODEL, messages=MESSAGES)

    async def main() -> None:
        async with async_client(providers, seen) as client:
            await asyncio.gather(*(one(client, f"t{n % 3}", n) for n in range(30)))

    asyncio.run(main())
    pairs = seen.settled()
    assert sorted((pair.tenant, pair.opened.identity.user_id) for pair in pairs) == sorted(
        (f"t{n % 3}", f"u{n}") for n in range(30)
    )
    providers.assert_tied_out(*pairs)


def test_streams_read_in_turns_keep_their_own_tenants(
    client: openai.OpenAI, providers: Providers, seen: Seen
) -> None:
    with tollbook.tenant("a"):
        first = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    with tollbook.tenant("b"):
        second = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        inside = [tollbook.current().tenant_id for _ in zip(first, second, strict=False)]
    with contextlib.closing(first), contextlib.closing(second):
        list(first)
        list(second)

    assert set(inside) == {"b"}, "reading a stream changes nothing around its reader"
    assert tollbook.current().tenant_id is None
    assert {pair.tenant for pair in seen.settled()} == {"a", "b"}


def test_an_asynchronous_stream_that_is_dropped_or_cancelled(
    providers: Providers, seen: Seen
) -> None:
    slow = {"x-sim-fault": "slow_stream;delay_ms=20"}

    async def read(client: openai.AsyncOpenAI) -> None:
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_headers=slow
        )
        async for _ in stream:
            await asyncio.sleep(0.01)

    async def main() -> None:
        async with async_client(providers, seen) as client:
            stream = await client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, extra_headers=slow
            )
            await anext(aiter(stream))
            await stream.close()
            task = asyncio.create_task(read(client))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.chat.completions.create(
                        model=MODEL, messages=MESSAGES,
                        extra_headers={"x-sim-fault": "hang;delay_ms=2000"},
                    )  # fmt: skip

    with tollbook.tenant("acme"):
        asyncio.run(main())
    pairs = seen.settled()
    assert [pair.closed.status for pair in pairs] == [Status.CANCELLED] * 3
    assert {pair.tenant for pair in pairs} == {"acme"}
