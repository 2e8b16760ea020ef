"""A call as OpenTelemetry attributes: the GenAI conventions of late 2026, and what they lack.

Names are those of ``open-telemetry/semantic-conventions-genai``. Input tokens include cached ones
and output tokens include reasoning, as the conventions say. Cost is not in them yet; the names are
those of the open proposal (pull request 443 there). The provider's own usage object and the
dialect go along under ``tollbook.*``, so that a Tollbook that receives the span loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import ids
from tollbook.call import IDENTITY_FIELDS, Call, Evidence, Metering, SpanKind, Status
from tollbook.dialects.registry import dialect_named
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.money import usd_text
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from tollbook.call import CallClosed, CallOpened, Identity, SpanSeen
    from tollbook.dialects.base import Measured

Value = str | bool | int | float | list[str] | list[int]
Attributes = dict[str, Value]

IDENTITY_NAMES: Final = {
    field: key for key, field in reversed(BAGGAGE_KEYS.items()) if "_" not in key
}
"""Identity field to attribute; the same names as in baggage."""
TAG_PREFIX: Final = "tollbook.identity."

USAGE_RAW: Final = "tollbook.usage.raw"
PROVIDER_NAMES: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""Our names of providers to those of ``gen_ai.provider.name``; others are the same or unknown."""
OPERATION_NAMES: Final = {"responses": "chat", "messages": "chat"}
RUN_OPERATIONS: Final = {
    SpanKind.AGENT: "invoke_agent",
    SpanKind.WORKFLOW: "invoke_workflow",
    SpanKind.STEP: "plan",
    SpanKind.TOOL: "execute_tool",
    SpanKind.RETRIEVAL: "retrieval",
}

_NO_EVIDENCE: Final = Evidence("", 0, 0, "")
_USAGE_ATTRIBUTES: Final = {
    "gen_ai.usage.cache_read.input_tokens": (
        "cache_read_tokens", "cache_read_audio_tokens", "cache_read_image_tokens",
    ),
    "gen_ai.usage.cache_write.input_tokens": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
    "gen_ai.usage.reasoning.output_tokens": ("reasoning_tokens",),
    "gen_ai.usage.audio.input_tokens": ("input_audio_tokens", "cache_read_audio_tokens"),
    "gen_ai.usage.audio.output_tokens": ("output_audio_tokens",),
    "gen_ai.usage.image.input_tokens": ("input_image_tokens", "cache_read_image_tokens"),
    "gen_ai.usage.image.output_tokens": ("output_image_tokens",),
}  # fmt: skip
"""Details of the two totals; left out where they are zero."""


def measured_of(opened: CallOpened, closed: CallClosed) -> Measured | None:
    """Return the usage of a call as its dialect reads it; None where there is none to read."""
    if opened.metering is not Metering.METERED or not closed.is_billable or not closed.usage:
        return None
    return dialect_named(opened.dialect).measure(Call(opened, closed, _NO_EVIDENCE))


def operation_of(opened: CallOpened) -> str:
    """Return ``gen_ai.operation.name``."""
    return OPERATION_NAMES.get(opened.operation, opened.operation)


def span_name(opened: CallOpened) -> str:
    """Return the name of a call's span."""
    operation = operation_of(opened)
    return operation if opened.model_requested is None else f"{operation} {opened.model_requested}"


def identity_attributes(known: Identity) -> Attributes:
    """Return who a call is for."""
    found: Attributes = {}
    for field in IDENTITY_FIELDS:
        value = getattr(known, field)
        if value is not None:
            found[IDENTITY_NAMES[field]] = value
    for name, value in known.tags.items():
        found[f"{TAG_PREFIX}{name}"] = value
    return found


def metric_attributes(opened: CallOpened, closed: CallClosed) -> Attributes:
    """Return what metrics are split by: few values each, so nothing of users and requests."""
    found: Attributes = {
        "gen_ai.operation.name": operation_of(opened),
        "gen_ai.provider.name": PROVIDER_NAMES.get(opened.provider, opened.provider),
    }
    if opened.model_requested is not None:
        found["gen_ai.request.model"] = opened.model_requested
    if closed.model_actual is not None:
        found["gen_ai.response.model"] = closed.model_actual
    if opened.identity.tenant_id is not None:
        found["tenant.id"] = opened.identity.tenant_id
    if closed.status is not Status.OK:
        found["error.type"] = error_type(closed)
    return found


