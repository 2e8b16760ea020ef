"""The meter of ``converse-stream``, and what it shares with that of ``invoke``.

The events of ``converse-stream`` are content, ``messageStop``, then ``metadata`` with the usage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import short_text, text_chars
from tollbook.dialects.aws_event_stream import EventStreamReader
from tollbook.dialects.base import Metered
from tollbook.dialects.bedrock_plain import error_name, tier_words
from tollbook.dialects.surrogates import without_lone_surrogates
from tollbook.dialects.usage_log import UsageLog

if TYPE_CHECKING:
    from tollbook.dialects.aws_event_stream import AwsEvent


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
