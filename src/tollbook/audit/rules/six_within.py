"""Where identity was lost within one trace: other spans of it say who pays, none above the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.rules.frameworks import is_job
from tollbook.audit.rules.lost import EMBEDDINGS, Break, operation_of, shows_payer, where
from tollbook.call import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.rules.lost import Lost, View

_INTERNAL, _SERVER, _CLIENT, _PRODUCER, _CONSUMER = 1, 2, 3, 4, 5
AGENT_KINDS: Final = frozenset({SpanKind.AGENT, SpanKind.TOOL})
_ERROR: Final = Severity.ERROR
_STREAMS_MAX: Final = 256


def break_within(view: View, lost: Lost) -> Break | None:
    """Return where identity was lost, None where its trace never says who pays."""
    known = view.breaks
    if lost.call.span_id not in known:
        known[lost.call.span_id] = _found(view, lost)
    return known[lost.call.span_id]


def _found(view: View, lost: Lost) -> Break | None:
    shown = _shown(lost)
    if shown is not None:
        return shown
    if not view.named:
        return None
    return (
        _late_usage(view, lost)
        or _job(view, lost)
        or _server(view, lost)
        or _agent(view, lost)
        or _by_operation(view, lost)
    )


def _shown(lost: Lost) -> Break | None:
    """Identity that is seen as baggage or in a header above the call, and became no attribute."""
    below: SpanFact | None = None
    for span in lost.path:
        if shows_payer(span):
            first = below or span
            if span.kind in {_CLIENT, _PRODUCER} and below is not None:
                if below.kind == _CONSUMER or span.kind == _PRODUCER:
                    return queue_break(span, first)
                return header_break(span, first)
            title = f"{where(span)} has the tenant as baggage or header, and no span says it"
            return Break(Mode.BAGGAGE_NOT_COPIED, "within", span, first, title, _ERROR)
        below = span
    return None


def _late_usage(view: View, lost: Lost) -> Break | None:
    """Usage of a stream that came on a span of its own, which knows nothing of the request."""
    call = lost.call.call
    assert call is not None
    if call.kinds is None:
        return None
    for one in view.bare_streams[:_STREAMS_MAX]:
        told = one.call
        if (
            told is not None
            and one.started_at_ns <= lost.call.started_at_ns
            and _may_be_same(told.response_id, call.response_id)
            and _may_be_same(told.model_requested, call.model_requested)
        ):
            title = "the usage of a stream came on a span of its own, without the tenant"
            return Break(Mode.STREAMING, "thread", one, lost.call, title, _ERROR)
    return None


def _may_be_same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _job(view: View, lost: Lost) -> Break | None:
    job = _topmost(lost, is_job)
    if job is None:
        return None
    above = view.trace.parent(job)
    last = view.nearest_named(job, _PRODUCER) if above is None or above.kind != _PRODUCER else above
    return queue_break(last, job)


def _server(view: View, lost: Lost) -> Break | None:
    """A request to another service, or one whose caller did not come."""

    def came_from_elsewhere(span: SpanFact) -> bool:
        above = view.trace.parent(span)
        if span.kind != _SERVER:
            return False
        return span.span_id in view.orphans or (above is not None and above.kind != _SERVER)

    server = _topmost(lost, came_from_elsewhere)
    if server is None:
        return None
    return header_break(view.nearest_named(server, _CLIENT), server)


def _agent(view: View, lost: Lost) -> Break | None:
    """An agent or a tool that lost it for all calls below it."""
    knows = view.above_named  # what is below such an agent knows: it is not where it was lost
    agent = _topmost(lost, lambda span: span.what in AGENT_KINDS and span.span_id not in knows)
    if agent is None:
        return None
    return agent_break(view.nearest_named(agent), agent)


def _by_operation(view: View, lost: Lost) -> Break:
    """The call itself: others of the trace say who pays."""
    call = lost.call
    told = call.call
    assert told is not None
    last = view.nearest_named(call)
    if told.operation in EMBEDDINGS:
        return embeddings_break(last, call)
    if told.is_stream:
        return stream_break(last, call)
    if lost.entry.span_id in view.orphans and lost.entry.kind not in {_SERVER, _CONSUMER}:
        title = f"the span above {lost.entry.name} in {where(call)} did not come"
        return Break(Mode.MISSING_TENANT, "hole", last, lost.entry, title, _ERROR)
    title = f"{call.name} in {where(call)} does not say who pays, others of its trace do"
    return Break(Mode.MISSING_TENANT, "within", last, call, title, _ERROR)


def _topmost(lost: Lost, is_it: Callable[[SpanFact], bool]) -> SpanFact | None:
    return next((span for span in reversed(lost.path) if is_it(span)), None)


def header_break(
    last: SpanFact | None, first: SpanFact, severity: Severity = _ERROR, rule: str = "A01"
) -> Break:
    """Return a break between two services."""
    before = "its caller" if last is None else where(last)
    title = f"{before} knows the tenant, {where(first)} does not: a header was lost between them"
    return Break(Mode.HEADER_STRIPPING, "http", last, first, title, severity, rule)


def queue_break(
    last: SpanFact | None, first: SpanFact, severity: Severity = _ERROR, rule: str = "A01"
) -> Break:
    """Return a break between who enqueued a job and who works on it."""
    title = f"jobs of {where(first)} ({first.name}) do not know whose they are"
    return Break(Mode.BACKGROUND_JOBS, "queue", last, first, title, severity, rule)


def thread_break(last: SpanFact | None, first: SpanFact) -> Break:
    """Return a break at a thread, an executor or a task that was begun without its context."""
    title = f"{where(first)} goes on in a thread that knows nothing of the request: {first.name}"
    return Break(Mode.BACKGROUND_JOBS, "thread", last, first, title, _ERROR)


def agent_break(
    last: SpanFact | None,
    first: SpanFact,
    severity: Severity = _ERROR,
    rule: str = "A01",
    crossing: str = "within",
) -> Break:
    """Return a break between an agent and what it calls."""
    title = f"{first.name} in {where(first)} does not know for whom its agent works"
    return Break(Mode.AGENT_RECURSION, crossing, last, first, title, severity, rule)


def embeddings_break(
    last: SpanFact | None,
    first: SpanFact,
    severity: Severity = _ERROR,
    rule: str = "A01",
    crossing: str = "within",
) -> Break:
    """Return a break before embeddings, reranking or retrieval."""
    what = operation_of(first) or "retrieval"
    title = f"{what} in {where(first)} has no tenant, the chat calls around it have one"
    return Break(Mode.EMBEDDINGS_RETRIEVAL, crossing, last, first, title, severity, rule)


def stream_break(
    last: SpanFact | None,
    first: SpanFact,
    severity: Severity = _ERROR,
    rule: str = "A01",
    crossing: str = "within",
) -> Break:
    """Return a break before a stream."""
    title = f"streams of {where(first)} are read where the tenant of the request is not known"
    return Break(Mode.STREAMING, crossing, last, first, title, severity, rule)