def error_type(closed: CallClosed) -> str:
    """Return the provider's word for an error, the status code, or how the call ended."""
    if closed.error_type is not None:
        return closed.error_type
    return str(closed.http_status) if (closed.http_status or 0) >= 400 else closed.status.value  # noqa: PLR2004 -- HTTP's own classes


def call_attributes(
    opened: CallOpened, closed: CallClosed, measured: Measured | None
) -> Attributes:
    """Return all attributes of a call's span."""
    found = metric_attributes(opened, closed) | identity_attributes(opened.identity)
    further: dict[str, Value | None] = {
        "gen_ai.request.max_tokens": opened.max_output_tokens,
        "gen_ai.request.stream": opened.is_stream or None,
        "gen_ai.response.id": closed.provider_response_id,
        "http.response.status_code": closed.http_status,
        "http.request.resend_count": opened.attempt - 1 or None,
        "tollbook.call.id": ids.to_text(opened.call_id),
        "tollbook.dialect": opened.dialect,
        "tollbook.provider": opened.provider,
        "tollbook.operation": opened.operation,
        "tollbook.status": closed.status.value,
        "tollbook.call_site": opened.call_site,
        "tollbook.service_tier": closed.service_tier,
        "tollbook.usage.complete": closed.usage_complete,
        "tollbook.provider_request.id": closed.provider_request_id,
        "tollbook.layers": None if opened.layers is None else list(opened.layers),
        "tollbook.prefix.hash": opened.prefix_hash,
        "tollbook.prefix.chars": opened.prefix_chars or None,
    }
    if not closed.usage_complete:  # it was hung up on, or broke off: what an estimate goes by
        further |= {
            "tollbook.is_billable": closed.is_billable,
            "tollbook.input.chars": opened.input_chars or None,
            "tollbook.output.chars": closed.output_chars or None,
            "tollbook.output.events": closed.output_events or None,
        }
    if opened.dialect == "openai" and closed.service_tier is not None:
        further["openai.response.service_tier"] = closed.service_tier
    if closed.time_to_first_token_ns is not None:
        further["gen_ai.response.time_to_first_chunk"] = closed.time_to_first_token_ns / 1e9
    if closed.usage:
        further[USAGE_RAW] = [part.decode("utf-8", "replace") for part in closed.usage]
    found |= {name: value for name, value in further.items() if value is not None}
    if measured is not None:
        found |= usage_attributes(measured)
    return found


def usage_attributes(measured: Measured) -> Attributes:
    """Return token counts, and the cost where the provider has named one."""
    found: Attributes = {}
    kinds = measured.kinds
    if kinds is not None:
        found["gen_ai.usage.input_tokens"] = sum(getattr(kinds, one) for one in INPUT_KINDS)
        found["gen_ai.usage.output_tokens"] = sum(getattr(kinds, one) for one in OUTPUT_KINDS)
        for name, parts in _USAGE_ATTRIBUTES.items():
            count = sum(getattr(kinds, one) for one in parts)
            if count:
                found[name] = count
    if measured.reported_cost_pico is not None:
        # The proposal has a double; the exact amount is in the usage object beside it.
        amount = float(usd_text(measured.reported_cost_pico))
        found |= {
            "gen_ai.usage.cost.amount": amount,
            "gen_ai.usage.cost.currency": "USD",
            "gen_ai.usage.cost.source": "provider",
        }
    return found


def run_attributes(span: SpanSeen) -> Attributes:
    """Return the attributes of a span of a run: an agent, a step, a tool."""
    owner: Attributes = {} if span.identity is None else identity_attributes(span.identity)
    return owner | kind_attributes(span.kind, span.name)


def kind_attributes(kind: SpanKind, name: str) -> Attributes:
    """Return what says what a span of a run is."""
    found: Attributes = {}
    operation = RUN_OPERATIONS.get(kind)
    if operation is not None:
        found["tollbook.operation" if kind is SpanKind.STEP else "gen_ai.operation.name"] = (
            operation
        )
    if kind is SpanKind.TOOL:
        found["gen_ai.tool.name"] = name
    elif kind is SpanKind.AGENT:
        found["gen_ai.agent.name"] = name
    return found
