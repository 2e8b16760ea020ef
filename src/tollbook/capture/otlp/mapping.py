"""Spans to frames: what a span is in its trace, and the call that it is.

Any span that carries usage is a call, also one that only sums up those below it: which of them are
charged is decided by the ledger, which sees the whole trace. A call's id is made of the span's ids,
so that a span which is delivered again is the same call.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from tollbook.call import (
    CallClosed,
    CallOpened,
    Identity,
    Metering,
    Observer,
    SpanSeen,
    Status,
)
from tollbook.capture.otlp.answers import answer_of
from tollbook.capture.otlp.operations import what_is
from tollbook.capture.otlp.own import own_of
from tollbook.capture.otlp.owners import owner_of
from tollbook.capture.otlp.providers import KNOWN_HOSTS, UNKNOWN, host_of, provider_of
from tollbook.capture.otlp.spans import Span, is_context, text_of
from tollbook.dialects.otel import NAME, usage_object
from tollbook.dialects.otel_layers import otel_layers
from tollbook.dialects.otel_names import ANSWER_USAGE, SERVICE_TIERS, is_count
from tollbook.dialects.request_layers import UNKNOWN as UNKNOWN_LAYERS
from tollbook.prices.regional import region_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.call import Frame
    from tollbook.capture.otlp.operations import What
    from tollbook.capture.otlp.own import Own
    from tollbook.capture.otlp.spans import LogRecord

DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
_SAMPLED: Final = 1  # W3C Trace Context, trace-flags
_NS_PER_S: Final = 1_000_000_000
_MAX_NAME_CHARS: Final = 128
_MAX_ID_CHARS: Final = 256
_MAX_LINKS: Final = 32
_NOBODY: Final = Identity()
_REQUESTED: Final = (
    "gen_ai.request.model",
    "llm.request.model_name",
    "llm.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "ai.model.id",
    "langfuse.observation.model.name",
    "llm.request.model",
)
_REQUEST_IDS: Final = (
    "tollbook.provider_request.id",
    "anthropic.request.id",
    "openai.request.id",
    "aws.request_id",
)
_YES: Final = (True, "True", "true")
_ANSWERED: Final = (
    "gen_ai.response.model",
    "llm.response.model_name",
    "ai.response.model",
    "llm.response.model",
)
_RESPONSE_IDS: Final = ("gen_ai.response.id", "ai.response.id", "llm.response.id")
_STREAMS: Final = (
    "gen_ai.request.stream",
    "gen_ai.request.is_stream",
    "gen_ai.is_streaming",
    "llm.is_streaming",
)
_SECONDS_TO_FIRST: Final = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.server.ttft",
    "llm.response.time_to_first_token",
)
_MS_TO_FIRST: Final = ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")
_threshold = re.compile(r"(?:^|[,;=])(?:ot=)?(?:[^,]*;)?th:([0-9a-f]{1,14})").search


def call_id_of(trace_id: str, span_id: str) -> bytes:
    """Return the id of the call that a span is, 16 bytes: the same however often it comes."""
    return sha256(f"otlp:{trace_id}:{span_id}".encode()).digest()[:16]


def frames_of(
    span: Span, received_at_ns: int, hosts: Mapping[str, str] = KNOWN_HOSTS
) -> list[Frame]:
    """Return what a span tells: that it was seen, and the call that it is, opened and closed.

    Args:
        span: as received.
        received_at_ns: when, nanoseconds since the epoch.
        hosts: hosts to the names of providers, where the configuration has more than are known.

    Returns:
        Nothing for a span whose ids are not valid. Never raises on what the span holds.
    """
    if not span.is_valid:
        return []
    what = what_is(span)
    owner = owner_of(span)
    started_ns = span.started_at_ns or span.ended_at_ns or received_at_ns
    is_call = any(is_count(name) for name in span.attributes) or (
        what.is_inference and not _is_told_later(span)
    )
    own = own_of(span.attributes)
    call_id = None
    if is_call:
        call_id = own.call_id or call_id_of(span.trace_id, span.span_id)
    seen = SpanSeen(
        at_ns=received_at_ns,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=_parent(span),
        name=_name(span.name),
        kind=what.kind,
        observer=Observer.OTLP,
        started_at_ns=started_ns,
        ended_at_ns=span.ended_at_ns or None,
        is_error=span.is_error,
        identity=owner,
        call_id=call_id,
        links=_links(span),
    )
    if call_id is None:
        return [seen]
    opened, closed = _call(span, what, owner, call_id, started_ns, hosts, own)
    return [seen, opened, closed]


def frames_of_log(
    record: LogRecord, received_at_ns: int, hosts: Mapping[str, str] = KNOWN_HOSTS
) -> list[Frame]:
    """Return the call that an event tells of, where its span does not come.

    The event ``gen_ai.client.inference.operation.details`` has the attributes of the span that it
    was written in, and no times and no parent. A span that was sampled comes itself, so only the
    event of one that was not is taken for the call; both have the same call id.
    """
    name = record.event_name or text_of(record.attributes, "event.name")
    if name != DETAILS_EVENT or not is_context(record.trace_id, record.span_id):
        return []
    if record.flags & _SAMPLED:
        return []
    at_ns = record.at_ns or received_at_ns
    span = Span(
        trace_id=record.trace_id,
        span_id=record.span_id,
        name=name,
        started_at_ns=at_ns,
        ended_at_ns=at_ns,
        attributes=record.attributes,
        resource=record.resource,
        scope_name=record.scope_name,
        scope_version=record.scope_version,
    )
    return frames_of(span, received_at_ns, hosts)[1:]


def _call(
    span: Span, what: What, owner: Identity | None, call_id: bytes, started_ns: int,
    hosts: Mapping[str, str], own: Own,
) -> tuple[CallOpened, CallClosed]:  # fmt: skip
    attributes = span.attributes
    requested = _word(text_of(attributes, *_REQUESTED))
    answered = _word(text_of(attributes, *_ANSWERED))
    provider, note = provider_of(attributes, answered or requested, hosts)
    notes = [] if note is None else [note]
    sampled = _sampling(span.tracestate)
    if sampled is not None:
        notes.append(sampled)
    answer = answer_of(attributes)
    if answer.usage is not None:
        attributes = {**attributes, ANSWER_USAGE: answer.usage}
    has_usage = any(is_count(name) for name in attributes)
    error_type = _kind(text_of(attributes, "error.type") or _exception(span))
    is_failed = span.is_error or error_type is not None
    ended_ns = max(span.ended_at_ns or started_ns, started_ns)
    host = host_of(attributes) if provider != UNKNOWN else None
    layered = otel_layers(attributes) if own.layers is None else UNKNOWN_LAYERS
    opened = CallOpened(
        call_id=call_id,
        started_at_ns=started_ns,
        identity=owner or _NOBODY,
        provider=provider,
        dialect=NAME,
        operation=what.operation,
        metering=Metering.METERED,
        method="",
        path="",
        model_requested=requested,
        is_stream=any(attributes.get(name) in _YES for name in _STREAMS)
        or str(attributes.get("ai.operationId", "")).endswith(".doStream"),
        trace_id=span.trace_id,
        parent_span_id=_parent(span),
        region=None if host is None else region_of(f"https://{host}"),
        observer=Observer.OTLP,
        span_id=span.span_id,
        call_site=own.call_site,
        layers=own.layers or layered.layers,
        prefix_hash=own.prefix_hash or layered.prefix_hash,
        prefix_chars=own.prefix_chars or layered.prefix_chars,
        input_chars=own.input_chars,
    )
    closed = CallClosed(
        call_id=call_id,
        closed_at_ns=ended_ns,
        status=own.status or (Status.ERROR if is_failed else Status.OK),
        http_status=_status(attributes),
        error_type=error_type,
        time_to_first_token_ns=_to_first_token(attributes, started_ns),
        duration_ns=ended_ns - started_ns,
        provider_request_id=_word(text_of(attributes, *_REQUEST_IDS)),
        provider_response_id=_word(text_of(attributes, *_RESPONSE_IDS) or answer.response_id),
        model_actual=answered,
        service_tier=_word(text_of(attributes, *SERVICE_TIERS)),
        usage=(usage_object(attributes, span.scope_name, span.scope_version, notes),),
        usage_complete=has_usage if own.is_complete is None else own.is_complete,
        output_chars=own.output_chars,
        output_events=own.output_events,
        is_billable=(has_usage or not is_failed) if own.is_billable is None else own.is_billable,
    )
    return opened, closed


def _is_told_later(span: Span) -> bool:
    """Whether another span tells of the call: Logfire ends that of a stream when it begins.

    It writes a second one beside it, with the usage, when the stream has ended.
    """
    return span.scope_name.startswith("logfire.") and not span.is_error


def _exception(span: Span) -> str | None:
    """Return the type of the exception that an error was recorded with."""
    if not span.is_error:
        return None
    for event in span.events:
        if event.name == "exception":
            return text_of(event.attributes, "exception.type")
    return None


def _parent(span: Span) -> str | None:
    parent = span.parent_span_id
    return parent if parent is not None and is_context(span.trace_id, parent) else None


def _links(span: Span) -> tuple[str, ...]:
    return tuple(
        [
            f"{one.trace_id}:{one.span_id}"
            for one in span.links[:_MAX_LINKS]
            if is_context(one.trace_id, one.span_id)
        ]
    )


def _name(name: str) -> str:
    return "".join([one if one.isprintable() else " " for one in name[:_MAX_NAME_CHARS]])


def _word(text: str | None) -> str | None:
    """Return a model's name, an id or a type; None for what is none."""
    if text is None or len(text) > _MAX_ID_CHARS or not text.isprintable():
        return None
    return text


def _kind(text: str | None) -> str | None:
    """Return the type of an error; some write its message there, which may quote a prompt."""
    word = _word(text)
    return "other" if word is not None and " " in word else word


def _status(attributes: Mapping[str, Any]) -> int | None:
    value = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    is_status = isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 999  # noqa: PLR2004 -- HTTP
    return value if is_status else None


def _to_first_token(attributes: Mapping[str, Any], started_ns: int) -> int | None:
    for names, ns in ((_SECONDS_TO_FIRST, _NS_PER_S), (_MS_TO_FIRST, _NS_PER_S // 1000)):
        for name in names:
            value = attributes.get(name)
            if isinstance(value, (int, float)) and 0 <= value < 2**32:  # NaN is neither
                return min(int(value * ns), 2**63 - 1 - started_ns)
    return None


def _sampling(tracestate: str) -> str | None:
    """Say that other traces were left out (OpenTelemetry tracestate, consistent sampling)."""
    found = _threshold(tracestate)
    if found is None:
        return None
    rejected = int(found[1].ljust(14, "0"), 16)
    if not rejected:
        return None
    share = 100 - rejected * 100 // 2**56
    return f"traces were sampled: about {share} % of them were sent"
