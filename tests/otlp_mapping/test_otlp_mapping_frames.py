"""Spans to frames: which are calls, of which provider and operation, and how they went."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.otlp_mapping.kit import (
    AT_NS,
    RECEIVED_NS,
    SPAN,
    TRACE,
    a_chat,
    a_span,
    call_of,
    measured_of,
)

from tollbook.call import CallOpened, Observer, SpanKind, SpanSeen, Status
from tollbook.capture.otlp.mapping import call_id_of, frames_of, frames_of_log
from tollbook.capture.otlp.spans import Event, Link, LogRecord
from tollbook.dialects.otel import usage_object
from tollbook.dialects.usage_log import MAX_USAGE_BYTES

PARENT = "00f067aa0ba902b7"
USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2}


def seen_of(attributes: dict[str, Any], **changes: Any) -> SpanSeen:
    seen = frames_of(a_span(attributes, **changes), RECEIVED_NS)[0]
    assert isinstance(seen, SpanSeen)
    return seen


def test_a_call_of_todays_conventions() -> None:
    call = call_of(
        a_chat() | USAGE | {
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.request.stream": True,
            "gen_ai.response.time_to_first_chunk": 0.25,
            "openai.response.service_tier": "flex",
            "http.response.status_code": 200,
        },
        parent_span_id=PARENT, scope_name="opentelemetry.instrumentation.genai.openai",
    )  # fmt: skip
    opened, closed = call.opened, call.closed
    assert opened.observer is Observer.OTLP
    assert (opened.trace_id, opened.span_id, opened.parent_span_id) == (TRACE, SPAN, PARENT)
    assert (opened.provider, opened.operation, opened.dialect) == ("openai", "chat", "otel")
    assert (opened.model_requested, closed.model_actual) == (
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
    )
    assert opened.is_stream
    assert (opened.started_at_ns, closed.closed_at_ns) == (AT_NS, AT_NS + 10**9)
    assert (closed.duration_ns, closed.time_to_first_token_ns) == (10**9, 250_000_000)
    assert (closed.provider_response_id, closed.service_tier, closed.http_status) == (
        "chatcmpl-1", "flex", 200,
    )  # fmt: skip
    assert closed.status is Status.OK
    assert json.loads(closed.usage[0])["scope"] == "opentelemetry.instrumentation.genai.openai"


def test_a_span_that_comes_again_gives_the_same_frames() -> None:
    span = a_span(a_chat() | USAGE | {"tenant.id": "acme", "x": 1})
    again = a_span(dict(reversed(span.attributes.items())))
    assert frames_of(span, RECEIVED_NS) == frames_of(again, RECEIVED_NS)
    later = frames_of(span, RECEIVED_NS + 1)
    assert later[1:] == frames_of(span, RECEIVED_NS)[1:]


def test_two_spans_are_two_calls() -> None:
    ids = {call_id_of(TRACE, SPAN), call_id_of(TRACE, PARENT), call_id_of("1" + TRACE[1:], SPAN)}
    assert {len(one) for one in ids} == {16}
    assert len(ids) == 3


@pytest.mark.parametrize("ids", [("", SPAN), (TRACE, ""), ("0" * 32, SPAN), (TRACE, "0" * 16),
                                 (TRACE.upper(), SPAN), (TRACE[:-1], SPAN),
                                 (TRACE, "x" * 16)])  # fmt: skip
def test_a_span_without_ids_tells_nothing(ids: tuple[str, str]) -> None:
    assert frames_of(a_span(a_chat(), trace_id=ids[0], span_id=ids[1]), RECEIVED_NS) == []


@pytest.mark.parametrize(
    ("attributes", "kind", "operation"),
    [
        ({"gen_ai.operation.name": "chat"}, SpanKind.MODEL, "chat"),
        ({"gen_ai.operation.name": "generate_content"}, SpanKind.MODEL, "generate_content"),
        ({"gen_ai.operation.name": "text_completion"}, SpanKind.MODEL, "text_completion"),
        ({"gen_ai.operation.name": "embeddings"}, SpanKind.MODEL, "embeddings"),
        ({"gen_ai.operation.name": "acompletion"}, SpanKind.MODEL, "chat"),
        ({"llm.request.type": "rerank"}, SpanKind.MODEL, "rerank"),
        ({"openinference.span.kind": "LLM"}, SpanKind.MODEL, "chat"),
        ({"openinference.span.kind": "EMBEDDING"}, SpanKind.MODEL, "embeddings"),
        ({"openinference.span.kind": "RERANKER"}, SpanKind.MODEL, "rerank"),
        ({"langfuse.observation.type": "generation"}, SpanKind.MODEL, "chat"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, SpanKind.MODEL, "chat"),
        ({"ai.operationId": "ai.embedMany.doEmbed"}, SpanKind.MODEL, "embeddings"),
        ({"gen_ai.operation.name": "invoke_agent"}, SpanKind.AGENT, None),
        ({"gen_ai.operation.name": "execute_tool"}, SpanKind.TOOL, None),
        ({"gen_ai.operation.name": "invoke_workflow"}, SpanKind.WORKFLOW, None),
        ({"gen_ai.operation.name": "retrieval"}, SpanKind.RETRIEVAL, None),
        ({"gen_ai.operation.name": "fetch_response"}, SpanKind.OTHER, None),
        ({"openinference.span.kind": "AGENT"}, SpanKind.AGENT, None),
        ({"openinference.span.kind": "CHAIN"}, SpanKind.STEP, None),
        ({"openinference.span.kind": "TOOL"}, SpanKind.TOOL, None),
        ({"openinference.span.kind": "RETRIEVER"}, SpanKind.RETRIEVAL, None),
        ({"langfuse.observation.type": "tool"}, SpanKind.TOOL, None),
        ({"traceloop.span.kind": "workflow"}, SpanKind.WORKFLOW, None),
        ({"traceloop.span.kind": "task"}, SpanKind.STEP, None),
        ({"ai.operationId": "ai.generateText"}, SpanKind.AGENT, None),
        ({"ai.operationId": "ai.toolCall"}, SpanKind.TOOL, None),
        ({"http.method": "GET"}, SpanKind.OTHER, None),
    ],
)  # fmt: skip
def test_what_a_span_is(attributes: dict[str, Any], kind: SpanKind, operation: str | None) -> None:
    frames = frames_of(a_span(attributes, parent_span_id=PARENT), RECEIVED_NS)
    assert isinstance(frames[0], SpanSeen)
    assert frames[0].kind is kind
    assert len(frames) == (1 if operation is None else 3)
    if operation is not None:
        assert isinstance(frames[1], CallOpened)
        assert frames[1].operation == operation


def test_whatever_carries_usage_is_a_call() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent"} | USAGE
    assert call_of(agent).opened.operation == "invoke_agent"
    assert call_of({"x": 1} | USAGE).opened.operation == "other"
    cost_alone = frames_of(a_span({"gen_ai.usage.cost": 0.5}), RECEIVED_NS)
    assert len(cost_alone) == 1


def test_a_request_to_a_server_is_a_workflow() -> None:
    assert seen_of({"http.route": "/ask"}, kind=2).kind is SpanKind.WORKFLOW
    assert seen_of({"http.route": "/ask"}, kind=2, parent_span_id=PARENT).kind is SpanKind.OTHER


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        ({"gen_ai.provider.name": "aws.bedrock"}, "bedrock"),
        ({"gen_ai.system": "AWS"}, "bedrock"),
        ({"gen_ai.system": "az.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "azure.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "gcp.vertex_ai"}, "vertex"),
        ({"gen_ai.provider.name": "gcp.gemini"}, "gemini"),
        ({"gen_ai.provider.name": "x_ai"}, "xai"),
        ({"gen_ai.provider.name": "mistral_ai"}, "mistral"),
        ({"llm.provider": "google"}, "gemini"),
        ({"ai.model.provider": "openai.responses"}, "openai"),
        ({"ai.model.provider": "anthropic.messages"}, "anthropic"),
        ({"ai.model.provider": "google.generative-ai"}, "gemini"),
        ({"ai.model.provider": "amazon-bedrock"}, "bedrock"),
        ({"gen_ai.system": "Anthropic"}, "anthropic"),
        ({"gen_ai.provider.name": "acme-llm"}, "acme-llm"),
        ({"gen_ai.system": "openai", "server.address": "openrouter.ai"}, "openrouter"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "https://api.groq.com/openai/v1"},
         "groq"),
        ({"gen_ai.system": "openai", "server.address": "acme.openai.azure.com"}, "azure"),
        ({"gen_ai.system": "openai", "server.address": "bedrock-runtime.eu-west-1.amazonaws.com"},
         "bedrock"),
        ({"gen_ai.system": "openai", "server.address": "llm.internal"}, "openai"),
    ],
)  # fmt: skip
def test_providers_by_any_of_their_names(attributes: dict[str, Any], provider: str) -> None:
    assert call_of({"gen_ai.operation.name": "chat"} | attributes).opened.provider == provider


@pytest.mark.parametrize(
    ("model", "provider", "words"),
    [
        ("gpt-4o", "openai", "guessed from the model's name"),
        ("claude-haiku-4-5", "anthropic", "guessed from the model's name"),
        ("groq/llama-4", "groq", "told by the model's name"),
        ("vertex_ai/gemini-3", "vertex", "told by the model's name"),
        ("llama-4", "unknown", "does not name the provider"),
    ],
)
def test_a_provider_that_is_not_named(model: str, provider: str, words: str) -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model} | USAGE
    assert call_of(attributes).opened.provider == provider
    assert any(words in one for one in measured_of(attributes).problems)


def test_hosts_of_the_configuration_name_their_provider() -> None:
    span = a_span(a_chat() | {"server.address": "llm.internal"})
    opened = frames_of(span, RECEIVED_NS, {"llm.internal": "vllm-eu"})[1]
    assert isinstance(opened, CallOpened)
    assert opened.provider == "vllm-eu"


def test_the_host_tells_the_region() -> None:
    attributes = a_chat() | {"server.address": "bedrock-runtime.eu-west-1.amazonaws.com"}
    assert call_of(attributes).opened.region == "eu-west-1"


def test_an_error_has_a_type() -> None:
    call = call_of(a_chat() | {"error.type": "RateLimitError"}, is_error=True)
    assert (call.closed.status, call.closed.error_type) == (Status.ERROR, "RateLimitError")
    event = Event("exception", AT_NS, {"exception.type": "openai.APIError"})
    call = call_of(a_chat(), is_error=True, events=(event,))
    assert call.closed.error_type == "openai.APIError"
    assert call_of(a_chat(), events=(event,)).closed.error_type is None


def test_times_that_are_missing_or_turned_around() -> None:
    assert call_of(a_chat(), started_at_ns=0, ended_at_ns=0).opened.started_at_ns == RECEIVED_NS
    call = call_of(a_chat(), ended_at_ns=5)
    assert (call.closed.duration_ns, call.closed.closed_at_ns) == (0, AT_NS)


def test_links_and_names() -> None:
    seen = seen_of({}, name="a\nname" * 40, links=(Link(TRACE, PARENT), Link("", "")))
    assert seen.links == (f"{TRACE}:{PARENT}",)
    assert len(seen.name) == 128
    assert seen.name.isprintable()


def test_logfire_ends_the_span_of_a_stream_when_it_begins() -> None:
    started = a_chat() | {"logfire.span_type": "span"}
    assert len(frames_of(a_span(started, scope_name="logfire.openai"), RECEIVED_NS)) == 1
    assert len(frames_of(a_span(started | USAGE, scope_name="logfire.openai"), RECEIVED_NS)) == 3
    failed = a_span(started, scope_name="logfire.openai", is_error=True)
    assert len(frames_of(failed, RECEIVED_NS)) == 3


@pytest.mark.parametrize(
    ("tracestate", "share"),
    [("ot=th:8", "50 %"), ("vendor=x,ot=rv:1;th:c", "25 %"), ("ot=th:0", None), ("", None)],
)
def test_sampling_is_said(tracestate: str, share: str | None) -> None:
    problems = measured_of(a_chat() | USAGE, tracestate=tracestate).problems
    assert any("sampled" in one for one in problems) is (share is not None)
    assert share is None or any(share in one for one in problems)


def test_text_of_prompts_and_answers_is_not_kept() -> None:
    secret = "the launch code is 0000"
    attributes = a_chat() | USAGE | {
        "gen_ai.input.messages": secret, "gen_ai.prompt.0.content": secret,
        "openinference.span.kind": "LLM", "output.mime_type": "application/json",
        "output.value": json.dumps({"usage": {"prompt_tokens": 3}, "content": secret}),
        "ai.response.text": secret, "langfuse.observation.input": secret,
    }  # fmt: skip
    assert secret not in repr(frames_of(a_span(attributes), RECEIVED_NS))


SECRET = "the launch code is a xylophone"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gen_ai.usage.note", SECRET),
        (f"gen_ai.usage.{SECRET}", 5),
        ("gen_ai.usage.raw", json.dumps({"prompt_tokens": 3, "note": SECRET})),
        ("gen_ai.usage.raw", json.dumps({"prompt_tokens": 3, SECRET: 1})),
        ("tollbook.usage.raw", [json.dumps({"note": [SECRET]})]),
        ("gen_ai.usage.list", [SECRET]),
        ("llm.usage.cut_off", '{"a": "' + SECRET),
        ("langfuse.observation.usage_details", json.dumps({"input": 5, "note": SECRET})),
        ("ai.response.providerMetadata", json.dumps({
            "google": {"groundingMetadata": {"webSearchQueries": ["launchcode"]},
                       "usageMetadata": {"promptTokenCount": 3, "trafficType": SECRET}},
        })),
        ("metadata.usage_object", str({"prompt_tokens": 3, "note": SECRET, SECRET: 1})),
        ("error.type", SECRET),
    ],
)  # fmt: skip
def test_text_beside_usage_is_not_kept(name: str, value: object) -> None:
    frames = repr(frames_of(a_span(a_chat() | USAGE | {name: value}), RECEIVED_NS))
    assert "launch" not in frames
    assert "xylophone" not in frames


def test_documents_of_usage_are_kept_as_they_came() -> None:
    text = '{"prompt_tokens": 3,  "cost": 0.10, "service_tier": "flex", "inference_geo": null}'
    kept = json.loads(usage_object({"gen_ai.usage.raw": text}, "s", "1"))["attributes"]
    assert kept == {"gen_ai.usage.raw": text}


def test_of_the_ai_sdks_metadata_the_usage_is_kept() -> None:
    usage = {"cache_creation": {"ephemeral_1h_input_tokens": 7}, "service_tier": "standard"}
    metadata = json.dumps({"anthropic": {"usage": usage, "container": {"id": "c"}}, "x": 1})
    name = "ai.response.providerMetadata"
    kept = json.loads(usage_object({name: metadata}, "s", "1"))["attributes"]
    assert json.loads(kept[name]) == {"anthropic": {"usage": usage}}


def test_usage_that_is_too_large_keeps_its_numbers() -> None:
    huge = {"gen_ai.usage.input_tokens": 3, "ai.response.providerMetadata": "{" + "x" * 10**6}
    raw = usage_object(huge, "s", "1")
    assert len(raw) < MAX_USAGE_BYTES
    assert json.loads(raw)["attributes"] == {"gen_ai.usage.input_tokens": 3}
    endless = {f"gen_ai.usage.{n}": n for n in range(10_000)}
    assert len(usage_object(endless, "s", "1")) < MAX_USAGE_BYTES


def a_record(**changes: Any) -> LogRecord:
    known: dict[str, Any] = {
        "event_name": "gen_ai.client.inference.operation.details", "trace_id": TRACE,
        "span_id": SPAN, "attributes": a_chat() | USAGE, "at_ns": AT_NS,
    }  # fmt: skip
    return LogRecord(**(known | changes))


def test_an_event_whose_span_was_not_sampled_is_the_call() -> None:
    opened = frames_of_log(a_record(), RECEIVED_NS)[0]
    assert isinstance(opened, CallOpened)
    assert opened.call_id == call_of(a_chat()).opened.call_id


@pytest.mark.parametrize(
    "changes", [{"flags": 1}, {"event_name": "gen_ai.choice"}, {"span_id": ""}]
)
def test_other_events_are_not_calls(changes: dict[str, Any]) -> None:
    assert frames_of_log(a_record(**changes), RECEIVED_NS) == []


OWN = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
    "tollbook.dialect": "openai", "tollbook.provider": "vllm-eu", "tollbook.operation": "responses",
    "tollbook.call.id": "0192f3a4-0000-7000-8000-000000000001", "tollbook.status": "cancelled",
    "tollbook.usage.complete": False, "tollbook.call_site": "app.py:12 ask",
    "tollbook.usage.raw": ['{"input_tokens":10,"output_tokens":2,"total_tokens":12}'],
    "tollbook.layers": [0, 100, 6, 20], "tollbook.identity.plan": "gold", "tenant.id": "acme",
}  # fmt: skip


def test_a_span_of_our_own_sdk_loses_nothing() -> None:
    call = call_of(OWN)
    opened, closed = call.opened, call.closed
    assert opened.call_id.hex() == OWN["tollbook.call.id"].replace("-", "")  # type: ignore[attr-defined]
    assert (opened.provider, opened.operation) == ("vllm-eu", "responses")
    assert (closed.status, closed.usage_complete) == (Status.CANCELLED, False)
    assert (opened.call_site, opened.layers) == ("app.py:12 ask", (0, 100, 6, 20))
    assert opened.identity.tags["plan"] == "gold"
    measured = measured_of(OWN)
    assert measured.kinds is not None
    assert measured.kinds.input_tokens == 10


@pytest.mark.parametrize("layers", [[0], [99, 1], [0, -1], "01", [True, 1], [0, 2**70]])
def test_layers_that_are_none(layers: Any) -> None:
    assert call_of(OWN | {"tollbook.layers": layers}).opened.layers is None


def test_a_call_id_that_is_none_is_made() -> None:
    opened = call_of(OWN | {"tollbook.call.id": "x"}).opened
    assert opened.call_id == call_id_of(TRACE, SPAN)
