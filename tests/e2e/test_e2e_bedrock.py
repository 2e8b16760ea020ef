"""boto3 and Anthropic's Bedrock client through the gateway; the ledger against the true bill."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError, EventStreamError  # type: ignore[import-untyped]

from tollbook.simulator.provider.bedrock_signature import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
)
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-micro-v1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
MESSAGES: Any = [{"role": "user", "content": [{"text": "What does one call cost?"}]}]
TOOLS: Any = {
    "tools": [
        {"toolSpec": {"name": "look_up", "inputSchema": {"json": {"type": "object"}}}},
    ]
}
CACHED = "input=5000;cache_read=2000;cache_write_5m=1500;cache_write_1h=500;output=60"
SETTINGS = """
[providers.bedrock]
base_url = "SIM/bedrock"
aws_region = "us-east-1"
"""
KINDS = {
    "uncached_input": "uncached_input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "visible_output": "visible_output_tokens",
    "reasoning": "reasoning_tokens",
}


class Bedrock:
    """A house whose gateway signs for AWS, and clients that present a virtual key."""

    def __init__(self, house: Any, stack: contextlib.ExitStack) -> None:
        self.house = house
        self.stack = stack
        self.key = house.key("app", tenant_id="acme", feature="support")

    def boto(self, *, attempts: int = 1, **headers: str) -> Any:
        """Return a client that signs with the virtual key as its access key id."""
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"{self.house.url}/bedrock",
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key="anything",
            config=Config(
                retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=15
            ),
        )

        def add(request: Any, **_: Any) -> None:
            for name, value in headers.items():
                request.headers[name.replace("_", "-")] = value

        client.meta.events.register("before-sign.bedrock-runtime.*", add)
        self.stack.callback(client.close)
        return client

    def entries(self) -> list[dict[str, Any]]:
        self.house.stop()
        return list(self.house.records("SELECT * FROM entries ORDER BY called_at"))

    def check_against_truth(self, *, calls: int) -> list[dict[str, Any]]:
        """Hold every entry against the provider's own log, to the token and the dollar."""
        rows = self.entries()
        truth = {
            call.ended.provider_request_id: call
            for call in read_truth(self.house.simulator.log_dir)
            if call.ended is not None
        }
        assert len(rows) == len(truth) == calls
        for row in rows:
            call = truth[row["provider_request_id"]]
            assert call.received.leaks == (), "no key, no identity reaches the provider"
            assert call.received.provider == row["provider"]
            assert (row["tenant_id"], row["feature"]) == ("acme", "support")
            if call.is_billed:
                have = {kind: row[column] for kind, column in KINDS.items()}
                assert have == {kind: getattr(call.quantities, kind) for kind in KINDS}, row
                assert row["usage_source"] == "reported"
                assert call.ended is not None
                assert row["cost_usd"] == Decimal(call.ended.cost_usd), row
                assert row["region"] == "us-east-1"
            else:
                assert (row["price_state"], row["cost_usd"]) == ("not_billed", 0), row
        return rows


@pytest.fixture
def bedrock(make_house: Callable[..., Any]) -> Iterator[Bedrock]:
    with contextlib.ExitStack() as stack:
        house = make_house(settings=SETTINGS, starts=False)
        house.environ |= {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_SESSION_TOKEN": SESSION_TOKEN,
        }
        for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE"):
            house.environ.pop(name, None)
        house.start()
        yield Bedrock(house, stack)


def read_all(stream: Any) -> list[dict[str, Any]]:
    with contextlib.closing(stream) as events:
        return list(events)


