"""google-genai, boto3, Cohere, Mistral and plain HTTP clients, metered in process."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]
import cohere
import httpx
import httpx2
import mistralai.client
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from google import genai
from google.genai import types
from tests.sdk_harness.harness_kit import KEY, MESSAGES

import tollbook
from tollbook.call import Status
from tollbook.sdk.harness import faults, wrap
from tollbook.sdk.harness.clients import UnknownClientError
from tollbook.simulator.provider.bedrock_signature import ACCESS_KEY_ID, SECRET_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sdk_harness.harness_kit import Pair, Providers, Seen

FLASH = "gemini-2.5-flash"
NOVA = "amazon.nova-micro-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
COMMAND = "command-a-03-2025"
TEXT = "What does one call cost?"
TALK: Any = [{"role": "user", "content": [{"text": TEXT}]}]


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    assert faults.counts == {}


def assert_all_ok(pairs: list[Pair], provider: str, operations: list[str]) -> None:
    assert [pair.opened.operation for pair in pairs] == operations
    assert {pair.closed.status for pair in pairs} == {Status.OK}
    assert {(pair.opened.provider, pair.tenant) for pair in pairs} == {(provider, "acme")}


def test_google(providers: Providers, seen: Seen) -> None:
    with (
        genai.Client(
            api_key=KEY, http_options=types.HttpOptions(base_url=providers.url("gemini"))
        ) as made,
        tollbook.tenant("acme"),
    ):
        client = wrap(made, sink=seen)
        client.models.generate_content(model=FLASH, contents=TEXT)
        list(client.models.generate_content_stream(model=FLASH, contents=TEXT))
        client.models.embed_content(model="gemini-embedding-2", contents=TEXT)

        async def both() -> None:
            await client.aio.models.generate_content(model=FLASH, contents=TEXT)
            stream = await client.aio.models.generate_content_stream(model=FLASH, contents=TEXT)
            async for _ in stream:
                pass
            await client.aio.aclose()

        asyncio.run(both())

    pairs = seen.settled()
    generate = "generate_content"
    assert_all_ok(pairs, "gemini", [generate, generate, "embeddings", generate, generate])
    assert [pair.opened.is_stream for pair in pairs] == [False, True, False, False, True]
    assert {pair.opened.model_requested for pair in pairs} == {FLASH, "gemini-embedding-2"}
    for pair in pairs:
        assert pair.closed.usage_complete
    by_response = {call.ended.response_id: call for call in providers.truth() if call.ended}
    for pair in pairs:
        truth = by_response.get(pair.closed.provider_response_id)
        if truth is not None:
            theirs = {kind: n for kind, n in truth.quantities._asdict().items() if n}
            assert pair.quantities == theirs


def boto(providers: Providers, attempts: int = 1) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=providers.url("bedrock"),
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


def test_bedrock(providers: Providers, seen: Seen) -> None:
    client = wrap(boto(providers), sink=seen)
    with tollbook.tenant("acme"):
        client.converse(modelId=NOVA, messages=TALK)
        events = list(client.converse_stream(modelId=NOVA, messages=TALK)["stream"])
        body = json.dumps({"inputText": TEXT})
        answer = client.invoke_model(modelId=TITAN, body=body)
        assert json.loads(answer["body"].read())["embedding"]
        body = json.dumps({"messages": TALK, "schemaVersion": "messages-v1"})
        stream = client.invoke_model_with_response_stream(modelId=NOVA, body=body)
        list(stream["body"])

    pairs = seen.settled()
    assert events
    assert_all_ok(pairs, "bedrock", ["chat", "chat", "embeddings", "chat"])
    assert {pair.opened.region for pair in pairs} == {"us-east-1"}
    assert {pair.opened.attempt for pair in pairs} == {1}
    providers.assert_tied_out(*pairs)


def test_a_bedrock_stream_left_early_and_a_refusal(providers: Providers, seen: Seen) -> None:
    client = wrap(boto(providers), sink=seen)

    def slow(request: Any, **_: Any) -> None:
        request.headers["x-sim-fault"] = "slow_stream;delay_ms=5"

    client.meta.events.register("before-sign.bedrock-runtime.ConverseStream", slow)
    stream = client.converse_stream(modelId=NOVA, messages=TALK)["stream"]
    next(iter(stream))
    stream.close()
    dropped = client.converse_stream(modelId=NOVA, messages=TALK)
    socket = dropped["stream"]._raw_stream._inner
    del dropped
    with pytest.raises(ClientError):
        client.converse(modelId="unknown.model", messages=TALK)
    first, second, third = seen.settled()
    socket.close()
    assert {first.closed.status, second.closed.status} == {Status.CANCELLED}
    assert (third.closed.status, third.closed.is_billable) == (Status.ERROR, False)


def test_bedrock_attempts(providers: Providers, seen: Seen) -> None:
    client = wrap(boto(providers, attempts=3), sink=seen)

    def once(request: Any, **_: Any) -> None:
        request.headers["x-sim-fault"] = "rate_limit;times=1;retry_after_ms=10"
        request.headers["x-sim-request-id"] = "bedrock-attempts"

    client.meta.events.register("before-sign.bedrock-runtime.Converse", once)
    client.converse(modelId=NOVA, messages=TALK)
    first, second = seen.settled()
    assert (first.closed.http_status, second.closed.http_status) == (429, 200)
    assert (second.opened.attempt, second.opened.retry_of) == (2, first.opened.call_id)


def test_cohere(providers: Providers, seen: Seen) -> None:
    async def more() -> None:
        async with cohere.AsyncClientV2(api_key=KEY, base_url=providers.url("cohere")) as made:
            client = wrap(made, sink=seen)
            await client.chat(model=COMMAND, messages=MESSAGES)
            async for _ in client.chat_stream(model=COMMAND, messages=MESSAGES):
                pass

    with cohere.ClientV2(api_key=KEY, base_url=providers.url("cohere")) as made:
        client = wrap(made, sink=seen)
        with tollbook.tenant("acme"):
            client.chat(model=COMMAND, messages=MESSAGES)
            list(client.chat_stream(model=COMMAND, messages=MESSAGES))
            client.embed(
                model="embed-v4.0", texts=[TEXT], input_type="search_query",
                embedding_types=["float"],
            )  # fmt: skip
            client.rerank(model="rerank-v3.5", query=TEXT, documents=["a", "b"])
            asyncio.run(more())
    pairs = seen.settled()
    assert_all_ok(pairs, "cohere", ["chat", "chat", "embeddings", "rerank", "chat", "chat"])
    providers.assert_tied_out(*pairs)


def test_mistral(providers: Providers, seen: Seen) -> None:
    model = "mistral-small-latest"

    async def more(client: mistralai.client.Mistral) -> None:
        await client.chat.complete_async(model=model, messages=MESSAGES)
        stream = await client.chat.stream_async(model=model, messages=MESSAGES)
        async for _ in stream:
            pass

    with mistralai.client.Mistral(api_key=KEY, server_url=providers.url("mistral")) as made:
        client = wrap(made, sink=seen)
        with tollbook.tenant("acme"):
            client.chat.complete(model=model, messages=MESSAGES)
            with client.chat.stream(model=model, messages=MESSAGES) as events:
                list(events)
            client.embeddings.create(model="mistral-embed", inputs=[TEXT])
            asyncio.run(more(client))
    pairs = seen.settled()
    assert_all_ok(pairs, "mistral", ["chat", "chat", "embeddings", "chat", "chat"])
    providers.assert_tied_out(*pairs)


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_plain_http_client(providers: Providers, seen: Seen, module: Any) -> None:
    with module.Client(headers={"authorization": f"Bearer {KEY}"}) as made:
        client = wrap(made, provider="voyage", sink=seen)
        with tollbook.tenant("acme"):
            client.post(
                f"{providers.url('voyage')}/v1/embeddings",
                json={"model": "voyage-3.5", "input": [TEXT]},
            ).raise_for_status()
    pairs = seen.settled()
    assert_all_ok(pairs, "voyage", ["embeddings"])
    providers.assert_tied_out(*pairs)


def test_a_plain_http_client_meters_known_providers_only(seen: Seen) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"host": request.url.host, "usage": {"total_tokens": 3}})

    with wrap(httpx2.Client(transport=httpx2.MockTransport(answer)), sink=seen) as client:
        client.post("https://shop.example/v1/embeddings", json={"model": "m"})
        client.post("https://api.voyageai.com/v1/embeddings", json={"model": "m", "input": "x"})
        client.post("https://api.jina.ai/v1/rerank", json={"model": "m", "query": "x"})
    assert [(pair.opened.provider, pair.opened.operation) for pair in seen.settled()] == [
        ("voyage", "embeddings"), ("jina", "rerank"),
    ]  # fmt: skip


@pytest.mark.parametrize("stranger", [object(), boto3, None])
def test_what_is_no_client_is_refused(stranger: Any) -> None:
    with pytest.raises(UnknownClientError, match="no client that can be instrumented"):
        wrap(stranger)
