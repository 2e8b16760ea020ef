"""Pieces of JSON to spans, where they are of a format that tells traces; else to records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.inputs import console_exporter, jaeger, otlp_other, zipkin
from tollbook.audit.inputs.lines import places_of
from tollbook.audit.inputs.otlp_json import (
    LEVELS,
    Context,
    Unreadable,
    context_of,
    span_with_care,
    spans_of,
)
from tollbook.audit.inputs.otlp_variants import as_span, resource_spans
from tollbook.audit.inputs.pieces import LISTS, Damage, Piece, pieces
from tollbook.audit.inputs.registry import Record
from tollbook.audit.inputs.window import Window
from tollbook.audit.read import Batch, Trouble, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.audit.inputs.limits import Limits
    from tollbook.audit.read import InputRead
    from tollbook.capture.otlp.spans import Span

    Item = Batch | Trouble | Record

_NATIVE: Final = (jaeger, zipkin, console_exporter)
_is_otlp: Final = re.compile(rb'\s*\{\s*"resourceSpans"\s*:').match
_has_otlp: Final = re.compile(rb'"(?:resourceSpans|resource_spans|batches)"\s*:\s*\[').search
_is_list: Final = re.compile(
    rb'\s*\{\s*"(?:%b)"\s*:\s*\[\s*\{' % "|".join(sorted(LISTS)).encode()
).match
_JOINED: Final = 500
"""Single spans that are decoded together."""
_JOINED_MAX_BYTES: Final = 512 * 1024
_decode: Final = msgspec.json.Decoder().decode
_BESIDE_MAX: Final = 32


class JsonItems:
    """Reads one input of JSON.

    Args:
        read: what was read; its counters of points and its format are kept here.
        limits: how much is held at once.
        is_record: whether an object as it is is a record of a format that is read so; asked where
            an object holds a list which might be the records.
        is_native: whether formats that tell traces are looked for.
    """

    def __init__(
        self,
        read: InputRead,
        limits: Limits,
        is_record: Callable[[dict[str, Any]], bool],
        *,
        is_native: bool = True,
    ) -> None:
        self._read = read
        self._limits = limits
        self._is_record = is_record
        self._is_native = is_native
        self._opens: dict[str, bool] = {}
        self._messages = 0
        self.formats: dict[str, None] = {}
        """Those that were found here, in their order."""

    def items(self, read: Callable[[], bytes]) -> Iterator[Item]:
        """Yield what a text holds, to its end; never raises on what it holds."""
        waiting: list[Piece] = []
        held_bytes = 0
        for piece in pieces(Window(read), self._limits):
            if waiting and not (
                isinstance(piece, Piece)
                and len(waiting) < _JOINED
                and held_bytes < _JOINED_MAX_BYTES
                and piece.path == waiting[0].path
                and all(a is b for a, b in zip(piece.beside, waiting[0].beside, strict=True))
            ):
                yield from self._joined(waiting)
                waiting, held_bytes = [], 0
            if isinstance(piece, Damage):
                yield self._trouble(piece.words, piece.line, piece.offset)
                continue
            self._read.records += 1
            if not piece.path and _is_otlp(piece.data) and self._is_native:
                yield from self._message(piece)
            elif piece.path and self._is_native and context_of(piece) is not None:
                waiting.append(piece)
                held_bytes += len(piece.data)
            else:
                yield from self._other(piece)
        if waiting:
            yield from self._joined(waiting)

    def _message(self, piece: Piece) -> Iterator[Item]:
        """Yield the spans of a message of OTLP; one by one where they cannot be had together."""
        self._messages += 1
        self._found("otlp-jsonl" if self._messages > 1 else "otlp-json")
        try:
            spans = spans_of(piece.data)
        except Unreadable:
            yield from self._saved(piece)
            return
        # Only the first: it may be all there is, and of a line no more can be lost than the line
        if self._messages == 1 and _has_swallowed(piece.data, spans):
            words = "is not closed where it should be: lists stand within each other"
            yield self._trouble(words, piece.line, piece.offset)
            yield from self._saved(piece)
            return
        yield from self._placed(spans, [piece])

    def _saved(self, piece: Piece, context: Context | None = None) -> Iterator[Item]:
        """Yield what can be read of a piece in which something is broken."""
        levels = LEVELS - (0 if context is None else context.level)
        around = context
        window = _window(piece)
        for one in pieces(window, self._limits, open_levels=levels):
            if isinstance(one, Damage):
                yield self._trouble(one.words, one.line, one.offset)
                continue
            path, beside = (*piece.path, *one.path), (*piece.beside, *one.beside)
            within = one._replace(path=path, beside=beside)
            around = context_of(within)
            if around is not None:
                yield from self._single(within, around)

    def _joined(self, waiting: list[Piece]) -> Iterator[Item]:
        """Yield the spans of pieces that stand side by side."""
        context = context_of(waiting[0])
        assert context is not None
        told = "tempo" if "batches" in waiting[0].path else "otlp-json"
        self._found(told if context.signal == "spans" else f"otlp-{context.signal}")
        if context.signal != "spans":
            for piece in waiting:
                yield from self._signal(context.signal, context.message(piece.data), piece)
            return
        try:
            spans = spans_of(b",".join([piece.data for piece in waiting]), context)
        except Unreadable:
            for piece in waiting:
                if context.level < LEVELS:
                    yield from self._saved(piece, context)
                else:
                    yield from self._single(piece, context)
        else:
            yield from self._placed(spans, waiting)

    def _single(self, piece: Piece, context: Context) -> Iterator[Item]:
        """Yield one span, or why not."""
        if context.signal != "spans":
            yield from self._signal(context.signal, context.message(piece.data), piece)
            return
        try:
            spans = spans_of(piece.data, context)
        except Unreadable as error:
            try:
                spans = span_with_care(piece.data, context)
            except Unreadable:
                words = f"is a span that cannot be read: {error}"
                yield self._trouble(words, piece.line, piece.offset, 1)
                return
        yield self._batch(spans, piece)

    def _signal(self, signal: str, message: bytes, piece: Piece) -> Iterator[Item]:
        try:
            if signal == "logs":
                spans = otlp_other.spans_of_logs(message)
                if spans:
                    where = Where(self._read.source, piece.line, piece.offset)
                    yield Batch(spans, where, has_traces=False)
            else:
                self._read.usage_points += otlp_other.usage_points(message)
        except Unreadable as error:
            yield self._trouble(
                f"is a message of {signal} that cannot be read: {error}", *piece[1:3]
            )

    def _other(self, piece: Piece) -> Iterator[Item]:
        """Yield what a piece is that is not OTLP as the specification has it."""
        try:
            value = _decode(piece.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield from self._broken(piece, error)
            return
        if isinstance(value, dict):
            beside = _decoded(piece.beside[-1]) if piece.beside else {}
            key = piece.path[-1] if piece.path else ""
            yield from self._object(value, piece, key, beside)
        else:
            yield self._trouble("is not an object", piece.line, piece.offset, 1)

    def _broken(self, piece: Piece, error: Exception) -> Iterator[Item]:
        if self._is_native and _has_otlp(piece.data[:4096]):
            yield from self._saved(piece)
            return
        if not piece.path and _is_list(piece.data):
            for one in pieces(_window(piece), self._limits, open_levels=1):
                if isinstance(one, Damage):
                    yield self._trouble(one.words, one.line, one.offset)
                else:
                    yield from self._other(one)
            return
        words = "nested too deeply" if isinstance(error, RecursionError) else "it cannot be parsed"
        yield self._trouble(f"is not JSON: {words}", piece.line, piece.offset, 1)

    def _object(
        self, value: dict[str, Any], piece: Piece, key: str, beside: dict[str, Any]
    ) -> Iterator[Item]:
        found = self._native(value, piece) if self._is_native else None
        if found is not None:
            yield from found
            return
        name = self._list_name(value)
        if not name:
            yield Record(value, piece.line, piece.offset, key, beside)
            return
        around = {other: one for other, one in value.items() if other != name}
        for one in value[name]:
            if isinstance(one, dict):
                yield from self._object(one, piece, name, around)
            elif isinstance(one, list):  # Zipkin lists traces, each a list of spans
                for inner in one:
                    if isinstance(inner, dict):
                        yield from self._object(inner, piece, name, around)
            else:
                yield self._trouble("is not an object", piece.line, piece.offset, 1)

    def _native(self, value: dict[str, Any], piece: Piece) -> Iterator[Item] | None:
        """Return the spans of an object of a format that tells traces, None for any other."""
        for format_ in _NATIVE:
            if format_.takes(value):
                self._found(format_.NAME)
                return iter([self._batch(format_.spans(value), piece)])
        signal = otlp_other.signal_of(value)
        if signal:
            self._found(f"otlp-{signal}")
            return self._signal(signal, piece.data, piece)
        if "spanId" in value and ("startTimeUnixNano" in value or "start_time_unix_nano" in value):
            self._found("otlp-json")
            return self._lone_span(value, piece)
        if resource_spans(value) is None:
            return None
        self._found("tempo" if "batches" in value or "trace" in value else "otlp-json")
        try:
            encoded = msgspec.json.encode(value)
            return self._placed(spans_of(encoded), [piece])
        except Unreadable:
            return self._saved(piece._replace(data=encoded))

    def _lone_span(self, value: dict[str, Any], piece: Piece) -> Iterator[Item]:
        """Yield a span that stands for itself, with its resource and scope within, if any."""
        resource, scope = value.get("resource"), value.get("scope")
        context = Context(
            LEVELS,
            resource=msgspec.json.encode(resource if isinstance(resource, dict) else {}),
            scope=msgspec.json.encode(scope if isinstance(scope, dict) else {}),
        )
        yield from self._single(piece._replace(data=msgspec.json.encode(as_span(value))), context)

    def _list_name(self, value: dict[str, Any]) -> str:
        """Return which member holds the records, nothing where the object is one itself."""
        for name, inner in value.items():
            if name in LISTS and isinstance(inner, list) and len(value) <= _BESIDE_MAX:
                if name not in self._opens:
                    self._opens[name] = not self._is_record(value)
                if self._opens[name]:
                    return name
        return ""

    def _found(self, name: str) -> None:
        if name == "otlp-jsonl":
            self.formats.pop("otlp-json", None)
        self.formats[name] = None

    def _placed(self, spans: list[Span], read: list[Piece]) -> Iterator[Batch]:
        """Yield spans with their lines where they stand on several."""
        first = read[0]
        if len(read) == 1 and b"\n" not in first.data:  # nearly all: a line
            yield self._batch(spans, first)
            return
        places = places_of(read, len(spans))
        if places is None:
            yield Batch(spans, Where(self._read.source, None, first.offset))
            return
        for span, (line, offset) in zip(spans, places, strict=True):
            yield Batch((span,), Where(self._read.source, line, offset))

    def _batch(self, spans: list[Span], piece: Piece) -> Batch:
        return Batch(spans, Where(self._read.source, piece.line, piece.offset))

    def _trouble(self, words: str, line: int, offset: int, records: int | None = None) -> Trouble:
        return Trouble(Where(self._read.source, line, offset), words, records)


def _has_swallowed(data: bytes, spans: list[Span]) -> bool:
    """Whether a message names more spans than it has: some stand where none are looked for."""
    return data.count(b'"spanId"') > len(spans) + sum(len(one.links) for one in spans)


def _window(piece: Piece) -> Window:
    parts = iter([piece.data])
    return Window(lambda: next(parts, b""), line=piece.line, offset=piece.offset)


def _decoded(members: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, raw in members.items():
        try:
            made[name] = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return made
