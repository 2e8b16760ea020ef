"""Phoenix and other stores of OpenInference spans: dataframes, their files, and the REST API.

Columns as ``get_spans_dataframe`` has them (``context.trace_id``, ``attributes.llm.…``, flattened
or nested), members as in Phoenix's ``Span`` schema. Attributes keep their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, flattened, spans_of, structure_of, told
from tollbook.capture.imports.row import json_text
from tollbook.capture.otlp.answers import answer_of
from tollbook.capture.otlp.spans import Event, Span
from tollbook.dialects.otel_names import ANSWER_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble

NAME: Final = "phoenix"
_PREFIX: Final = "attributes."
_COUNTS: Final = "llm.token_count."
_DOCUMENT: Final = "metadata"
_KIND: Final = "openinference.span.kind"
_EVENTS_MAX: Final = 16


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record is a span with a context and attributes of OpenInference."""
    del head
    if not isinstance(first, dict):
        return False
    context = structure_of(first.get("context"))
    has_context = "context.trace_id" in first or (
        isinstance(context, dict) and "trace_id" in context
    )
    return has_context and ("span_kind" in first or any(
        isinstance(name, str) and name.startswith(_PREFIX) for name in first
    ) or isinstance(first.get("attributes"), (dict, str)))  # fmt: skip


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans."""
    return spans_of(records, about, lambda row: [_span(row, about)], has_traces=True)


def _span(row: Fields, about: About) -> Span:
    trace_id = row.id("context.trace_id", "trace_id") or row.required(None, "context.trace_id")
    span_id = row.id("context.span_id", "span_id") or row.required(None, "context.span_id")
    attributes = _attributes(row, about)
    kind = row.word("span_kind").upper()
    if kind and _KIND not in attributes:
        attributes[_KIND] = kind
    resource = row.structure("resource", "resource.attributes")
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=row.id("parent_id", "parent_span_id") or None,
        name=row.word("name"),
        kind=3 if attributes.get(_KIND) in {"LLM", "EMBEDDING", "RERANKER"} else 1,
        started_at_ns=row.required(row.time_ns("start_time"), "start_time"),
        ended_at_ns=row.time_ns("end_time") or 0,
        attributes=attributes,
        resource=resource or told(service__name=row.word("project_name", "service.name")),
        scope_name=row.word("instrumentation_scope.name", "scope.name") or "openinference",
        is_error=row.word("status_code", "status.status_code").upper().endswith("ERROR"),
        events=_events(row),
    )


def _attributes(row: Fields, about: About) -> dict[str, Any]:
    nested = dict(row.structure("attributes"))
    for name, value in row.values.items():
        if name.startswith(_PREFIX):
            nested[name[len(_PREFIX) :]] = structure_of(value)
    document = nested.pop(_DOCUMENT, None)
    answer = answer_of(_answer_attributes(nested))
    attributes = flattened(nested, about)
    for name in [name for name in attributes if name.startswith(_COUNTS)]:
        # The columns of a dataframe that lack values are of floating-point numbers: 12.0
        count = Fields(attributes).number(name)
        attributes[name] = int(count) if count is not None and count == int(count) else count
    if isinstance(document, dict):
        document = json_text({k: v for k, v in document.items() if isinstance(v, (str, int))})
    return attributes | told(
        **{_DOCUMENT: document if isinstance(document, str) else None},
        gen_ai__response__id=answer.response_id,
    ) | ({ANSWER_USAGE: answer.usage} if answer.usage else {})  # fmt: skip


def _answer_attributes(nested: dict[str, Any]) -> dict[str, Any]:
    """Return what tells the provider's usage, which OpenInference keeps within the answer."""
    fields = Fields(nested)
    output = nested.get("output.value")
    if output is None and isinstance(nested.get("output"), dict):
        output = nested["output"].get("value")
    return {
        "output.value": json_text(output) if isinstance(output, dict) else output,
        "output.mime_type": "application/json"
        if isinstance(output, dict)
        else fields.get("output.mime_type"),
        _KIND: fields.get(_KIND),
    }


def _events(row: Fields) -> tuple[Event, ...]:
    """Return the types of exceptions; their messages may quote a prompt."""
    found = []
    for event in row.items("events")[:_EVENTS_MAX]:
        if isinstance(event, dict) and event.get("name") == "exception":
            kind = Fields(event).word("attributes.exception.type")
            found.append(Event("exception", 0, told(exception__type=kind)))
    return tuple(found)
