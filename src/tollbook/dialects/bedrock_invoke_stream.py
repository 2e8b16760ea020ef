"""The meter of ``invoke-with-response-stream``.

The stream wraps the events of the model's maker: each ``chunk`` holds one JSON document as base64,
the last one with ``amazon-bedrock-invocationMetrics``.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.anthropic_stream import MessageStreamMeter
from tollbook.dialects.bedrock_stream import ConverseStreamMeter
from tollbook.dialects.bedrock_text import text_in

_METRICS: Final = b'"amazon-bedrock-invocationMetrics"'


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
