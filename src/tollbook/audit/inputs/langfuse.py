"""Langfuse: observations and traces as its API, its exports and its tables give them.

Fields as in the OpenAPI document (``ObservationsView``, ``ObservationV2``, ``TraceWithDetails``)
and the "Blob Storage Export Field Reference", which writes them with underscores. Users, sessions,
tags and metadata are of traces: where both are in one input, in any order, observations get them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.inputs.foreign import Fields, spans_of
from tollbook.audit.inputs.langfuse_spans import observation_of, owner_of, trace_span
from tollbook.audit.inputs.langfuse_waiting import Waiting
from tollbook.audit.read import Batch, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.capture.otlp.spans import Span

NAME: Final = "langfuse"
_TRACE_IDS: Final = ("traceId", "trace_id")
_OBSERVATION: Final = frozenset(
    {"parentObservationId", "parent_observation_id", "usageDetails", "usage_details",
     "providedModelName", "provided_model_name", "completionStartTime", "completion_start_time",
     "promptTokens", "costDetails", "cost_details", "calculatedTotalCost"}
)  # fmt: skip
_TRACE: Final = frozenset(
    {"sessionId", "session_id", "userId", "user_id", "htmlPath", "latency", "public", "bookmarked",
     "observations", "scores", "release"}
)  # fmt: skip
_TRACE_MIN: Final = 4


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record is an observation or a trace."""
    del head
    if not isinstance(first, dict):
        return False
    if any(name in first for name in _TRACE_IDS):
        return not _OBSERVATION.isdisjoint(first)
    if isinstance(first.get("trace"), dict):
        return isinstance(first.get("observations"), list) and "id" in first["trace"]
    return "id" in first and "timestamp" in first and len(_TRACE & first.keys()) >= _TRACE_MIN


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of observations, with what their traces say."""
    waiting = Waiting()

    def take(row: Fields) -> list[Span]:
        if any(row.get(name) is not None for name in _TRACE_IDS):
            span = observation_of(row, about)
            # A trace too large to be read at once: its own members stand beside its observations.
            if row.beside.get("id") == span.trace_id and not waiting.knows(span.trace_id):
                waiting.know(span.trace_id, owner_of(Fields(dict(row.beside)), about))
            return [span]
        return _of_trace(row, about, waiting)

    for part in spans_of(records, about, take, has_traces=True):
        if isinstance(part, Trouble):
            yield part
        else:
            yield from waiting.put(part)
    yield from waiting.rest()


def _of_trace(row: Fields, about: About, waiting: Waiting) -> list[Span]:
    downloaded = row.values.get("trace")
    if isinstance(downloaded, dict):  # of the page of a trace, which has them side by side
        row = Fields({**downloaded, "observations": row.values.get("observations")})
    span = trace_span(row, about)
    waiting.know(span.trace_id, owner_of(row, about))
    inner = [one for one in row.items("observations") if isinstance(one, dict)]
    return [observation_of(Fields({"traceId": span.trace_id, **one}), about) for one in inner]
