"""Clients on their way through a gateway: addresses, keys, whose call it is; the ledger's word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import boto3  # type: ignore[import-untyped]
import cohere
import httpx2
import mistralai.client
import openai
import pytest
from google import genai
from opentelemetry.sdk.trace import TracerProvider
from tests.sdk_harness.harness_kit import CLAUDE, KEY, MESSAGES, MODEL

import tollbook
from tollbook.sdk.harness import faults, wrap
from tollbook.sdk.missing import MissingTenantError
from tollbook.simulator.provider.bedrock_signature import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk_harness.harness_kit import Seen

SETTINGS = """
[providers.mistral]
base_url = "SIM/mistral"
api_key_env = "SIM_KEY"
[providers.cohere]
dialect = "cohere"
base_url = "SIM/cohere"
api_key_env = "SIM_KEY"
[providers.gemini]
dialect = "gemini"
base_url = "SIM/gemini"
api_key_env = "SIM_KEY"
[providers.bedrock]
dialect = "bedrock"
base_url = "SIM/bedrock"
aws_region = "us-east-1"
"""


def test_all_clients_reach_the_gateway_as_whoever_is_served(
    make_house: Callable[..., Any], seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    house = make_house(settings=SETTINGS)
    tollbook.configure(gateway=house.url, gateway_key=house.key("app"))
    tracer = TracerProvider().get_tracer("test")

    async def at_once() -> None:
        async with (
            wrap(openai.AsyncOpenAI(api_key="none")) as made,
            wrap(anthropic.AsyncAnthropic(api_key="none")) as claude,
        ):

            async def one(number: int) -> None:
                with tollbook.tenant(f"t{number % 3}", user=f"u{number}"):
                    await made.chat.completions.create(model=MODEL, messages=MESSAGES)
                    async with claude.messages.stream(
                        model=CLAUDE, max_tokens=200, messages=MESSAGES
                    ) as stream:
                        await stream.get_final_message()

            await asyncio.gather(*(one(number) for number in range(6)))

    asyncio.run(at_once())
    with (
        tracer.start_as_current_span("request") as span,
        tollbook.tenant("acme", user="Ünal|Öz", feature="a feature"),
    ):
        with wrap(openai.OpenAI(api_key="none")) as client:
            client.responses.create(model="gpt-5", input="Hello.")
            list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
        with wrap(genai.Client(api_key="none")) as google:
            google.models.generate_content(model="gemini-2.5-flash", contents="Hello.")
        with wrap(cohere.ClientV2(api_key="none")) as co:
            co.rerank(model="rerank-v3.5", query="x", documents=["a", "b"])
        with wrap(mistralai.client.Mistral(api_key="none")) as mistral:
            mistral.chat.complete(model="mistral-small-latest", messages=MESSAGES)
        bedrock = wrap(boto3.client("bedrock-runtime", region_name="us-east-1"))
        bedrock.converse(
            modelId="amazon.nova-micro-v1:0",
            messages=[{"role": "user", "content": [{"text": "Hello."}]}],
        )
    assert faults.counts == {}
    assert seen.settled() == [], "the gateway meters them, nobody else"
    house.stop()

    rows = house.records("SELECT * FROM entries ORDER BY called_at")
    crowd = sorted((r["tenant_id"], r["user_id"], r["provider"]) for r in rows[:12])
    assert crowd == sorted(
        (f"t{n % 3}", f"u{n}", provider) for n in range(6) for provider in ("openai", "anthropic")
    )
    mine = rows[12:]
    assert [row["provider"] for row in mine] == [
        "openai", "openai", "gemini", "cohere", "mistral", "bedrock",
    ]  # fmt: skip
    trace_id = f"{span.get_span_context().trace_id:032x}"
    for row in mine:
        assert (row["tenant_id"], row["feature"]) == ("acme", "a feature")
        assert row["identity_source"] == "baggage"
        assert (row["status"], row["trace_id"]) == ("ok", trace_id)
        assert row["observer"] is None
    truth = read_truth(house.simulator.log_dir)
    assert all(call.received.leaks == () for call in truth)
    assert len(truth) == len(rows)


def answering(requests: list[httpx2.Request]) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, json={"choices": [], "usage": {"total_tokens": 1}})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def test_the_address_is_the_gateways_and_the_rest_of_the_request_its_own(seen: Seen) -> None:
    requests: list[httpx2.Request] = []
    tollbook.configure(gateway="http://gateway.internal:8080/", gateway_key="tb_key")
    client = wrap(openai.OpenAI(api_key="sk-own", http_client=answering(requests)))
    with tollbook.tenant("acme", tags={"plan": "gold"}):
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, extra_query={"a": "b"},
            extra_headers={"baggage": "tenant.id=other,color=blue", "traceparent": "00-x-y-01"},
        )  # fmt: skip
    (request,) = requests
    assert str(request.url) == "http://gateway.internal:8080/openai/v1/chat/completions?a=b"
    headers = request.headers
    assert headers["host"] == "gateway.internal:8080"
    assert headers.get_list("authorization") == ["Bearer tb_key"]
    assert headers["baggage"] == "tenant.id=acme,plan=gold,color=blue"
    assert headers["traceparent"] == "00-x-y-01"


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://api.groq.com/openai/v1", "/groq/openai/v1/chat/completions"),
        ("https://openrouter.ai/api/v1", "/openrouter/v1/chat/completions"),
        ("https://api.fireworks.ai/inference/v1", "/fireworks/v1/chat/completions"),
        ("https://eu.api.openai.com/v1", "/openai/v1/chat/completions"),
        ("http://gateway.internal:8080/vllm/v1", "/vllm/v1/chat/completions"),
    ],
)
def test_each_provider_has_its_prefix(seen: Seen, base_url: str, address: str) -> None:
    requests: list[httpx2.Request] = []
    client = openai.OpenAI(api_key="sk-own", base_url=base_url, http_client=answering(requests))
    wrap(client, gateway="http://gateway.internal:8080")
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert str(requests[0].url) == f"http://gateway.internal:8080{address}"
    assert requests[0].headers["authorization"] == "Bearer sk-own", "no key of ours: its own"


def test_a_strangers_address_stays_until_it_is_named(seen: Seen) -> None:
    requests: list[httpx2.Request] = []
    client = openai.OpenAI(
        api_key="sk-own", base_url="http://models.internal/v1", http_client=answering(requests)
    )
    tollbook.configure(gateway="http://gateway.internal:8080", gateway_key="tb_key")
    with tollbook.tenant("acme"):
        wrap(client, sink=seen).chat.completions.create(model=MODEL, messages=MESSAGES)
        assert seen.only().opened.provider == "openai"
        assert faults.counts == {"host models.internal": 1}
        wrap(client, provider="own-models").chat.completions.create(model=MODEL, messages=MESSAGES)
    stranger, named = requests
    assert str(stranger.url) == "http://models.internal/v1/chat/completions"
    assert stranger.headers["authorization"] == "Bearer sk-own"
    assert "baggage" not in stranger.headers
    assert str(named.url) == "http://gateway.internal:8080/own-models/v1/chat/completions"


def test_a_server_of_models_beside_the_gateway_is_not_taken_for_it(seen: Seen) -> None:
    requests: list[httpx2.Request] = []
    client = openai.OpenAI(
        api_key="sk-own", base_url="http://127.0.0.1:8000/v1", http_client=answering(requests)
    )
    wrap(client, gateway="http://127.0.0.1:8080", gateway_key="tb_key", sink=seen)
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert str(requests[0].url) == "http://127.0.0.1:8000/v1/chat/completions"
    assert requests[0].headers["authorization"] == "Bearer sk-own"
    assert seen.only().opened.path == "/v1/chat/completions"


def test_without_a_tenant_the_gateway_is_told_where_the_call_was_made(seen: Seen) -> None:
    requests: list[httpx2.Request] = []
    client = wrap(
        openai.OpenAI(api_key=KEY, http_client=answering(requests)), gateway="http://gateway:1"
    )
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    site = requests[0].headers["x-tollbook-tag-call_site"]
    assert "test_sdk_harness_gateway.py" in site
    tollbook.configure(missing_tenant="raise")
    with pytest.raises(MissingTenantError):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(requests) == 1
