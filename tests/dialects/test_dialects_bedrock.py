"""The Bedrock dialect: paths, requests, answers, streams, errors."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.aws_kit import event, exception

from tollbook.call import Metering
from tollbook.dialects.base import Metered, RequestFacts, Route
from tollbook.dialects.registry import dialect_named
from tollbook.identity import Mechanism

if TYPE_CHECKING:
    from collections.abc import Iterable

BEDROCK = dialect_named("bedrock")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:"
STREAM = {b"content-type": b"application/vnd.amazon.eventstream"}
JSON = {b"content-type": b"application/json"}


def path(model: str, action: str) -> str:
    return f"/model/{quote(model, safe='')}/{action}"


def route(action: str = "converse", model: str = CLAUDE) -> Route:
    return BEDROCK.route("POST", path(model, action))


def read(body: bytes | dict[str, Any], action: str = "converse", **more: Any) -> RequestFacts:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BEDROCK.read_request(
        route(action, more.pop("model", CLAUDE)), raw, inject_stream_usage=True, user_is="user"
    )


def run(
    body: bytes,
    headers: dict[bytes, bytes] = STREAM,
    *,
    on: Route | None = None,
    status: int = 200,
    cuts: Iterable[int] = (),
) -> Metered:
    meter = BEDROCK.meter(on or route(), RequestFacts(b""), status, headers)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    shown = b"".join(meter.feed(body[start:end]) for start, end in pairwise(edges))
    assert shown + meter.flush() == body
    return meter.result()


def chunk(document: dict[str, Any]) -> bytes:
    wrapped = base64.b64encode(json.dumps(document).encode()).decode()
    return event("chunk", json.dumps({"bytes": wrapped, "p": "abcdef"}).encode())


def converse_event(name: str, document: dict[str, Any]) -> bytes:
    return event(name, json.dumps({**document, "p": "abc"}).encode())


def objects(seen: Metered) -> list[Any]:
    return [json.loads(raw) for raw in seen.usage]


@pytest.mark.parametrize(
    ("action", "metering", "is_stream"),
    [
        ("converse", Metering.METERED, False),
        ("converse-stream", Metering.METERED, True),
        ("invoke", Metering.METERED, False),
        ("invoke-with-response-stream", Metering.METERED, True),
        ("count-tokens", Metering.FREE, None),
        ("invoke-with-bidirectional-stream", Metering.UNMETERED, None),
    ],
)
def test_actions(action: str, metering: Metering, is_stream: bool | None) -> None:  # noqa: FBT001 -- a table
    found = route(action)
    assert (found.metering, found.is_stream, found.model) == (metering, is_stream, CLAUDE)
    assert found.inspects_body is (metering is Metering.METERED)
    assert BEDROCK.route("POST", f"/model/{CLAUDE}/{action}") == found, "however it is encoded"


@pytest.mark.parametrize(
    ("method", "odd"),
    [
        ("GET", path(CLAUDE, "converse")),
        ("POST", "/async-invoke"),
        ("GET", "/async-invoke/arn%3Aaws"),
        ("POST", "/guardrail/g1/version/1/apply"),
        ("POST", "/model//converse"),
        ("POST", "/model/converse"),
        ("POST", "/"),
    ],
)
def test_all_else_is_unmetered(method: str, odd: str) -> None:
    assert BEDROCK.route(method, odd).metering is Metering.UNMETERED


@pytest.mark.parametrize(
    ("named", "model", "region"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", None),
        ("global.anthropic.claude-opus-4-8", "global.anthropic.claude-opus-4-8", None),
        (
            "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            "us-west-2",
        ),
        (ARN + "inference-profile/eu.amazon.nova-pro-v1:0", "eu.amazon.nova-pro-v1:0", "eu-west-1"),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.x.y-v1:0",
            "us-gov.x.y-v1:0",
            "us-gov-west-1",
        ),
        (
            ARN + "application-inference-profile/ab12",
            ARN + "application-inference-profile/ab12",
            "eu-west-1",
        ),
        (ARN + "provisioned-model/ab12", ARN + "provisioned-model/ab12", "eu-west-1"),
        (ARN + "imported-model/ab12", ARN + "imported-model/ab12", "eu-west-1"),
        ("arn:aws:sagemaker:us-east-1:1:endpoint/e", "arn:aws:sagemaker:us-east-1:1:endpoint/e",
         "us-east-1"),
        ("arn:odd", "arn:odd", None),
    ],
)  # fmt: skip
def test_models_and_regions_of_ids(named: str, model: str, region: str | None) -> None:
    found = route("converse-stream", named)
    assert (found.model, found.region) == (model, region)


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("anthropic.claude-v2", "chat"),
        ("meta.llama3-70b-instruct-v1:0", "chat"),
        ("amazon.titan-embed-text-v2:0", "embeddings"),
        ("amazon.titan-embed-image-v1", "embeddings"),
        ("cohere.embed-v4:0", "embeddings"),
        ("amazon.rerank-v1:0", "rerank"),
        ("amazon.nova-canvas-v1:0", "image"),
        ("stability.sd3-5-large-v1:0", "image"),
    ],
)
def test_what_invoke_is_the_model_tells(model: str, operation: str) -> None:
    assert route("invoke", model).operation == operation


def test_another_model_in_the_path() -> None:
    target = path(CLAUDE, "converse").encode() + b"?a=%2Fmodel%2Fx%2Fy"
    other = ARN + "application-inference-profile/ab12"
    changed = BEDROCK.with_model(route(), target, b"{}", other)
    assert changed is not None
    assert changed.body == b"{}"
    changed_path, _, query = changed.target.decode().partition("?")
    assert query == "a=%2Fmodel%2Fx%2Fy"
    assert changed_path == path(other, "converse")
    assert BEDROCK.route("POST", changed_path).model == other
    assert BEDROCK.with_model(BEDROCK.route("POST", "/x"), b"/x", b"", other) is None


REQUESTS = [
    pytest.param(
        {"messages": [{"role": "user"}], "inferenceConfig": {"maxTokens": 7}}, "converse", 7,
        id="converse",
    ),
    pytest.param({"messages": [{"role": "user"}], "max_tokens": 9}, "invoke", 9, id="anthropic"),
    pytest.param(
        {"messages": [{"role": "user"}], "inferenceConfig": {"max_new_tokens": 5}}, "invoke", 5,
        id="nova",
    ),
    pytest.param(
        {"inputText": "0123456789abc", "textGenerationConfig": {"maxTokenCount": 3}}, "invoke", 3,
        id="titan",
    ),
    pytest.param({"prompt": "0123456789abc", "max_gen_len": 4}, "invoke", 4, id="llama"),
    pytest.param(
        {"prompt": "0123456789abc", "max_tokens_to_sample": 6}, "invoke", 6, id="claude 2"
    ),
    pytest.param({"texts": ["0123456789a"]}, "invoke", None, id="cohere embeddings"),
    pytest.param(
        {"messages": [{"role": "user"}], "inferenceConfig": {"maxTokens": "x"}}, "converse", None,
        id="a limit that is none",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "action", "limit"), REQUESTS)
def test_requests_of_every_family(body: dict[str, Any], action: str, limit: int | None) -> None:
    raw = json.dumps(body).encode()
    facts = read(raw, action)
    assert facts.body is raw
    text = next(body[name] for name in ("messages", "prompt", "inputText", "texts") if name in body)
    assert facts.max_output_tokens == limit
    assert facts.input_chars == len(json.dumps(text))
    assert facts.is_stream is False
    assert read(raw, "converse-stream").is_stream is True


def test_request_metadata_names_the_owner() -> None:
    facts = read({"messages": [], "requestMetadata": {"tenant": "acme", "plan": "gold"}})
    (claims,) = facts.claims
    assert claims.mechanism is Mechanism.PROVIDER_NATIVE
    assert (claims.fields, claims.tags) == ({"tenant_id": "acme"}, {"plan": "gold"})
    assert read({"messages": [], "requestMetadata": ["odd"]}).claims == ()


def test_metadata_of_anthropic_bodies() -> None:
    facts = read(
        {"messages": [], "metadata": {"user_id": "u1"}, "litellm_metadata": {"team": "s"}}, "invoke"
    )
    assert b"litellm_metadata" not in facts.body
    assert [claims.fields for claims in facts.claims] == [{"team_id": "s"}, {"user_id": "u1"}]


def test_what_only_the_request_says() -> None:
    rerank = read({"query": "q", "documents": ["a"] * 120}, "invoke", model="cohere.rerank-v3-5:0")
    assert rerank.asked == {"documents": 120}
    settings_ = {"numberOfImages": 3, "width": 1024, "height": 512, "quality": "premium"}
    canvas = read({"imageGenerationConfig": settings_}, "invoke", model="amazon.nova-canvas-v1:0")
    assert canvas.asked == {"images": 3, "quality": "premium", "size": "1024x512"}
    odd = {"numberOfImages": True, "width": "1", "height": 2, "quality": "a b"}
    assert not read({"imageGenerationConfig": odd}, "invoke", model="amazon.nova-canvas-v1:0").asked


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["converse", "invoke"]))
def test_no_request_raises(body: bytes, action: str) -> None:
    assert read(body, action).body is body


USAGE = {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17, "serverToolUsage": {}}
CONVERSE = (
    converse_event("messageStart", {"role": "assistant"})
    + converse_event("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}})
    + converse_event("contentBlockDelta", {"delta": {"text": "Hello"}})
    + converse_event("contentBlockStart", {"start": {"toolUse": {"name": "find"}}})
    + converse_event("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}})
    + converse_event("contentBlockStop", {"contentBlockIndex": 0})
    + converse_event("messageStop", {"stopReason": "end_turn"})
)
END = converse_event(
    "metadata",
    {"usage": USAGE, "metrics": {"latencyMs": 5}, "serviceTier": {"type": "flex"},
     "trace": {"guardrail": {"usage": {"topicPolicyUnits": 9}}}},
)  # fmt: skip


def test_a_converse_stream() -> None:
    seen = run(CONVERSE + END)
    assert objects(seen) == [USAGE]
    assert (seen.usage_complete, seen.stream_ended) == (True, True)
    assert (seen.output_chars, seen.output_events) == (13, 4)
    assert (seen.model_actual, seen.service_tier, seen.error_type) == (CLAUDE, "flex", None)


def test_a_converse_stream_that_breaks_off() -> None:
    seen = run(CONVERSE + END[:-3])
    assert (seen.usage, seen.usage_complete, seen.stream_ended) == ((), False, False)
    assert seen.output_chars == 13


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=30))
def test_any_chunking_gives_the_same(cuts: list[int]) -> None:
    assert run(CONVERSE + END, cuts=cuts) == run(CONVERSE + END)


def test_an_exception_in_a_stream() -> None:
    seen = run(CONVERSE + exception("throttlingException"))
    assert (seen.error_type, seen.usage_complete) == ("throttlingException", False)
    assert seen.output_events == 4


@pytest.mark.parametrize("odd", [b"[1]", b'{"delta":{"text":3}}', b'{"delta":3}', b"\xff", b""])
def test_unexpected_events_do_not_lose_the_usage(odd: bytes) -> None:
    assert objects(run(event("contentBlockDelta", odd) + event("odd", odd) + END)) == [USAGE]


def test_the_model_behind_a_prompt_router() -> None:
    router = ARN + "default-prompt-router/anthropic.claude:1"
    used = ARN + "inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0"
    answer = json.dumps({"usage": USAGE, "trace": {"promptRouter": {"invokedModelId": used}}})
    plain = run(answer.encode(), JSON, on=route("converse", router))
    assert plain.model_actual == "eu.anthropic.claude-3-haiku-20240307-v1:0"


METRICS = {"inputTokenCount": 21, "outputTokenCount": 22, "invocationLatency": 1}


def test_a_stream_of_anthropic_events() -> None:
    body = b"".join(
        (
            chunk(
                {
                    "type": "message_start",
                    "message": {
                        "id": "msg_1", "model": "claude-sonnet-4-5-20250929",
                        "usage": {"input_tokens": 21, "output_tokens": 2},
                    },
                }
            ),
            chunk(
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}}
            ),
            chunk({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 22}}),
            chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS}),
        )
    )  # fmt: skip
    seen = run(body, on=route("invoke-with-response-stream"), cuts=range(0, len(body), 7))
    assert objects(seen) == [
        {"input_tokens": 21, "output_tokens": 2}, {"output_tokens": 22}, METRICS,
    ]  # fmt: skip
    assert (seen.usage_complete, seen.stream_ended, seen.output_chars) == (True, True, 5)
    assert seen.provider_response_id == "msg_1"
    assert seen.model_actual == CLAUDE, "the profile's geography decides the price"
    profile = ARN + "application-inference-profile/ab12"
    told = run(body, on=route("invoke-with-response-stream", profile))
    assert told.model_actual == "claude-sonnet-4-5-20250929", "all there is to tell the model"


FAMILIES = [
    pytest.param(
        [
            {"contentBlockDelta": {"delta": {"text": "Hello"}}},
            {"metadata": {"usage": {"inputTokens": 12, "outputTokens": 13}, "metrics": {}}},
            {"messageStop": {}, "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [{"inputTokens": 12, "outputTokens": 13}, METRICS],
        id="nova",
    ),
    pytest.param(
        [
            {
                "outputText": "Hello", "inputTextTokenCount": 5, "totalOutputTextTokenCount": 10,
                "amazon-bedrock-invocationMetrics": METRICS,
            }
        ],
        [{"inputTextTokenCount": 5, "totalOutputTextTokenCount": 10}, METRICS],
        id="titan",
    ),
    pytest.param(
        [
            {"generation": "Hel", "prompt_token_count": 9, "generation_token_count": 1},
            {"generation": "lo", "prompt_token_count": None, "generation_token_count": 2},
            {"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [
            {"prompt_token_count": 9, "generation_token_count": 1},
            {"generation_token_count": 2},
            METRICS,
        ],
        id="llama",
    ),
    pytest.param(
        [
            {"text": "Hello", "is_finished": False},
            {"is_finished": True, "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [METRICS],
        id="cohere",
    ),
    pytest.param(
        [
            {"outputs": [{"text": "Hello", "stop_reason": None}]},
            {"outputs": [{"text": ""}], "amazon-bedrock-invocationMetrics": METRICS},
        ],
        [METRICS],
        id="mistral",
    ),
    pytest.param(
        [{"completion": "Hello", "amazon-bedrock-invocationMetrics": METRICS}],
        [METRICS],
        id="claude 2",
    ),
    pytest.param(
        [
            {"choices": [{"delta": {"content": "Hello"}}]},
            {
                "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4},
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ],
        [{"prompt_tokens": 3, "completion_tokens": 4}, METRICS],
        id="openai",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("documents", "usage"), FAMILIES)
def test_streams_of_every_family(documents: list[dict[str, Any]], usage: list[Any]) -> None:
    seen = run(b"".join(map(chunk, documents)), on=route("invoke-with-response-stream", "x.y"))
    assert objects(seen) == usage
    assert (seen.usage_complete, seen.stream_ended) == (True, True)
    assert (seen.output_chars, seen.model_actual) == (5, "x.y")


@pytest.mark.parametrize("odd", [b'{"bytes":"%%%"}', b'{"bytes":7}', b'{"bytes":"W10="}', b"x"])
def test_unexpected_chunks_do_not_lose_the_usage(odd: bytes) -> None:
    assert objects(run(event("chunk", odd) + chunk({"amazon-bedrock-invocationMetrics": METRICS})))


COUNTS = {
    b"x-amzn-bedrock-input-token-count": b"18",
    b"x-amzn-bedrock-output-token-count": b"50",
}
COUNTED = {"x-amzn-bedrock-input-token-count": 18, "x-amzn-bedrock-output-token-count": 50}
ANSWERS = [
    pytest.param({"output": {"message": {}}, "usage": USAGE}, [USAGE], id="converse"),
    pytest.param(
        {"id": "m", "content": [], "usage": {"input_tokens": 18, "output_tokens": 50}},
        [{"input_tokens": 18, "output_tokens": 50}],
        id="anthropic",
    ),
    pytest.param(
        {"inputTextTokenCount": 18, "results": [{"tokenCount": 20}, {"tokenCount": 30}]},
        [{"inputTextTokenCount": 18, "tokenCount": 50}],
        id="titan",
    ),
    pytest.param(
        {"generation": "x", "prompt_token_count": 18, "generation_token_count": 50},
        [{"prompt_token_count": 18, "generation_token_count": 50}],
        id="llama",
    ),
    pytest.param({"generations": [{"text": "x"}]}, [], id="cohere"),
    pytest.param(
        {"embedding": [0.5], "inputTextTokenCount": 18},
        [{"inputTextTokenCount": 18, "embeddings": True}],
        id="embeddings",
    ),
    pytest.param({"images": ["aGVsbG8=", "aGVsbG8="]}, [{"images": 2}], id="images"),
    pytest.param(
        {"results": [], "meta": {"billed_units": {"search_units": 1}}},
        [{"search_units": 1}],
        id="rerank",
    ),
]


@pytest.mark.parametrize(("body", "usage"), ANSWERS)
def test_answers_of_every_family(body: dict[str, Any], usage: list[Any]) -> None:
    raw = json.dumps(body).encode()
    assert objects(run(raw, JSON)) == usage
    seen = run(raw, JSON | COUNTS)
    assert objects(seen) == [*usage, COUNTED], "what the head counts is kept as evidence"
    assert (seen.usage_complete, seen.model_actual, seen.output_chars) == (True, CLAUDE, 0)


def test_no_text_is_kept() -> None:
    secret = {"outputText": "secret", "generation": "secret", "tokenCount": 1}
    body = {"inputTextTokenCount": 1, "results": [secret], "generation": "secret"}
    assert b"secret" not in b"".join(run(json.dumps(body).encode(), JSON).usage)


def test_answers_without_usage_are_measured_by_their_text() -> None:
    assert run(b'{"outputs":[{"text":"Hello"}]}', JSON).output_chars == 5
    assert run(b'{"generation":"Hello","stop', JSON).output_chars == 5
    assert run(b'{"results":3,"outputText":"Hello"}', JSON).output_chars == 5


def test_the_tier_of_an_answer() -> None:
    body = {"usage": USAGE, "serviceTier": {"type": "priority"}}
    assert run(json.dumps(body).encode(), JSON).service_tier == "priority"
    body["performanceConfig"] = {"latency": "optimized"}
    assert run(json.dumps(body).encode(), JSON).service_tier == "priority+optimized"
    head = JSON | {b"x-amzn-bedrock-service-tier": b"flex"}
    assert run(b'{"usage":{"input_tokens":1}}', head).service_tier == "flex"
    head = JSON | {b"x-amzn-bedrock-performanceconfig-latency": b"optimized"}
    assert run(b"{}", head).service_tier == "optimized"


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        (
            {b"x-amzn-errortype": b"ThrottlingException:http://internal.amazon.com/coral/"},
            b'{"message":"slow"}',
            "ThrottlingException",
        ),
        ({}, b'{"__type":"com.amazon.coral#ValidationException"}', "ValidationException"),
        ({}, b'{"message":"no type"}', None),
        ({}, b"<html>", None),
        ({b"x-amzn-errortype": b"a b"}, b"", None),
    ],
)
def test_errors(headers: dict[bytes, bytes], body: bytes, name: str | None) -> None:
    seen = run(body, JSON | headers, status=429)
    assert seen == Metered(error_type=name)


def test_credentials_and_heads() -> None:
    signed = b"AWS4-HMAC-SHA256 Credential=tb_1/20261121/us-east-1/bedrock/aws4_request, Sig=x"
    assert BEDROCK.read_credential([(b"authorization", signed)]) == "tb_1"
    assert BEDROCK.read_credential([(b"authorization", b"Bearer tb_2")]) == "tb_2"
    assert BEDROCK.read_credential([]) is None
    assert BEDROCK.credential_headers("k") == [(b"authorization", b"Bearer k")]
    assert all(map(BEDROCK.is_credential, (b"authorization", b"x-amz-date")))
    assert not BEDROCK.is_credential(b"x-amzn-bedrock-trace")
    assert BEDROCK.provider_request_id({b"x-amzn-requestid": b"r1"}) == "r1"


@pytest.mark.parametrize(
    ("header", "attempt"),
    [
        ((b"amz-sdk-request", b"attempt=1"), 1),
        ((b"amz-sdk-request", b"ttl=20261121T000000Z; attempt=3; max=5"), 3),
        ((b"amz-sdk-request", b"attempt=0; max=5"), 1),
        ((b"amz-sdk-request", b"odd"), 1),
        ((b"x-stainless-retry-count", b"1"), 2),
        ((b"x", b"y"), 1),
    ],
)
def test_the_attempt_as_the_sdks_count_it(header: tuple[bytes, bytes], attempt: int) -> None:
    assert BEDROCK.attempt([header]) == attempt


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationException"),
        (401, "UnrecognizedClientException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (429, "ThrottlingException"),
        (502, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
def test_errors_of_the_gateway_in_the_shape_of_aws(status: int, name: str) -> None:
    made = json.loads(BEDROCK.error_body(status, "missing_tenant", "say who"))
    assert made == {"__type": name, "message": "say who", "reason": "missing_tenant"}


@pytest.mark.parametrize(
    ("status", "error_type", "is_retryable"),
    [
        (429, "ThrottlingException", True),
        (503, None, True),
        (424, "ModelErrorException", True),
        (400, "ValidationException", False),
        (403, "AccessDeniedException", False),
    ],
)
def test_what_another_attempt_may_mend(
    status: int,
    error_type: str | None,
    is_retryable: bool,  # noqa: FBT001 -- a table
) -> None:
    assert BEDROCK.is_retryable(status, error_type) is is_retryable


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=5))
def test_no_answer_raises_or_is_changed(body: bytes, cuts: list[int]) -> None:
    for raw in (body, event("metadata", body), event("chunk", body), chunk({"a": body.hex()})):
        for headers in (STREAM, JSON, JSON | COUNTS):
            run(raw, headers, cuts=cuts)
            run(raw, headers, status=500, cuts=cuts)
