"""The spans of a run: what nests in what, for the tree that ``tollbook report run`` draws.

A span costs next to nothing until somebody needs it: its ids are made when a call or another span
names it as its parent, and a request in which nobody called a model is not told of.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import create_key, get_value, set_value
from opentelemetry.trace import get_current_span, set_span_in_context

from tollbook import clock
from tollbook.call import Observer, SpanKind, SpanSeen
from tollbook.sdk.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from tollbook.call import Identity
    from tollbook.sdk.sink import SpanMaker

SPAN_KEY: Final = create_key("tollbook-span")
"""Under which a context holds the :class:`LiveSpan` or :class:`RemoteSpan` that work is part of."""

_lock: Final = threading.Lock()


class SpanIds(NamedTuple):
    """Trace id (32 lower-case hex digits) and span id (16), as W3C Trace Context has them."""

    trace_id: str
    span_id: str


class RemoteSpan:
    """A span of another process, or of whoever enqueued a job: what comes next is its child."""

    __slots__ = ("ids",)

    def __init__(self, ids: SpanIds) -> None:
        self.ids = ids


class SpanPlan(NamedTuple):
    """A span that a scope makes when it is entered."""

    kind: SpanKind
    name: str | Callable[[], str]
    """A function is asked when the span ends: the route of a request is known only later."""
    is_told_unused: bool = True
    """False: told of only if a call or another span was its child."""
    links: tuple[str, ...] = ()


class LiveSpan:
    """A span that has begun in this process."""

    __slots__ = ("_ids", "_maker", "_parent", "_plan", "_started_at_ns", "otel_span")

    def __init__(self, plan: SpanPlan) -> None:
        self._plan = plan
        self._started_at_ns = clock.unix_ns()
        self._ids: SpanIds | None = None
        self._parent: Context | None = None
        self._maker: SpanMaker | None = None
        self.otel_span: Span = get_current_span()

    def begin(self, outside: Context) -> Context:
        """Take the context that the span began in, where its parent is found.

        Returns:
            The context with this span in it.
        """
        self._parent = outside
        context = set_value(SPAN_KEY, self, outside)
        if not self._plan.is_told_unused:
            return context
        maker: Any = runtime().sink
        if getattr(maker, "begin_span", None) is None or self._plan.links:
            self._make_ids()
            return context
        made: Span | None = None
        with contextlib.suppress(Exception):  # somebody's tracer must not break the work
            made = maker.begin_span(self._plan.name, self._plan.kind, outside)
        if made is None:
            self._make_ids()
            return context
        found = made.get_span_context()
        self._ids = SpanIds(f"{found.trace_id:032x}", f"{found.span_id:016x}")
        self._maker, self.otel_span = maker, made
        return set_span_in_context(made, context)

    @property
    def ids(self) -> SpanIds:
        """Its trace and span id; asking makes the span one that is told of."""
        return self._ids or self._make_ids()

    def _make_ids(self) -> SpanIds:
        parent = current_span(self._parent)
        trace_id = parent.trace_id if parent else os.urandom(16).hex()
        made = SpanIds(trace_id, os.urandom(8).hex())
        with _lock:  # two threads may ask for the first time at once
            self._ids = self._ids or made
            return self._ids

    def end(self, known: Identity, *, is_error: bool) -> None:
        """Tell the sink of the span, if there is a sink and the span was of use."""
        sink = runtime().sink
        if sink is None or self._ids is None:
            return
        parent = current_span(self._parent)
        now_ns, name = clock.unix_ns(), self._plan.name
        with contextlib.suppress(Exception):  # a sink of somebody's own must not break the work
            sink.span(
                SpanSeen(
                    at_ns=now_ns,
                    trace_id=self._ids.trace_id,
                    span_id=self._ids.span_id,
                    parent_span_id=parent.span_id if parent else None,
                    name=name if isinstance(name, str) else name(),
                    kind=self._plan.kind,
                    observer=Observer.SDK,
                    started_at_ns=self._started_at_ns,
                    ended_at_ns=now_ns,
                    is_error=is_error,
                    identity=known,
                    links=self._plan.links,
                )
            )


def current_span(context: Context | None = None) -> SpanIds | None:
    """Return the span that a call made now is a child of, or None.

    Of a span of this module and an active one of OpenTelemetry, it is the one begun later: a span
    here remembers which one of OpenTelemetry's was active when it began. A remote one is the parent
    of an active one, where an instrumentation has read the same headers.
    """
    live = get_value(SPAN_KEY, context)
    active = get_current_span(context)
    if isinstance(live, LiveSpan) and live.otel_span is active:
        return live.ids
    found = active.get_span_context()
    if found.is_valid:
        return SpanIds(f"{found.trace_id:032x}", f"{found.span_id:016x}")
    return live.ids if isinstance(live, LiveSpan | RemoteSpan) else None