def test_converse_plain_and_streamed_with_tools_and_caches(bedrock: Bedrock) -> None:
    plain = bedrock.boto(x_sim_size=CACHED).converse(modelId=CLAUDE, messages=MESSAGES)
    streamed = read_all(
        bedrock.boto(x_sim_size=CACHED).converse_stream(modelId=HAIKU, messages=MESSAGES)["stream"]
    )
    client = bedrock.boto()
    tools = client.converse(modelId=NOVA, messages=MESSAGES, toolConfig=TOOLS)
    read_all(client.converse_stream(modelId=NOVA, messages=MESSAGES, toolConfig=TOOLS)["stream"])
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{HAIKU}"
    client.converse(
        modelId=arn, messages=MESSAGES, requestMetadata={"tenant": "forged", "plan": "gold"}
    )

    assert plain["usage"]["cacheReadInputTokens"] == 2000
    assert streamed[-1]["metadata"]["usage"]["totalTokens"] == 5060
    assert tools["stopReason"] == "tool_use"
    rows = bedrock.check_against_truth(calls=5)
    assert [row["model_requested"] for row in rows] == [CLAUDE, HAIKU, NOVA, NOVA, HAIKU]
    assert [row["is_stream"] for row in rows] == [False, True, False, True, False]
    assert {row["operation"] for row in rows} == {"chat"}
    # (1000 x 1 + 2000 x 0.1 + 1500 x 1.25 + 500 x 2 + 60 x 5) / 10^6: served from anywhere
    assert rows[1]["cost_usd"] == Decimal("0.004375000000")
    # The same in one geography, of the larger model: a tenth is added to each rate.
    assert rows[0]["cost_usd"] == Decimal("0.014437500000")
    assert "plan" in str(rows[4]["tags"]), "request metadata is read"
    assert rows[4]["tenant_id"] == "acme", "what the key is bound to goes first"


BODIES: dict[str, Any] = {
    CLAUDE: {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    },
    HAIKU: {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    },
    NOVA: {"messages": MESSAGES},
    LLAMA: {"prompt": "Hi"},
}


def test_invoke_of_each_family(bedrock: Bedrock) -> None:
    client = bedrock.boto()
    for model, body in BODIES.items():
        raw = json.dumps(body)
        answer = client.invoke_model(modelId=model, body=raw)
        assert json.loads(answer["body"].read())
        streamed = client.invoke_model_with_response_stream(modelId=model, body=raw)
        chunks = [json.loads(event["chunk"]["bytes"]) for event in read_all(streamed["body"])]
        assert "amazon-bedrock-invocationMetrics" in chunks[-1]
    vector = client.invoke_model(modelId=TITAN, body=json.dumps({"inputText": "a text"}))
    assert json.loads(vector["body"].read())["embedding"]
    with contextlib.suppress(ClientError):
        client.count_tokens(modelId=NOVA, input={"converse": {"messages": MESSAGES}})

    rows = bedrock.entries()
    free = [row for row in rows if row["operation"] == "count_tokens"]
    assert [row["price_state"] for row in free] == ["free"]
    assert {row["operation"] for row in rows} == {"chat", "embeddings", "count_tokens"}
    truth = {call.ended.provider_request_id: call for call in _ended(bedrock)}
    for row in rows:
        if row["operation"] == "count_tokens":
            continue
        call = truth[row["provider_request_id"]]
        assert row["cost_usd"] == Decimal(call.ended.cost_usd), row
        assert row["model_actual"] == call.ended.model, "with its geography"
        assert row["usage_source"] == "reported"


def _ended(bedrock: Bedrock) -> list[Any]:
    return [call for call in read_truth(bedrock.house.simulator.log_dir) if call.ended]


def test_errors_are_the_sdk_s_own_and_are_retried_by_it(bedrock: Bedrock) -> None:
    with pytest.raises(ClientError) as throttled:
        bedrock.boto(x_sim_fault="rate_limit").converse(modelId=CLAUDE, messages=MESSAGES)
    with pytest.raises(ClientError) as unknown:
        bedrock.boto().converse(modelId="no.such-model", messages=MESSAGES)
    again = bedrock.boto(
        attempts=3, x_sim_request_id="retried", x_sim_fault="rate_limit;times=1"
    ).converse(modelId=NOVA, messages=MESSAGES)
    broken = bedrock.boto(x_sim_fault="error_event;after=2")
    stream = broken.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"]
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        read_all(stream)
    bedrock.key = "tb_not-a-key-of-ours"
    with pytest.raises(ClientError) as stranger:
        bedrock.boto().converse(modelId=NOVA, messages=MESSAGES)

    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"
    assert unknown.value.response["Error"]["Code"] == "ValidationException"
    assert stranger.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert again["ResponseMetadata"]["RetryAttempts"] == 1
    rows = bedrock.entries()
    assert [(row["status"], row["error_type"], row["attempt"]) for row in rows] == [
        ("error", "ThrottlingException", 1),
        ("error", "ValidationException", 1),
        ("error", "ThrottlingException", 1),
        ("ok", None, 2),
        ("error", "modelStreamErrorException", 1),
        ("rejected", "invalid_api_key", 1),
    ]
    assert [row["price_state"] for row in rows] == [
        "not_billed", "not_billed", "not_billed", "priced", "priced", "not_billed",
    ]  # fmt: skip
    assert rows[4]["usage_source"] == "estimated", "what was received before the stream broke"


