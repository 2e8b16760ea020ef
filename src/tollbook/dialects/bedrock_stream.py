"""The meters of Bedrock's event streams.

``converse-stream`` has one shape: content events, ``messageStop``, then ``metadata`` with the
usage. ``invoke-with-response-stream`` wraps the events of the model's maker: each ``chunk`` holds
one JSON document as base64, the last one with ``amazon-bedrock-invocationMetrics``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.anthropic_stream import MessageStreamMeter
from tollbook.dialects.aws_event_stream import EventStreamReader
from tollbook.dialects.base import Metered
from tollbook.dialects.bedrock_plain import error_name, tier_words
from tollbook.dialects.bedrock_text import text_in
from tollbook.dialects.surrogates import without_lone_surrogates
from tollbook.dialects.usage_log import UsageLog

if TYPE_CHECKING:
    from tollbook.dialects.aws_event_stream import AwsEvent

_METRICS: Final = b'"amazon-bedrock-invocationMetrics"'


class AwsStreamMeter(ABC):
    """Looks on at one event stream; bytes pass unchanged."""

    __slots__ = (
        "_reader",
        "error_type",
        "has_content",
        "model",
        "output_chars",
        "output_events",
        "response_id",
        "service_tier",
        "stream_ended",
        "usage",
        "usage_complete",
    )

    def __init__(self, model: str | None, service_tier: str | None) -> None:
        self._reader = EventStreamReader()
        self.model = model
        self.service_tier = service_tier
        self.usage = UsageLog()
        self.usage_complete = False
        self.response_id: str | None = None
        self.error_type: str | None = None
        self.output_chars = 0
        self.output_events = 0
        self.has_content = False
        self.stream_ended = False

    @abstractmethod
    def read(self, name: str, payload: bytes) -> None:
        """Read one event.

        Raises:
            msgspec.DecodeError: the payload is not what the event has.
        """

    def feed(self, chunk: bytes) -> bytes:
        """Take the next body bytes and return them."""
        for event in self._reader.push(chunk):
            self._see(event)
        return chunk

    def flush(self) -> bytes:
        """Return nothing: nothing is held back, and half a message says nothing."""
        return b""

    def result(self) -> Metered:
        """Return what was seen so far."""
        return Metered(
            usage=self.usage.all(),
            usage_complete=self.usage_complete,
            provider_response_id=self.response_id,
            model_actual=self.model,
            service_tier=self.service_tier,
            error_type=self.error_type,
            output_chars=self.output_chars,
            output_events=self.output_events,
            stream_ended=self.stream_ended,
        )

    def add_content(self, chars: int) -> None:
        """Count one event that carries generated output."""
        if chars:
            self.output_chars += chars
            self.output_events += 1
            self.has_content = True

    def _see(self, event: AwsEvent) -> None:
        if event.kind != "event":
            # An exception is the last message of its stream.
            self.error_type = error_name(event.name) or "error"
            self.stream_ended = True
            return
        try:
            self.read(event.name, event.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            mended = without_lone_surrogates(event.payload)
            if mended is not None:
                self._see(event._replace(payload=mended))


class _Reasoning(Struct, gc=False):
    text: str | None = None


class _ToolInput(Struct, gc=False):
    input: str | None = None
    name: str | None = None


class _Delta(Struct, gc=False):
    text: str | None = None
    toolUse: _ToolInput | None = None  # noqa: N815 -- the provider's name, like those below
    reasoningContent: _Reasoning | None = None  # noqa: N815


class _Content(Struct, gc=False):
    delta: _Delta | None = None
    start: _Delta | None = None


class _Typed(Struct, gc=False):
    type: Any = None


class _Latency(Struct, gc=False):
    latency: Any = None


class _Router(Struct, gc=False):
    invokedModelId: Any = None  # noqa: N815


class _Trace(Struct, gc=False):
    promptRouter: _Router | None = None  # noqa: N815


class _Metadata(Struct, gc=False):
    usage: Raw = Raw()
    serviceTier: _Typed | None = None  # noqa: N815
    performanceConfig: _Latency | None = None  # noqa: N815
    trace: _Trace | None = None


_decode_content = msgspec.json.Decoder(_Content).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode


class ConverseStreamMeter(AwsStreamMeter):
    """Reads ``converse-stream``."""

    __slots__ = ()

    def read(self, name: str, payload: bytes) -> None:
        """Read one event; those that carry nothing are passed by."""
        if name in {"contentBlockDelta", "contentBlockStart"}:
            try:
                content = _decode_content(payload)
            except msgspec.ValidationError:
                self.add_content(text_chars(payload))
                return
            self.add_content(_chars(content.delta) + _chars(content.start))
        elif name == "metadata":
            self._take(_decode_metadata(payload))

    def _take(self, metadata: _Metadata) -> None:
        usage = bytes(metadata.usage)
        if usage.startswith(b"{"):
            self.usage.add(usage)
            self.usage_complete = True
        tier = metadata.serviceTier.type if metadata.serviceTier else None
        latency = metadata.performanceConfig.latency if metadata.performanceConfig else None
        self.service_tier = tier_words(tier, latency) or self.service_tier
        if metadata.trace is not None and metadata.trace.promptRouter is not None:
            self.model = short_text(metadata.trace.promptRouter.invokedModelId) or self.model
        self.stream_ended = True


def _chars(delta: _Delta | None) -> int:
    if delta is None:
        return 0
    if delta.text:
        return len(delta.text)
    if delta.toolUse is not None:
        return len(delta.toolUse.input or delta.toolUse.name or "")
    return len(delta.reasoningContent.text or "") if delta.reasoningContent else 0


class _Chunk(Struct, gc=False):
    bytes: str | None = None


class _Usage(Struct, gc=False):
    usage: Raw = Raw()


class _Document(Struct, gc=False):
    """What any model family's event may hold beside its text."""

    type: str | None = None  # Anthropic alone names its events so
    model: Any = None
    usage: Raw = Raw()
    metadata: _Usage | None = None  # Nova
    inputTextTokenCount: Any = None  # noqa: N815 -- Titan
    totalOutputTextTokenCount: Any = None  # noqa: N815
    prompt_token_count: Any = None  # Llama
    generation_token_count: Any = None
    metrics: Raw = msgspec.field(name="amazon-bedrock-invocationMetrics", default=Raw())


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_document = msgspec.json.Decoder(_Document).decode
_encode = msgspec.json.Encoder().encode
_COUNTS: Final = (
    "inputTextTokenCount",
    "totalOutputTextTokenCount",
    "prompt_token_count",
    "generation_token_count",
)


