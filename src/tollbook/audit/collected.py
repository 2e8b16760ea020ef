"""Spans of programs that run in this process, kept for an audit without what anybody said.

They are kept by the test in which they ended, so that a finding names tests.
"""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.kept.names import CONTENT, group_of
from tollbook.audit.read import Batch, InputRead, Where
from tollbook.capture.otlp.answers import answer_of
from tollbook.capture.otlp.spans import Event, Link, Span
from tollbook.dialects.otel_names import ANSWER_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

SPANS_MAX: Final = 200_000
OUTSIDE: Final = "outside of tests"
_INT_MAX: Final = 2**63
_BATCH: Final = 2000
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[str, list[Span]]).decode


class Collector:
    """Takes spans as they end; those of one tracer provider or of several.

    Args:
        spans_max: beyond so many they are only counted, in :attr:`left_out`.
    """

    def __init__(self, spans_max: int = SPANS_MAX) -> None:
        self._spans_max = spans_max
        self._lock = threading.Lock()
        self._watched: list[Any] = []
        self._resource: tuple[Any, dict[str, Any]] = (None, {})
        self._count = 0
        self.place = OUTSIDE
        """What runs: spans that end meanwhile are its own."""
        self.spans: dict[str, list[Span]] = {}
        """By the place where they ended."""
        self.left_out = 0

    def watch(self, provider: Any) -> None:
        """Take the spans of a tracer provider of opentelemetry-sdk from now on; once is enough."""
        if not any(one is provider for one in self._watched):
            self._watched.append(provider)
            provider.add_span_processor(_processor(self))

    def take(self, span: ReadableSpan) -> None:
        """Keep a span that has ended."""
        with self._lock:
            self._add(self.place, [self._kept(span)])

    def set_aside(self) -> dict[str, list[Span]]:
        """Return what was taken so far, and begin anew."""
        with self._lock:
            taken, self.spans, self._count = self.spans, {}, 0
        return taken

    def put_back(self, spans: Mapping[str, list[Span]]) -> None:
        """Add what was set aside."""
        with self._lock:
            for place, some in spans.items():
                self._add(place, some)

    def packed(self) -> bytes:
        """Return the spans for another process."""
        with self._lock:
            return zlib.compress(_encode(self.spans))

    def unpack(self, packed: bytes, left_out: int) -> None:
        """Add what another process has packed."""
        self.put_back(_decode(zlib.decompress(packed)))
        self.left_out += left_out

    def inputs(self) -> list[Collected]:
        """Return what was collected as inputs of an audit, one for each place."""
        with self._lock:
            return [Collected(place, tuple(spans)) for place, spans in sorted(self.spans.items())]

    def _add(self, place: str, spans: Sequence[Span]) -> None:
        room = max(0, self._spans_max - self._count)
        taken = spans[:room]
        if taken:
            self.spans.setdefault(place, []).extend(taken)
        self._count += len(taken)
        self.left_out += len(spans) - len(taken)

    def _kept(self, span: ReadableSpan) -> Span:
        context = span.get_span_context()
        assert context is not None, "a span that has ended was recorded"
        attributes = self._without_content(span.attributes or {})
        scope = span.instrumentation_scope
        if self._resource[0] is not span.resource:
            self._resource = (span.resource, _values(span.resource.attributes))
        return Span(
            trace_id=f"{context.trace_id:032x}",
            span_id=f"{context.span_id:016x}",
            parent_span_id=None if span.parent is None else f"{span.parent.span_id:016x}",
            name=span.name,
            kind=span.kind.value + 1,  # the SDK counts from 0, OTLP has "unspecified" there
            started_at_ns=span.start_time or 0,
            ended_at_ns=span.end_time or 0,
            attributes=attributes,
            resource=self._resource[1],
            scope_name=scope.name if scope is not None else "",
            scope_version=(scope.version or "") if scope is not None else "",
            is_error=span.status.status_code.name == "ERROR",
            links=tuple(
                Link(f"{one.context.trace_id:032x}", f"{one.context.span_id:016x}")
                for one in span.links
            ),
            events=tuple(
                Event(one.name, one.timestamp, self._without_content(one.attributes or {}))
                for one in span.events
            ),
            tracestate=context.trace_state.to_header(),
            flags=int(context.trace_flags),
        )

    def _without_content(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is no content; of an answer that OpenInference kept whole, the usage."""
        values = _values(attributes)
        kept = {name: value for name, value in values.items() if not group_of(name) & CONTENT}
        if len(kept) < len(values):
            answer = answer_of(values)
            if answer.usage:
                kept[ANSWER_USAGE] = answer.usage
        return kept


class Collected:
    """What was collected in one place, as an input of an audit.

    Args:
        place: its name.
        spans: what ended there.
    """

    def __init__(self, place: str, spans: Sequence[Span]) -> None:
        self._spans = spans
        self.read = InputRead(source=place, format="opentelemetry-sdk")

    def __iter__(self) -> Iterator[Batch]:
        """Yield them."""
        for at in range(0, len(self._spans), _BATCH):
            part = self._spans[at : at + _BATCH]
            self.read.records += len(part)
            self.read.spans += len(part)
            yield Batch(part, Where(self.read.source))


def _processor(collector: Collector) -> SpanProcessor:
    from opentelemetry.sdk import trace  # noqa: PLC0415 -- whoever has a provider has the SDK

    class Taking(trace.SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            collector.take(span)

    return Taking()


def _values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes whose values can be sent to another process."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in attributes.items()
        if not isinstance(value, int) or -_INT_MAX <= value < _INT_MAX
    }