def test_anthropic_s_client_for_bedrock_signed_and_with_a_token(bedrock: Bedrock) -> None:
    messages: Any = [{"role": "user", "content": "Hi"}]
    ids: list[str | None] = []
    for credentials in (
        {"aws_access_key": bedrock.key, "aws_secret_key": "anything"},
        {"api_key": bedrock.key},
    ):
        with anthropic.AnthropicBedrock(
            base_url=f"{bedrock.house.url}/bedrock",
            aws_region="us-east-1",
            max_retries=0,
            **credentials,
        ) as client:
            plain = client.messages.create(
                model=HAIKU,
                max_tokens=100,
                messages=messages,
                metadata={"user_id": "u1"},
                extra_headers={"x-sim-size": CACHED},
            )
            with client.messages.stream(model=CLAUDE, max_tokens=100, messages=messages) as stream:
                final = stream.get_final_message()
            with pytest.raises(anthropic.RateLimitError):
                client.messages.create(
                    model=HAIKU, max_tokens=9, messages=messages,
                    extra_headers={"x-sim-fault": "rate_limit"},
                )  # fmt: skip
        assert plain.usage.cache_read_input_tokens == 2000
        assert final.usage.output_tokens
        ids += [plain.id, final.id, None]

    rows = bedrock.check_against_truth(calls=6)
    assert [row["provider_response_id"] for row in rows] == ids
    assert {row["user_id"] for row in rows} == {"u1", None}
    assert [row["error_type"] for row in rows] == [None, None, "ThrottlingException"] * 2
    assert [row["model_actual"] for row in rows[:2]] == [HAIKU, CLAUDE]


def _raw(bedrock: Bedrock, body: bytes, *more: str) -> bytes:
    lines = [
        f"POST /bedrock/model/{NOVA}/converse HTTP/1.1", "host: gateway",
        f"authorization: Bearer {bedrock.key}", "content-type: application/json",
        f"content-length: {len(body)}", *more,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_client_that_drops_a_plain_call_pays_for_all_of_it(bedrock: Bedrock) -> None:
    """Case A5: the provider finishes the answer and bills it, whoever waits for it."""
    body = json.dumps({"messages": MESSAGES}).encode()
    slow = "x-sim-fault: slow_first_byte;delay_ms=1500"
    with socket.create_connection(("127.0.0.1", bedrock.house.gateway_port)) as connection:
        connection.sendall(_raw(bedrock, body, slow, "x-sim-size: input=700;output=300"))
        time.sleep(0.5)
    time.sleep(2)
    (row,) = bedrock.entries()
    assert row["status"] == "cancelled"
    assert (row["uncached_input_tokens"], row["visible_output_tokens"]) == (700, 300)
    assert row["usage_source"] == "reported"
    (call,) = _ended(bedrock)
    assert row["cost_usd"] == Decimal(call.ended.cost_usd) > 0


def test_no_call_of_many_costs_nothing(bedrock: Bedrock) -> None:
    """Case E5: what passes is metered every time."""
    client = bedrock.boto()
    for number in range(100):
        if number % 2:
            client.converse(modelId=NOVA, messages=MESSAGES)
        else:
            body = json.dumps(BODIES[LLAMA])
            read_all(client.invoke_model_with_response_stream(modelId=LLAMA, body=body)["body"])
    rows = bedrock.check_against_truth(calls=100)
    assert all(row["price_state"] == "priced" and row["cost_usd"] > 0 for row in rows)