class BedrockStreamMeter(ConverseStreamMeter):
    """Reads either stream, told by their events; Anthropic's go to the meter of that API."""

    __slots__ = ("_names_model", "_of_anthropic")

    def __init__(self, model: str | None, service_tier: str | None) -> None:
        super().__init__(model, service_tier)
        self._of_anthropic: MessageStreamMeter | None = None
        self._names_model = model is None

    def read(self, name: str, payload: bytes) -> None:
        """Read one event: a chunk of invoke, or any of converse."""
        if name != "chunk":
            super().read(name, payload)
            return
        wrapped = _decode_chunk(payload).bytes
        if not wrapped:
            return
        try:
            document = a2b_base64(wrapped)
        except (Base64Error, ValueError):
            return
        if self._of_anthropic is not None:
            self._read_anthropic(self._of_anthropic, document)
            if _METRICS not in document:
                return
        seen = _decode_document(document)
        if self._of_anthropic is None:
            if seen.type == "message_start":
                self._of_anthropic = MessageStreamMeter()
                self._read_anthropic(self._of_anthropic, document)
            else:
                self._read_other(seen, document)
        metrics = bytes(seen.metrics)
        if metrics.startswith(b"{"):
            # The provider's own last word, whatever the family.
            self.usage.add(metrics)
            self.usage_complete = True
            self.stream_ended = True

    def _read_anthropic(self, meter: MessageStreamMeter, document: bytes) -> None:
        before = len(meter.usage.all())
        meter.read(document)
        for raw in meter.usage.all()[before:]:
            self.usage.add(raw)
        self.output_chars, self.output_events = meter.output_chars, meter.output_events
        self.has_content = meter.has_content
        self.response_id = meter.response_id
        self.usage_complete = self.usage_complete or meter.usage_complete
        self.stream_ended = self.stream_ended or meter.stream_ended
        self.error_type = meter.error_type or self.error_type
        self.service_tier = self.service_tier or meter.service_tier
        if self._names_model:
            self.model = meter.model

    def _read_other(self, seen: _Document, document: bytes) -> None:
        self.add_content(text_chars(document) or text_in(document))
        usage = bytes(seen.usage)
        if not usage and seen.metadata is not None:
            usage = bytes(seen.metadata.usage)
        if usage.startswith(b"{"):
            self.usage.add(usage)
            self.usage_complete = True
        counts = {name: getattr(seen, name) for name in _COUNTS}
        counts = {name: count for name, count in counts.items() if type(count) is int}
        if counts:
            self.usage.add(_encode(counts))
        if self._names_model:
            self.model = short_text(seen.model) or self.model
