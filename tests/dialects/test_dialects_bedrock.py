"""The Bedrock dialect: paths, requests, plain answers, errors; streams have their own file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.aws_kit import event
from tests.dialects.bedrock_kit import (
    ARN,
    BEDROCK,
    CLAUDE,
    JSON,
    STREAM,
    USAGE,
    chunk,
    objects,
    path,
    read,
    route,
    run,
)

from tollbook.call import Metering
from tollbook.dialects.base import Metered
from tollbook.identity import Mechanism


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
        (529, "InternalServerException"),
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
