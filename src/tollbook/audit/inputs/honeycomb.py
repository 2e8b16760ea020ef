"""Honeycomb: raw events as downloaded from a query, read from its API, or about to be sent to it.

Fields as its OTLP ingest names them (``trace.trace_id``, ``trace.parent_id``, ``duration_ms``,
``library.name``, ``SampleRate``); attributes of span and resource stand side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, flattened, spans_of
from tollbook.capture.otlp.spans import Link, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble

NAME: Final = "honeycomb"
_NS_PER_MS: Final = 10**6
_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_RESOURCE: Final = ("service.", "deployment.", "k8s.", "host.", "telemetry.", "process.", "cloud.")
_OWN: Final = frozenset(
    {"trace.trace_id", "trace.span_id", "trace.parent_id", "duration_ms", "name", "library.name",
     "library.version", "span.kind", "type", "Timestamp", "timestamp", "time", "status_code",
     "status_message", "error", "samplerate", "span.num_events", "span.num_links",
     "meta.signal_type", "trace.link.trace_id", "trace.link.span_id"}
)  # fmt: skip
_ANNOTATIONS: Final = frozenset({"span_event", "link"})
_TIMES: Final = ("Timestamp", "timestamp", "time", "Timestamp_UTC")


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record is an event with the ids of a trace under Honeycomb's names."""
    del head
    if not isinstance(first, dict):
        return False
    event = next(_events(first), {}).get("data", first)
    return isinstance(event, dict) and "trace.trace_id" in event


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of events; events and links of a span are none of their own."""

    def take(row: Fields) -> list[Span]:
        return [span for one in _events(row.values) for span in _spans(Fields(one), about)]

    return spans_of(records, about, take, has_traces=True)


def _events(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a record: itself, or the results of a query that it is."""
    data = value.get("data")
    results = data.get("results") if isinstance(data, dict) else None
    if isinstance(results, list):
        yield from (one for one in results if isinstance(one, dict))
    else:
        yield value


def _spans(row: Fields, about: About) -> list[Span]:
    values = dict(row.values)
    data = values.pop("data", None)
    if isinstance(data, dict):
        # As sent to or read from its API: the time and the rate stand beside the event.
        values = {**{k: v for k, v in values.items() if k in {"time", "samplerate"}}, **data}
    event = Fields(values)
    if event.word("meta.annotation_type") in _ANNOTATIONS:
        return []
    trace_id = event.id("trace.trace_id") or event.required(None, "trace.trace_id")
    span_id = event.id("trace.span_id") or event.required(None, "trace.span_id")
    started_ns = event.required(event.time_ns(*_TIMES), "Timestamp")
    took_ns = event.took_ns(_NS_PER_MS, "duration_ms")
    attributes, resource = _attributes(values, about)
    rate = event.number("samplerate")
    if rate is not None and rate > 1:
        attributes.setdefault("SampleRate", int(rate))
    linked = event.id("trace.link.trace_id")
    return [
        Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=event.id("trace.parent_id") or None,
            name=event.word("name"),
            kind=_KINDS.get(event.word("span.kind").lower(), 0),
            started_at_ns=started_ns,
            ended_at_ns=0 if took_ns is None else started_ns + took_ns,
            attributes=attributes,
            resource=resource,
            scope_name=event.word("library.name"),
            scope_version=event.word("library.version"),
            is_error=event.flag("error") is True or event.word("status_code") in {"2", "ERROR"},
            links=(Link(linked, event.id("trace.link.span_id")),) if linked else (),
        )
    ]


def _attributes(values: dict[str, Any], about: About) -> tuple[dict[str, Any], dict[str, Any]]:
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    for name, value in flattened(values, about).items():
        if name in _OWN:
            continue
        (resource if name.startswith(_RESOURCE) else attributes)[name] = value
    return attributes, resource
