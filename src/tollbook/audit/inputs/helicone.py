"""Helicone: requests as its export command and ``POST /v1/request/query-clickhouse`` give them.

Fields as in Helicone's ``HeliconeRequest``; amounts and counts are read as ``tollbook import``
reads them (:mod:`tollbook.capture.imports.helicone`). Rows tell of single calls; those of one
``Helicone-Session-Id`` are looked at together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, spans_of, told, without_content
from tollbook.capture.imports.helicone import record_of
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble
    from tollbook.capture.imports.record import Record as Call

NAME: Final = "helicone"
_CONTENT: Final = ("request_body", "response_body", "request_assets", "assets", "prompt")
_MARKS: Final = frozenset(
    {"helicone_user", "request_created_at", "request_properties", "delay_ms", "request_user_id",
     "cache_reference_id", "request_path", "response_status", "time_to_first_token"}
)  # fmt: skip
_MARKS_MIN: Final = 3
_RESOURCE: Final = {"service.name": "helicone"}
_SESSION: Final = {
    "helicone-session-id": "session.id",
    "helicone-session-name": "workflow.id",
    "helicone-session-path": "workflow.step",
}


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record has several fields that only Helicone's requests have."""
    del head
    return isinstance(first, dict) and len(_MARKS & first.keys()) >= _MARKS_MIN


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of requests."""

    def take(row: Fields) -> list[Span]:
        without_content(row, about, *_CONTENT)
        return [_span(row, record_of(row, None))]

    return spans_of(records, about, take, has_traces=False)


def _span(row: Fields, call: Call) -> Span:
    owner = _owner(row)
    attributes = owner | _call(call) if call.is_billable else owner
    return Span(
        trace_id=owner.get("session.id") or call.row_id,
        span_id=call.row_id,
        name=call.operation,
        kind=3,
        started_at_ns=call.started_at_ns,
        ended_at_ns=call.ended_at_ns or call.started_at_ns,
        attributes=attributes,
        resource=_RESOURCE,
        scope_name="helicone",
        is_error=call.is_error,
    )


def _call(call: Call) -> dict[str, Any]:
    return call.usage | told(
        gen_ai__operation__name=call.operation,
        gen_ai__provider__name=call.provider,
        gen_ai__request__model=call.model_requested,
        gen_ai__response__model=None if call.is_error else call.model_actual,
        gen_ai__response__id=call.provider_response_id,
        gen_ai__request__stream=call.is_stream or call.time_to_first_token_ns is not None or None,
        http__response__status_code=call.http_status,
    )


def _owner(row: Fields) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in row.mapping("request_properties", "properties").items():
        if isinstance(value, (str, int)) and value != "":
            known = _SESSION.get(name.lower())
            attributes[known or f"helicone.property.{name}"] = str(value)
    user = row.text("request_user_id", "user_id", "helicone_user")
    return attributes | told(user__id=user)
