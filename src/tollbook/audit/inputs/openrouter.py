"""OpenRouter: single generations; the activity of whole days tells of no single call.

Fields as in :mod:`tollbook.capture.imports.openrouter`, which also imports days as sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, spans_of, told
from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.openrouter import record_of
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble

NAME: Final = "openrouter"
_MARKS: Final = frozenset(
    {"generation_id", "native_tokens_prompt", "nativeTokensPrompt", "provider_name",
     "tokens_prompt", "providerName", "model_permaslug", "byok_usage_inference", "generation_time",
     "generation_time_ms", "cost_total", "external_user", "api_key_name"}
)  # fmt: skip
_MARKS_MIN: Final = 3
_RESOURCE: Final = {"service.name": "openrouter"}


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record has several fields that only OpenRouter's have."""
    del head
    return isinstance(first, dict) and len(_MARKS & _record(first).keys()) >= _MARKS_MIN


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of generations."""
    return spans_of(
        records, about, lambda row: [_span(Fields(_record(row.values)))], has_traces=False
    )


def _record(value: dict[str, Any]) -> dict[str, Any]:
    """Return the generation that an answer of the API holds, or the row itself."""
    data = value.get("data")
    return data if isinstance(data, dict) else value


def _span(row: Fields) -> Span:
    if row.get("date") is not None and row.get("requests") is not None:
        reason = "is the sum of a day, of which no call is seen; export generations instead"
        raise RowError("date", reason)
    call = record_of(row, None)
    session = row.id("session_id", "sessionId")
    attributes = call.usage | told(
        gen_ai__operation__name=call.operation,
        gen_ai__provider__name=call.provider,
        gen_ai__request__model=call.model_requested,
        gen_ai__response__model=call.model_actual,
        gen_ai__response__id=call.provider_response_id,
        gen_ai__request__stream=call.is_stream or None,
        openai__response__service_tier=call.service_tier,
        api_key_id=row.text("api_key_name"),
        user__id=row.text("external_user", "externalUser", "user"),
        session__id=session,
    )
    return Span(
        trace_id=session or call.row_id,
        span_id=call.row_id,
        name="generation",
        kind=3,
        started_at_ns=call.started_at_ns,
        ended_at_ns=call.ended_at_ns or call.started_at_ns,
        attributes=attributes,
        resource=_RESOURCE,
        scope_name="openrouter",
    )
