"""A span to what is kept of it: who, what, when, how much; what was said is dropped here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.facts import CallFact, SpanFact
from tollbook.call import Call, Evidence
from tollbook.capture.otlp.mapping import frames_of
from tollbook.capture.otlp.operations import what_is
from tollbook.capture.otlp.owners import owner_of
from tollbook.dialects.otel import Otel
from tollbook.dialects.otel_counts import counts_of

if TYPE_CHECKING:
    from tollbook.audit.read import Batch
    from tollbook.audit.settings import AuditSettings
    from tollbook.call import CallClosed, CallOpened, Identity
    from tollbook.capture.otlp.spans import Span

_NOWHERE: Final = Evidence("", 0, 0, "")


class Extractor:
    """Keeps of spans what rules look at.

    Args:
        settings: what is hashed, and which attributes name the tenant.
    """

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._measure = Otel().measure
        self._dropped = 0

    def fact(self, span: Span, source: int, batch: Batch) -> SpanFact:
        """Return what is kept; never raises on what a span holds."""
        frames = frames_of(span, span.started_at_ns)
        call = self._call(span, frames[1], frames[2]) if len(frames) == 3 else None  # type: ignore[arg-type]  # noqa: PLR2004
        owner = owner_of(span)
        service = span.resource.get("service.name")
        return SpanFact(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_span_id=span.parent_span_id,
            name=span.name[:128],
            what=what_is(span).kind,
            kind=span.kind,
            service=service if isinstance(service, str) else "",
            scope=span.scope_name,
            scope_version=span.scope_version,
            started_at_ns=span.started_at_ns,
            ended_at_ns=span.ended_at_ns,
            is_error=span.is_error,
            owner=_fields(owner),
            links=tuple(f"{one.trace_id}:{one.span_id}" for one in span.links),
            call=call,
            source=source,
            line=batch.where.line,
            has_trace=batch.has_traces,
        )

    def take_dropped(self) -> int:
        """Return how many attributes with content were dropped since the last time."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def words(self) -> str:
        """Say what happened to names and content."""
        return "Attributes with content were dropped on reading."

    def _call(self, span: Span, opened: CallOpened, closed: CallClosed) -> CallFact:
        measured = self._measure(Call(opened, closed, _NOWHERE))
        counts = counts_of(span.attributes, [])
        del counts
        return CallFact(
            operation=opened.operation,
            provider=opened.provider,
            model_requested=opened.model_requested,
            model_actual=closed.model_actual,
            kinds=measured.kinds,
            is_stream=opened.is_stream,
            is_error=closed.status == "error",
            is_billable=closed.is_billable,
            response_id=closed.provider_response_id,
            request_id=closed.provider_request_id,
            service_tier=closed.service_tier,
            is_call=what_is(span).is_inference,
        )


def _fields(owner: Identity | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {
        name: value
        for name in ("tenant_id", "user_id", "team_id", "feature", "workflow_id", "agent_run_id")
        if (value := getattr(owner, name)) is not None
    }
