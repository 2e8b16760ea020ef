"""boto3 cannot tell the simulator from Bedrock, which checks signatures as the service does."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError, EventStreamError  # type: ignore[import-untyped]

from tollbook.simulator.provider.bedrock_signature import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.simulator.lab import Lab

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MESSAGES: Any = [{"role": "user", "content": [{"text": "What does one call cost?"}]}]
TOOLS: Any = {
    "tools": [
        {
            "toolSpec": {
                "name": "get_weather",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    }
                },
            }
        }
    ]
}


@pytest.fixture
def make_client(lab: Lab) -> Iterator[Callable[..., Any]]:
    clients: list[Any] = []

    def make(
        *,
        key: str = ACCESS_KEY_ID,
        secret: str = SECRET_ACCESS_KEY,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"{lab.simulator.base_url}/bedrock",
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )

        def add(request: Any, **_: Any) -> None:
            for name, value in (headers or {}).items():
                request.headers[name] = value

        client.meta.events.register("before-sign.bedrock-runtime.*", add)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def test_converse_reports_the_usage_that_is_billed(
    lab: Lab, make_client: Callable[..., Any]
) -> None:
    request_id = lab.new_id()
    size = "input=5000;cache_read=2000;cache_write_5m=1500;cache_write_1h=500;output=60"
    client = make_client(headers=lab.headers(request_id, size=size), token=SESSION_TOKEN)
    answer = client.converse(modelId=CLAUDE, messages=MESSAGES)
    usage = answer["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (1000, 60, 5060)
    assert (usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]) == (2000, 2000)
    assert usage["cacheDetails"] == [
        {"ttl": "1h", "inputTokens": 500},
        {"ttl": "5m", "inputTokens": 1500},
    ]
    truth = lab.truth(request_id).ended
    assert truth is not None
    # (1000 x 3.30 + 2000 x 0.33 + 1500 x 4.125 + 500 x 6.60 + 60 x 16.50) / 10^6
    assert truth.cost_usd == "0.014437500000"
    assert answer["ResponseMetadata"]["RequestId"] == truth.provider_request_id


@pytest.mark.parametrize("tools", [None, TOOLS])
def test_converse_stream(make_client: Callable[..., Any], tools: Any) -> None:
    more = {} if tools is None else {"toolConfig": tools}
    answer = make_client().converse_stream(modelId=CLAUDE, messages=MESSAGES, **more)
    with contextlib.closing(answer["stream"]) as stream:
        events = list(stream)
    names = [next(iter(event)) for event in events]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]
    assert names.count("contentBlockDelta") >= 2
    assert events[-2]["messageStop"]["stopReason"] == ("end_turn" if tools is None else "tool_use")
    usage = events[-1]["metadata"]["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


BODIES: dict[str, Any] = {
    CLAUDE: {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    },
    "amazon.nova-micro-v1:0": {"messages": MESSAGES},
    "meta.llama3-1-8b-instruct-v1:0": {"prompt": "Hi"},
}


@pytest.mark.parametrize("model", sorted(BODIES))
def test_invoke_of_each_family(make_client: Callable[..., Any], model: str) -> None:
    client = make_client()
    body = json.dumps(BODIES[model])
    plain = client.invoke_model(modelId=model, body=body)
    heads = plain["ResponseMetadata"]["HTTPHeaders"]
    document = json.loads(plain["body"].read())
    assert document
    assert int(heads["x-amzn-bedrock-output-token-count"]) > 0
    streamed = client.invoke_model_with_response_stream(modelId=model, body=body)
    with contextlib.closing(streamed["body"]) as stream:
        chunks = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert len(chunks) > 2
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] > 0


def test_embeddings(make_client: Callable[..., Any]) -> None:
    body = json.dumps({"inputText": "a text"})
    answer = make_client().invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
    document = json.loads(answer["body"].read())
    assert len(document["embedding"]) == 1024
    heads = answer["ResponseMetadata"]["HTTPHeaders"]
    assert heads["x-amzn-bedrock-input-token-count"] == str(document["inputTextTokenCount"])


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("rate_limit", "ThrottlingException"),
        ("overloaded", "ServiceUnavailableException"),
        ("bad_request", "ValidationException"),
        ("not_found", "ResourceNotFoundException"),
    ],
)
def test_errors_have_the_service_s_names(
    lab: Lab, make_client: Callable[..., Any], fault: str, name: str
) -> None:
    client = make_client(headers=lab.headers(lab.new_id(), fault=fault))
    with pytest.raises(ClientError) as caught:
        client.converse(modelId=CLAUDE, messages=MESSAGES)
    assert caught.value.response["Error"]["Code"] == name


def test_an_exception_in_the_stream(lab: Lab, make_client: Callable[..., Any]) -> None:
    headers = lab.headers(lab.new_id(), fault="error_event;after=2")
    answer = make_client(headers=headers).converse_stream(modelId=CLAUDE, messages=MESSAGES)
    with (
        contextlib.closing(answer["stream"]) as stream,
        pytest.raises(EventStreamError, match="modelStreamErrorException"),
    ):
        list(stream)


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"token": "wrong"}, "UnrecognizedClientException"),
        ({"key": "AKIAOFANOTHER"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_signature_is_refused(
    make_client: Callable[..., Any], how: dict[str, str], name: str
) -> None:
    with pytest.raises(ClientError) as caught:
        make_client(**how).converse(modelId=CLAUDE, messages=MESSAGES)
    assert caught.value.response["Error"]["Code"] == name
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_model_that_is_not_there(make_client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError) as caught:
        make_client().converse(modelId="no.such-model", messages=MESSAGES)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
