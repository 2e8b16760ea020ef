"""The other signals of OTLP: events of logs that tell of a call, and points of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.inputs.otlp_json import Unreadable
from tollbook.audit.inputs.values import mapping, objects, text
from tollbook.capture.otlp.decode_json import decode_logs_json
from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.mapping import DETAILS_EVENT
from tollbook.capture.otlp.spans import Span, text_of

if TYPE_CHECKING:
    from tollbook.capture.otlp.spans import LogRecord

_EVENT: Final = DETAILS_EVENT.encode()
_POINTS: Final = ("sum", "histogram", "gauge", "exponentialHistogram", "exponential_histogram")
_SIGNALS: Final = (
    ("logs", ("resourceLogs", "resource_logs")),
    ("metrics", ("resourceMetrics", "resource_metrics")),
)


def signal_of(value: dict[str, Any]) -> str:
    """Return ``logs`` or ``metrics`` for a message of these, nothing for anything else."""
    for signal, names in _SIGNALS:
        if any(isinstance(value.get(name), list) for name in names):
            return signal
    return ""


def spans_of_logs(message: bytes) -> list[Span]:
    """Return the calls that the events of a message of logs tell of.

    The event ``gen_ai.client.inference.operation.details`` has the attributes of the span that it
    was written in (GenAI conventions, events); of its trace nothing else is known.

    Raises:
        Unreadable: something in it does not fit.
    """
    if _EVENT not in message:
        return []
    try:
        records = decode_logs_json(message)
    except BadOtlpError as error:
        raise Unreadable(error.message.partition(": ")[2]) from None
    return [span_of_log(one) for one in records if is_call(one)]


def is_call(record: LogRecord) -> bool:
    """Whether a record is the event that tells of a call."""
    name = record.event_name or text_of(record.attributes, "event.name")
    return name == DETAILS_EVENT


def span_of_log(record: LogRecord) -> Span:
    """Return the span that an event was written in, as far as the event tells of it."""
    return Span(
        trace_id=record.trace_id,
        span_id=record.span_id,
        name=DETAILS_EVENT,
        started_at_ns=record.at_ns,
        ended_at_ns=record.at_ns,
        attributes=record.attributes,
        resource=record.resource,
        scope_name=record.scope_name,
        scope_version=record.scope_version,
        flags=record.flags,
    )


def usage_points(message: bytes) -> int:
    """Return how many points of a message of metrics tell how many tokens were used.

    Raises:
        Unreadable: it is no JSON.
    """
    if b"gen_ai" not in message and b"llm." not in message:
        return 0
    try:
        value = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("it cannot be parsed") from None
    points = 0
    for resource in _all(value, "resourceMetrics", "resource_metrics"):
        for scope in _all(resource, "scopeMetrics", "scope_metrics"):
            for metric in objects(scope.get("metrics")):
                if is_usage(text(metric.get("name"))):
                    points += sum(_points(metric.get(name)) for name in _POINTS)
    return points


def is_usage(name: str) -> bool:
    """Whether a metric tells how many tokens were used, by any of its names over the years."""
    return name.startswith(("gen_ai.", "llm.")) and "token" in name and "time" not in name


def _points(data: object) -> int:
    told = mapping(data)
    return len(objects(told.get("dataPoints", told.get("data_points"))))


def _all(value: object, *names: str) -> list[dict[str, Any]]:
    told = mapping(value)
    return next((objects(told[name]) for name in names if name in told), [])
