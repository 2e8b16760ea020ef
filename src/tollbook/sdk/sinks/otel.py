"""Calls as OpenTelemetry spans and metrics, through whatever the application has set up.

A span is made when its call has ended, with the times of the call, below the span that was active
when it began. That takes the OpenTelemetry SDK longer than a call may be held up, so a thread of
its own does it. The spans of runs (agents, steps, tools) are begun and ended with the work itself,
so that what other instrumentations make is within them. Delivery is the business of the SDK that
the application has configured.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
)

from tollbook import __version__, clock
from tollbook.call import Status
from tollbook.sdk.sinks import lifetime
from tollbook.sdk.sinks import otel_attributes as attributes_of
from tollbook.sdk.sinks.otel_metrics import Instruments
from tollbook.sdk.spans import current_span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from tollbook.call import CallClosed, CallOpened, SpanSeen
    from tollbook.call import SpanKind as RunKind
    from tollbook.sdk.sinks.otel_attributes import Attributes

SCOPE: Final = "tollbook.sdk"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"


logger: Final = logging.getLogger("tollbook")

_EXIT_TIMEOUT_S: Final = 5.0


class GivenIds:
    """Gives the next span of this thread the id that it is known by already; else a new one.

    Stands before the id generator of a tracer of our own: the calls below an agent's span name it
    as their parent before it is exported.
    """

    def __init__(self, otherwise: Any) -> None:
        self._otherwise = otherwise
        self._next = threading.local()

    def give(self, trace_id: int | None, span_id: int | None) -> None:
        """Set the ids of the next span of this thread; None: make one."""
        self._next.trace_id, self._next.span_id = trace_id, span_id

    def generate_span_id(self) -> int:
        """Return a span id."""
        given = getattr(self._next, "span_id", None)
        self._next.span_id = None
        return int(self._otherwise.generate_span_id() if given is None else given)

    def generate_trace_id(self) -> int:
        """Return a trace id, for a span without a parent."""
        given = getattr(self._next, "trace_id", None)
        self._next.trace_id = None
        return int(self._otherwise.generate_trace_id() if given is None else given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._otherwise, name)


class OtelSink:
    """Makes a span and metrics of every call.

    Args:
        tracer_provider: default the application's global one, whenever it is set.
        meter_provider: the same for metrics.
        waiting_max: how many calls and spans may wait; further ones are given up and counted.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        waiting_max: int = 10_000,
    ) -> None:
        self._tracer_provider, self._meter_provider = tracer_provider, meter_provider
        self._waiting_max = waiting_max
        self._tracer: Tracer | None = None
        self._ids: GivenIds | None = None
        self._instruments: Instruments | None = None
        self._is_closed = False
        self._born_ns = 0
        self._start()
        lifetime.keep(self)

    def _start(self) -> None:
        self._failed = 0
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._beginning = threading.Lock()  # taken by whoever starts the thread, for good

    takes_ended: Final = True
    """Calls may be told of from another thread, when they have ended."""

    def opened(self, frame: CallOpened) -> None:
        """Do nothing: a span is made when the call has ended."""

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Make the span and the metrics of a call."""
        if opened.started_at_ns >= self._born_ns:  # else the parent process tells of it
            self._put(lambda: self._tell(opened, frame))

    def span(self, frame: SpanSeen) -> None:
        """Make a span of a run."""
        self._put(lambda: self._tell_span(frame))

    def begin_span(self, name: str, kind: RunKind, outside: Context) -> Span | None:
        """Begin a span in the application's own tracer; None where there is none that records."""
        if self._is_closed:
            return None
        within = current_span(outside)
        context = outside
        if within is not None:
            parent = _context_of(within.trace_id, within.span_id)
            if trace.get_current_span(outside).get_span_context().span_id != parent.span_id:
                context = trace.set_span_in_context(NonRecordingSpan(parent), outside)
        span = self._ready().start_span(
            name, context, SpanKind.INTERNAL, attributes_of.kind_attributes(kind, name)
        )
        return span if span.is_recording() else None

    def end_span(self, span: Span, frame: SpanSeen) -> None:
        """End a span, with whose it turned out to be."""
        span.set_attributes(attributes_of.run_attributes(frame))
        if frame.is_error:
            span.set_status(StatusCode.ERROR, "error")
        span.end(frame.ended_at_ns)

    def _put(self, work: Callable[[], None]) -> None:
        try:
            if self._is_closed or self._waiting.qsize() >= self._waiting_max:
                self._failed += 1
                return
            self._waiting.put(work)
            if self._thread is None:
                self._begin()
        except Exception:  # noqa: BLE001 -- metering never fails the user's request
            self._failed += 1

    def _begin(self) -> None:
        if not self._beginning.acquire(blocking=False):
            return
        thread = threading.Thread(
            target=self._run, args=(self._waiting,), daemon=True, name="tollbook-otel"
        )
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            self._thread = None
            self._beginning.release()
            return
        lifetime.note_use(self)

    def _run(self, waiting: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while (work := waiting.get()) is not None:
            try:
                work()
            except Exception:
                self._failed += 1
                logger.debug("a span cannot be made", exc_info=True)

    def _tell_span(self, frame: SpanSeen) -> None:
        self._make(
            frame.name,
            SpanKind.INTERNAL,
            attributes_of.run_attributes(frame),
            (frame.trace_id, frame.span_id, frame.parent_span_id),
            (frame.started_at_ns, frame.ended_at_ns),
            error="error" if frame.is_error else None,
            links=[_context_of(*one.split(":", 1)) for one in frame.links],
        )

    def _tell(self, opened: CallOpened, closed: CallClosed) -> None:
        measured = attributes_of.measured_of(opened, closed)
        self._make(
            attributes_of.span_name(opened),
            SpanKind.CLIENT,
            attributes_of.call_attributes(opened, closed, measured),
            (opened.trace_id, opened.span_id, opened.parent_span_id),
            (opened.started_at_ns, opened.started_at_ns + closed.duration_ns),
            error=None if closed.status is Status.OK else attributes_of.error_type(closed),
        )
        if self._instruments is None:
            provider = self._meter_provider or metrics.get_meter_provider()
            meter = provider.get_meter(SCOPE, __version__, SCHEMA_URL)
            self._instruments = Instruments(meter)
        self._instruments.record(opened, closed, measured)

    def _make(
        self, name: str, kind: SpanKind, attributes: Attributes,
        ids: tuple[str | None, str | None, str | None], times_ns: tuple[int, int | None], *,
        error: str | None = None, links: Sequence[SpanContext] = (),
    ) -> None:  # fmt: skip
        trace_id, span_id, parent_span_id = ids
        parent = Context()
        if trace_id is not None and parent_span_id is not None:
            within = NonRecordingSpan(_context_of(trace_id, parent_span_id))
            parent = trace.set_span_in_context(within, parent)
        tracer = self._ready()
        if self._ids is not None:
            self._ids.give(_number(trace_id), _number(span_id))
        one = tracer.start_span(
            name, parent, kind, attributes, [Link(to) for to in links], start_time=times_ns[0]
        )
        if error is not None:
            one.set_status(StatusCode.ERROR, error)
        one.end(times_ns[1])

    def _ready(self) -> Tracer:
        if self._tracer is not None:
            return self._tracer
        provider = self._tracer_provider or trace.get_tracer_provider()
        tracer = provider.get_tracer(SCOPE, __version__, SCHEMA_URL)
        if isinstance(provider, trace.ProxyTracerProvider):
            return tracer  # the application has set none yet
        generator = getattr(tracer, "id_generator", None)
        if isinstance(generator, GivenIds):
            self._ids = generator  # another sink's: providers keep one tracer for each scope
        elif generator is not None:
            self._ids = GivenIds(generator)
            tracer.id_generator = self._ids  # type: ignore[attr-defined] # the SDK's tracer has it
        self._tracer = tracer
        # Again, so that it is before the provider's own end, which may have been set up since.
        atexit.register(self.at_exit)
        return tracer

    def _make_waiting(self, timeout_s: float) -> bool:
        """Have the spans made that wait; True when all are."""
        if self._thread is None:
            return self._waiting.empty()
        done = threading.Event()
        self._waiting.put(done.set)
        return done.wait(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Make the spans that wait, and have the OpenTelemetry SDK send them."""
        until_ns = clock.monotonic_ns() + int(timeout_s * clock.NS_PER_S)
        lifetime.settle()
        done = self._make_waiting(timeout_s)
        for provider in (
            self._tracer_provider or trace.get_tracer_provider(),
            self._meter_provider or metrics.get_meter_provider(),
        ):
            force = getattr(provider, "force_flush", None)
            if force is not None:
                rest_ms = max(1, (until_ns - clock.monotonic_ns()) // 1_000_000)
                try:
                    done = bool(force(rest_ms)) and done
                except Exception:  # noqa: BLE001 -- an exporter's trouble
                    done = False
        return done

    def close(self) -> None:
        """Send what waits; the application closes its providers."""
        if not self._is_closed:
            lifetime.settle()
            self._is_closed = True
            self.flush(_EXIT_TIMEOUT_S)
            self._waiting.put(None)

    def at_exit(self) -> None:
        """Make the spans that wait; the provider sends them at its own end."""
        lifetime.settle()
        self._make_waiting(_EXIT_TIMEOUT_S)

    def after_fork(self) -> None:
        """Start with nothing in a child."""
        self._start()
        self._born_ns = clock.unix_ns()

    @property
    def dropped(self) -> int:
        """How many could not be made; what exporters give up is theirs to count."""
        return self._failed


def _number(text: str | None) -> int | None:
    return None if text is None else int(text, 16)


def _context_of(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )  # fmt: skip
