"""Gemini's Interactions API: its answers, its streams, its usage under other names.

Shapes as in https://ai.google.dev/api/interactions-api. An interaction that runs in the background
is answered before it has usage; the later ``GET`` shows it to whoever asks, as often as they ask.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, json_text, short_text, text_chars
from tollbook.dialects.base import Metered
from tollbook.dialects.counts import Count
from tollbook.dialects.gemini_errors import google_error
from tollbook.dialects.gemini_grounding import Grounding
from tollbook.dialects.gemini_latest import LatestUsage
from tollbook.dialects.gemini_modalities import ModalityCount
from tollbook.dialects.stream_meter import StreamMeter
from tollbook.dialects.surrogates import without_lone_surrogates


class _ToolCount(Struct, gc=False):
    type: str | None = None
    count: Count | None = None


class InteractionUsage(Struct, gc=False):
    """The ``usage`` of an interaction."""

    total_input_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens_by_modality: list[ModalityCount] | None = None
    output_tokens_by_modality: list[ModalityCount] | None = None
    cached_tokens_by_modality: list[ModalityCount] | None = None
    tool_use_tokens_by_modality: list[ModalityCount] | None = None
    grounding_tool_count: list[_ToolCount] | None = None


_GROUNDINGS: Final = {
    "google_search": "webSearchQueries",
    "google_maps": "maps",
    "retrieval": "retrievals",
}


def as_generate_usage(usage: InteractionUsage) -> dict[str, Any]:
    """Return the same counts under the names of ``usageMetadata``."""
    grounding: dict[str, int] = {}
    for each in usage.grounding_tool_count or ():
        name = _GROUNDINGS.get(each.type or "")
        if name is not None:
            grounding[name] = grounding.get(name, 0) + (each.count or 0)
    return {
        "promptTokenCount": usage.total_input_tokens,
        "candidatesTokenCount": usage.total_output_tokens,
        "thoughtsTokenCount": usage.total_thought_tokens,
        "toolUsePromptTokenCount": usage.total_tool_use_tokens,
        "cachedContentTokenCount": usage.total_cached_tokens,
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": usage.input_tokens_by_modality,
        "candidatesTokensDetails": usage.output_tokens_by_modality,
        "cacheTokensDetails": usage.cached_tokens_by_modality,
        "toolUsePromptTokensDetails": usage.tool_use_tokens_by_modality,
        "grounding": Grounding(**grounding) if grounding else None,
    }


class _Interaction(Struct, gc=False):
    id: Any = None
    model: Any = None
    agent: Any = None
    service_tier: Any = None
    usage: Raw = Raw()
    error: Raw = Raw()


class _Metadata(Struct, gc=False):
    total_usage: Raw = Raw()
    usage: Raw = Raw()


class _Event(Struct, gc=False):
    event_type: str | None = None
    interaction: Raw = Raw()
    delta: Raw = Raw()
    metadata: _Metadata | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Interaction).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_ENDS: Final = frozenset({"interaction.completed", "interaction.complete"})


def read_interaction(body: bytes) -> Metered:
    """Return what an answer says. Never raises."""
    body = json_text(body)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = without_lone_surrogates(body)
        return (
            Metered(output_chars=text_chars(body)) if mended is None else read_interaction(mended)
        )
    usage = bytes(read.usage)
    has_usage = usage.startswith(b"{")
    error_type = (google_error(read.error) or "error") if is_given(read.error) else None
    return Metered(
        usage=(usage,) if has_usage else (),
        usage_complete=has_usage,
        provider_response_id=short_text(read.id),
        model_actual=short_text(read.model) or short_text(read.agent),
        service_tier=short_text(read.service_tier),
        error_type=error_type,
        output_chars=0 if has_usage or error_type else text_chars(body),
    )


class InteractionStreamMeter(StreamMeter):
    """Reads the events of a streamed interaction; the counts are of all so far."""

    __slots__ = ()
    text_mark = b'"text":"'

    def __init__(self) -> None:
        super().__init__()
        self.usage = LatestUsage(b'"total_output_tokens"')

    def read(self, data: bytes) -> bool:
        """Read one event; usage is never alone in one."""
        event = _decode_event(data)
        if is_given(event.interaction):
            seen = read_interaction(bytes(event.interaction))
            self.take(msgspec.structs.replace(seen, usage_complete=False))
        if is_given(event.error):
            self.error_type = google_error(event.error) or "error"
        found = [event.usage]
        if event.metadata is not None:
            found += (event.metadata.usage, event.metadata.total_usage)
        for usage in found:
            raw = bytes(usage)
            if raw.startswith(b"{"):
                self.usage.add(raw)
        if event.event_type in _ENDS:
            self.stream_ended = True
            self.usage_complete = bool(self.usage)
        elif event.event_type == "step.delta" and event.delta:
            self.add_content(text_chars(bytes(event.delta)))
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_interaction(body)
