"""Datadog: spans of APM and of LLM Observability, as agents send and as APIs and pages export them.

Members as in the trace agent's API (``trace_id``, ``meta``, ``metrics``, ``start`` and ``duration``
in nanoseconds), in ``POST /api/v2/spans/events/search`` (``start_timestamp``, ``custom``, ``tags``)
and in the LLM Observability API and its export (``meta.kind`` or ``span_kind``, ``metrics``,
``start_ns``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.datadog_llm import from_integration, from_observability, kind_of
from tollbook.audit.inputs.foreign import Fields, flattened, spans_of, tags_of, told
from tollbook.capture.otlp.spans import Link, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble

NAME: Final = "datadog"
_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_TYPES: Final = {"web": 2, "http": 3, "worker": 5, "queue": 5, "llm": 3}
"""APM's type of a span, where it has no ``span.kind``."""
_IDS: Final = frozenset({"trace_id", "span_id"})
_MARKS: Final = frozenset({"meta", "metrics", "start_ns", "start_ms", "ml_app", "resource",
                           "resource_name", "start_timestamp"})  # fmt: skip
_NO_PARENT: Final = ("", "0", "undefined", "None")
_WRAPPERS: Final = ("attributes", "data", "trace")
_LISTS: Final = ("spans", "traces")
_LINKS_MAX: Final = 32
_DEPTH_MAX: Final = 4


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record is a span of Datadog, or holds some."""
    del head
    if not isinstance(first, dict):
        return False
    return any(_is_span(one) for one, _ in _within(first, {}))


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of records, each of which is one or holds some."""

    def take(row: Fields) -> list[Span]:
        found = list(_within(row.values, row.beside))
        return [_span(Fields(one, beside), about) for one, beside in found]

    return spans_of(records, about, take, has_traces=True)


def _is_span(value: dict[str, Any]) -> bool:
    return value.keys() >= _IDS and not _MARKS.isdisjoint(value)


def _within(
    value: Any, beside: Any, depth: int = _DEPTH_MAX
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the spans that a record holds, and what stands beside them."""
    if isinstance(value, list):
        for one in value:
            yield from _within(one, beside, depth)
        return
    if not isinstance(value, dict):
        return
    held = [value[name] for name in _WRAPPERS if isinstance(value.get(name), dict)]
    if depth and held and not value.keys() >= _IDS:
        yield from _within(held[0], beside, depth - 1)
        return
    for name in _LISTS:
        listed = value.get(name)
        if depth and isinstance(listed, (list, dict)):
            around = {key: one for key, one in value.items() if key != name}
            spans = list(listed.values()) if isinstance(listed, dict) else listed
            yield from _within(spans, around, depth - 1)
            return
    yield value, dict(beside)


def _span(row: Fields, about: About) -> Span:
    trace_id = row.id("trace_id") or row.required(None, "trace_id")
    span_id = row.id("span_id") or row.required(None, "span_id")
    started_ns = row.required(
        row.time_ns("start_ns", form="unix_ns")
        or row.time_ns("start", "start_timestamp", "start_ms", "timestamp"),
        "start",
    )
    attributes = _attributes(row, about)
    parent = row.id("parent_id")
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=None if parent in _NO_PARENT else parent,
        name=row.word("name", "operation_name", "resource", "resource_name"),
        kind=_kind(row, attributes),
        started_at_ns=started_ns,
        ended_at_ns=_ended_ns(row, started_ns),
        attributes=attributes,
        resource=_resource(row, attributes),
        scope_name=_scope(attributes),
        is_error=row.word("error") in {"1", "True", "true"} or row.get("error") is True
        or row.word("status") == "error",
        links=_links(row),
    )  # fmt: skip


def _attributes(row: Fields, about: About) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name in ("attributes", "custom", "meta", "metrics"):
        attributes |= flattened(row.structure(name), about)
    for tags in (row.items("tags"), _listed(row.beside.get("tags"))):
        attributes = tags_of(tags) | attributes
    session = row.word("session_id") or row.beside.get("session_id")
    attributes |= told(session__id=session if isinstance(session, str) else None)
    if row.get("ml_app") is not None or kind_of(row):
        return from_observability(row, attributes, about)
    return from_integration(attributes, row.word("resource", "resource_name"))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(row: Fields, attributes: dict[str, Any]) -> int:
    told_kind = str(attributes.get("span.kind", "")).lower()
    return _KINDS.get(told_kind) or _TYPES.get(row.word("type").lower(), 1)


def _ended_ns(row: Fields, started_ns: int) -> int:
    ended_ns = row.time_ns("end_timestamp")
    if ended_ns is not None:
        return ended_ns
    took_ns = row.took_ns(1, "duration", "attributes.duration", "custom.duration")
    return 0 if took_ns is None else started_ns + took_ns


def _resource(row: Fields, attributes: dict[str, Any]) -> dict[str, Any]:
    tagged = attributes.get("service")
    service = row.word("service") or (tagged if isinstance(tagged, str) else "")
    environment = row.word("env") or attributes.get("env")
    return told(
        service__name=service or row.word("ml_app") or str(row.beside.get("ml_app") or ""),
        deployment__environment__name=environment if isinstance(environment, str) else None,
    )


def _scope(attributes: dict[str, Any]) -> str:
    name = attributes.get("component") or attributes.get("integration")
    return f"ddtrace.{name}" if isinstance(name, str) else "ddtrace"


def _links(row: Fields) -> tuple[Link, ...]:
    found = []
    for link in row.items("span_links", "meta._dd.span_links")[:_LINKS_MAX]:
        if isinstance(link, dict):
            one = Fields(link)
            found.append(Link(one.id("trace_id"), one.id("span_id")))
    return tuple(found)
