"""Records of Langfuse as spans, under the attributes that its own SDK sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import flattened, tags_of, told, without_content
from tollbook.audit.inputs.usage_words import cost, tokens_at
from tollbook.capture.imports.providers import provider_named_in
from tollbook.capture.imports.row import json_text
from tollbook.capture.otlp.spans import Span
from tollbook.dialects.otel_names import LANGFUSE_COST, LANGFUSE_USAGE

if TYPE_CHECKING:
    from tollbook.audit.inputs.foreign import Fields
    from tollbook.audit.inputs.registry import About

_CONTENT: Final = ("input", "output", "statusMessage", "status_message", "toolDefinitions",
                   "toolCalls", "tool_definitions", "tool_calls")  # fmt: skip
_CALLS: Final = frozenset({"generation", "embedding"})
_CHAIN: Final = frozenset({"event", "evaluator", "guardrail"})


def observation_of(row: Fields, about: About) -> Span:
    """Return the span of an observation.

    Raises:
        RowError: a field is missing or not what it should be.
    """
    without_content(row, about, *_CONTENT)
    kind = (row.text("type") or "GENERATION").lower()
    started_ns = row.required(row.time_ns("startTime", "start_time"), "startTime")
    attributes = owner_of(row, about, "langfuse.observation.metadata.")
    attributes["langfuse.observation.type"] = "span" if kind in _CHAIN else kind
    if kind in _CALLS:
        attributes |= _call(row)
    return Span(
        trace_id=row.id("traceId", "trace_id"),
        span_id=row.id("id") or row.required(None, "id"),
        parent_span_id=row.id("parentObservationId", "parent_observation_id") or None,
        name=row.word("name"),
        kind=3 if kind in _CALLS else 1,
        started_at_ns=started_ns,
        ended_at_ns=row.time_ns("endTime", "end_time") or 0,
        attributes=attributes,
        resource=_resource(row),
        scope_name=row.word("metadata.scope.name") or "langfuse",
        is_error=row.word("level") == "ERROR",
    )


def trace_span(row: Fields, about: About) -> Span:
    """Return what a record of a trace says as the span that it has no other record of.

    Raises:
        RowError: it has no id.
    """
    without_content(row, about, *_CONTENT)
    trace_id = row.id("id") or row.required(None, "id")
    return Span(trace_id=trace_id, span_id=trace_id, name=row.word("name"))


def owner_of(
    row: Fields, about: About, metadata: str = "langfuse.trace.metadata."
) -> dict[str, Any]:
    """Return whose a record is, as attributes.

    Raises:
        RowError: a field is no text.
    """
    attributes: dict[str, Any] = {}
    for path in ("traceMetadata", "trace_metadata"):
        attributes |= flattened(row.mapping(path), about, "langfuse.trace.metadata.")
    attributes |= flattened(row.mapping("metadata"), about, metadata)
    tags = row.items("tags", "traceTags", "trace_tags")
    return attributes | tags_of(tags, "langfuse.trace.metadata.") | told(
        langfuse__user__id=row.text("userId", "user_id"),
        langfuse__session__id=row.text("sessionId", "session_id"),
        langfuse__trace__name=row.text("traceName", "trace_name"),
        langfuse__environment=row.text("environment"),
    )  # fmt: skip


def _call(row: Fields) -> dict[str, Any]:
    model = row.text("model", "providedModelName", "provided_model_name", "internalModel")
    name = row.text(
        "metadata.ls_provider", "metadata.provider", "metadata.gen_ai.provider.name",
        "metadata.attributes.gen_ai.provider.name", "metadata.attributes.gen_ai.system",
    )  # fmt: skip
    provider, _ = provider_named_in(name, None, model, None)
    streamed = row.get("completionStartTime", "completion_start_time", "timeToFirstToken")
    attributes = told(
        gen_ai__provider__name=provider,
        langfuse__observation__model__name=model,
        gen_ai__response__model=row.text("metadata.attributes.gen_ai.response.model"),
        gen_ai__response__id=row.text(
            "metadata.attributes.gen_ai.response.id", "metadata.response_id"
        ),
        gen_ai__request__stream=True if streamed is not None else None,
    )
    details = row.mapping("usageDetails", "usage_details")
    if details:
        attributes[LANGFUSE_USAGE] = json_text(details)
    else:
        attributes |= tokens_at(
            row,
            input=("inputUsage", "usage.input", "promptTokens", "prompt_tokens"),
            output=("outputUsage", "usage.output", "completionTokens", "completion_tokens"),
            total=("totalUsage", "usage.total", "totalTokens", "total_tokens"),
        )
    costs = row.mapping("costDetails", "cost_details")
    if costs:
        return attributes | {LANGFUSE_COST: json_text(costs)}
    return attributes | cost(
        row.usd("totalCost", "total_cost", "calculatedTotalCost", "calculated_total_cost")
    )


def _resource(row: Fields) -> dict[str, Any]:
    resource = row.mapping("metadata.resourceAttributes")
    service = resource.get("service.name")
    return told(service__name=service if isinstance(service, str) else row.word("projectName"))
