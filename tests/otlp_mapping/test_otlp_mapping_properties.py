"""Whatever a span holds: no exception, no negative kinds, the same frames each time."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.otlp_mapping.kit import RECEIVED_NS, a_span, call_in
from tests.otlp_mapping.test_otlp_mapping_decode import pairs

from tollbook.call import UsageSource
from tollbook.capture.otlp.decode import decode_protobuf
from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.mapping import frames_of
from tollbook.capture.otlp.spans import Span
from tollbook.dialects.otel_litellm import litellm_counts
from tollbook.dialects.otel_names import COSTS, COUNTS, RAW_ELSEWHERE, SERVICE_TIERS
from tollbook.dialects.registry import measures_named
from tollbook.ledger.charge import measure

_NAMES = [
    *[name for names in COUNTS.values() for name in names], *COSTS, *RAW_ELSEWHERE, *SERVICE_TIERS,
    "tollbook.usage.raw", "tollbook.dialect", "tollbook.layers", "tollbook.call.id",
    "ai.response.providerMetadata", "ai.operationId", "langfuse.observation.usage_details",
    "langfuse.observation.cost_details", "langfuse.observation.type", "metadata",
    "metadata.usage_object", "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system",
    "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.id",
    "openinference.span.kind", "output.value", "output.mime_type", "server.address",
    "tenant.id", "user.id", "session.id",
    "error.type", "gen_ai.response.time_to_first_chunk", "http.response.status_code",
    "traceloop.association.properties.tenant_id", "langfuse.trace.tags",
]  # fmt: skip
_WORDS = ["chat", "openai", "anthropic", "cohere", "generation", "LLM", "application/json", "{}",
          "ai.generateText", "https://[bad", "claude-x", "invoke_agent"]  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["usage", "input", "input_tokens", "output", "prompt_tokens", "total", "id",
                         "cache_read_input_tokens", "anthropic", "billed_units", "inputTokens"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
_VALUES = st.one_of(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.integers(min_value=0, max_value=5000),
    st.floats(),
    st.booleans(),
    st.text(max_size=30),
    st.sampled_from(_WORDS),
    st.lists(st.text(max_size=5) | st.integers(), max_size=3),
    _JSON.map(json.dumps),
    _JSON.map(repr),
    st.none(),
)
_ATTRIBUTES = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=12) | st.dictionaries(
    st.text(max_size=20), _VALUES, max_size=4
)
_COUNTS = st.dictionaries(
    st.sampled_from([name for names in COUNTS.values() for name in names]),
    st.integers(min_value=0, max_value=10_000),
    max_size=10,
)


@given(_ATTRIBUTES, st.text(max_size=12), st.booleans())
def test_no_span_raises_and_no_kind_is_negative(
    attributes: dict[str, Any],
    scope: str,
    is_error: bool,  # noqa: FBT001 -- drawn by name
) -> None:
    span = a_span(
        attributes | {"gen_ai.operation.name": "chat"}, scope_name=scope, is_error=is_error,
        resource=attributes, tracestate=scope,
    )  # fmt: skip
    frames = frames_of(span, RECEIVED_NS)
    assert frames == frames_of(span, RECEIVED_NS)
    if len(frames) == 1:
        assert "ai.operationId" in attributes  # says that it is something else
        return
    call = call_in(frames)
    # Past the ledger's net, which would turn an exception into a problem.
    measured = measures_named("otel").measure(call)
    assert measure(call) == measured or measured.reported_cost_pico is not None
    if measured.kinds is not None:
        assert min(measured.kinds) >= 0


@given(_ATTRIBUTES)
def test_what_is_no_inference_is_a_span_or_a_call(attributes: dict[str, Any]) -> None:
    assert len(frames_of(a_span(attributes), RECEIVED_NS)) in {1, 3}


@given(
    _COUNTS,
    st.sampled_from(["openai", "anthropic", "cohere"]),
    st.sampled_from(["ai", "openlit", ""]),
)
def test_kinds_of_counts_add_up(counts: dict[str, int], provider: str, scope: str) -> None:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider} | counts
    measured = measure(call_in(frames_of(a_span(attributes, scope_name=scope), RECEIVED_NS)))
    if measured.kinds is None:
        assert measured.source is UsageSource.NONE
        return
    assert min(measured.kinds) >= 0
    given_tokens = next((counts[name] for name in COUNTS["input"] if name in counts), None)
    if given_tokens is not None and provider != "cohere":
        assert measured.kinds.input_tokens >= given_tokens
    if measured.kinds.cache_read_tokens:
        assert any(name in counts for name in COUNTS["cache_read"])


@given(st.binary(max_size=200))
def test_bytes_of_strangers_are_spans_or_refused(body: bytes) -> None:
    try:
        spans = decode_protobuf(body)
    except BadOtlpError:
        return
    assert all(isinstance(one, Span) for one in spans)


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 9) | st.text(max_size=5), max_size=5))
def test_attributes_come_through_protobuf(attributes: dict[str, Any]) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.attributes.extend(pairs(attributes))
    (read,) = decode_protobuf(request.SerializeToString())
    assert read.attributes == attributes


@given(st.text(max_size=60) | _JSON.map(lambda value: "{'prompt_tokens': " + repr(value) + "}"))
def test_no_text_of_a_literal_raises(text: str) -> None:
    counts = litellm_counts(text)
    assert counts is None or (counts.input or 0) >= 0
