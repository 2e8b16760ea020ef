"""Langfuse: observations as its API, its blob storage export and its tables export them.

Fields as in the OpenAPI document (``ObservationsView``, ``ObservationV2``) and the "Blob Storage
Export Field Reference", which writes them with underscores. ``usageDetails`` has counts that do not
overlap; ``costDetails`` is Langfuse's own arithmetic unless the application gave it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.capture.imports.errors import NotACallError
from tollbook.capture.imports.providers import provider_named_in, without_provider
from tollbook.capture.imports.record import Record, cost, new_owner, tokens
from tollbook.capture.imports.row import Row, json_text
from tollbook.dialects.otel_names import LANGFUSE_USAGE
from tollbook.identity.names import put_mapping
from tollbook.identity.vendors import put_tag_list

if TYPE_CHECKING:
    from tollbook.identity.values import ClaimsBuilder

NAME: Final = "langfuse"
_CALLS: Final = frozenset({"GENERATION", "EMBEDDING"})
_NS_PER_S: Final = 10**9
_is_trace_id = re.compile(r"[0-9a-f]{32}").fullmatch
_is_span_id = re.compile(r"[0-9a-f]{16}").fullmatch


def record_of(row: Row, default_provider: str | None) -> Record:
    """Return the call of a row.

    Raises:
        NotACallError: it is another kind of observation (a span, an event, a tool).
        RowError: a field is missing or not what it should be.
    """
    kind = (row.text("type") or "GENERATION").upper()
    if kind not in _CALLS:
        raise NotACallError
    model = row.text("model", "providedModelName", "provided_model_name")
    name = row.text("metadata.ls_provider", "metadata.provider", "metadata.gen_ai.provider.name")
    provider, notes = provider_named_in(name, None, model, default_provider)
    started_ns = row.required(row.time_ns("startTime", "start_time"), "startTime")
    first_ns = row.time_ns("completionStartTime", "completion_start_time")
    is_error = row.text("level") == "ERROR"
    return Record(
        row_id=row.required(row.text("id"), "id"),
        started_at_ns=started_ns,
        ended_at_ns=row.time_ns("endTime", "end_time"),
        time_to_first_token_ns=None if first_ns is None else max(0, first_ns - started_ns),
        provider=provider,
        operation="embeddings" if kind == "EMBEDDING" else "chat",
        model_requested=without_provider(model, provider, name),
        model_actual=without_provider(model, provider, name),
        usage=_usage(row),
        notes=notes,
        is_error=is_error,
        trace_id=_id(row, _is_trace_id, "traceId", "trace_id"),
        span_id=_id(row, _is_span_id, "id"),
        parent_span_id=_id(row, _is_span_id, "parentObservationId", "parent_observation_id"),
        owner=_owner(row),
    )


def _usage(row: Row) -> dict[str, Any]:
    reported = row.usd(
        "totalCost", "total_cost", "calculatedTotalCost", "calculated_total_cost",
        "costDetails.total", "cost_details.total",
    )  # fmt: skip
    usage = cost(reported)
    details = row.mapping("usageDetails", "usage_details")
    if details:
        text = json_text(details)
        return usage | {LANGFUSE_USAGE: text}
    return usage | tokens(
        input=row.count("inputUsage", "usage.input", "promptTokens", "prompt_tokens"),
        output=row.count("outputUsage", "usage.output", "completionTokens", "completion_tokens"),
        total=row.count("totalUsage", "usage.total", "totalTokens", "total_tokens"),
    )


def _id(row: Row, is_one: Any, *paths: str) -> str | None:
    """Return an id of W3C Trace Context; older SDKs used others, which relate to no other trace."""
    text = row.text(*paths)
    return text if text is not None and is_one(text) else None


def _owner(row: Row) -> ClaimsBuilder:
    owner = new_owner()
    for path in ("metadata", "traceMetadata", "trace_metadata"):
        put_mapping(owner, row.mapping(path), path)
    put_tag_list(owner, row.items("tags", "traceTags", "trace_tags"), "tags")
    for field, paths in (
        ("user_id", ("userId", "user_id")),
        ("environment", ("environment",)),
        ("workflow_id", ("traceName", "trace_name")),
    ):
        text = row.text(*paths)
        if text is not None and field not in owner.fields:
            owner.put_field(field, text, paths[0])
    session = row.text("sessionId", "session_id")
    if session is not None:
        # A conversation, which outlives any run: it owns nothing.
        owner.put_tag("session_id", session, "sessionId")
    return owner
