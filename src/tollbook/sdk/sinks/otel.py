"""Calls as OpenTelemetry spans and metrics, through whatever the application has set up.

A span is made when its call has ended, with the times of the call, below the span that was active
when it began. Delivery, batching, forks and the end of the process are the business of the
OpenTelemetry SDK that the application has configured.
"""

from __future__ import annotations

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

from tollbook import __version__
from tollbook.call import Status
from tollbook.sdk.sinks import otel_attributes as attributes_of
from tollbook.sdk.sinks.otel_metrics import Instruments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from tollbook.call import CallClosed, CallOpened, SpanSeen
    from tollbook.sdk.sinks.otel_attributes import Attributes

SCOPE: Final = "tollbook.sdk"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"


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
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer_provider, self._meter_provider = tracer_provider, meter_provider
        self._tracer: Tracer | None = None
        self._ids: GivenIds | None = None
        self._instruments: Instruments | None = None
        self._failed = 0

    def opened(self, frame: CallOpened) -> None:
        """Do nothing: a span is made when the call has ended."""

    def closed(self, opened: CallOpened, frame: CallClosed) -> None:
        """Make the span and the metrics of a call."""
        try:
            self._tell(opened, frame)
        except Exception:  # noqa: BLE001 -- metering never fails the user's request
            self._failed += 1

    def span(self, frame: SpanSeen) -> None:
        """Make a span of a run."""
        try:
            self._make(
                frame.name,
                SpanKind.INTERNAL,
                attributes_of.run_attributes(frame),
                (frame.trace_id, frame.span_id, frame.parent_span_id),
                (frame.started_at_ns, frame.ended_at_ns),
                error="error" if frame.is_error else None,
                links=[_context_of(*one.split(":", 1)) for one in frame.links],
            )
        except Exception:  # noqa: BLE001 -- metering never fails the user's request
            self._failed += 1

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
        return tracer

    def flush(self, timeout_s: float) -> bool:
        """Have the OpenTelemetry SDK send what waits."""
        done = True
        for provider in (
            self._tracer_provider or trace.get_tracer_provider(),
            self._meter_provider or metrics.get_meter_provider(),
        ):
            force = getattr(provider, "force_flush", None)
            if force is not None:
                try:
                    done = bool(force(int(timeout_s * 1000))) and done
                except Exception:  # noqa: BLE001 -- an exporter's trouble
                    done = False
        return done

    def close(self) -> None:
        """Send what waits; the application closes its providers."""
        self.flush(5.0)

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
