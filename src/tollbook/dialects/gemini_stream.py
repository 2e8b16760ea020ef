"""The meters of ``streamGenerateContent``: events, or one JSON array."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, short_text, text_chars
from tollbook.dialects.gemini_array import ObjectSplitter
from tollbook.dialects.gemini_errors import google_error
from tollbook.dialects.gemini_grounding import MARK, GroundingCount
from tollbook.dialects.gemini_latest import LatestUsage
from tollbook.dialects.gemini_plain import read_gemini_answer, tier_in
from tollbook.dialects.sse import Fragment
from tollbook.dialects.stream_meter import MAX_EVENT_BYTES, StreamMeter

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered


class _Call(Struct, gc=False):
    name: str | None = None
    args: Raw = Raw()


class _Code(Struct, gc=False):
    code: str | None = None


class _Part(Struct, gc=False):
    text: str | None = None
    functionCall: _Call | None = None  # noqa: N815 -- this and the others: the API's names
    executableCode: _Code | None = None  # noqa: N815
    inlineData: Raw = Raw()  # noqa: N815


class _Content(Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(Struct, gc=False):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815
    index: int | None = None
    groundingMetadata: Raw = Raw()  # noqa: N815


class _Feedback(Struct, gc=False):
    blockReason: str | None = None  # noqa: N815


class _Chunk(Struct, gc=False):
    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815
    usageMetadata: Raw = Raw()  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    error: Raw = Raw()


class _LooseChunk(Struct, gc=False):
    """The same without types, for servers that send other ones."""

    candidates: Raw = Raw()
    usageMetadata: Raw = Raw()  # noqa: N815
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_loose = msgspec.json.Decoder(_LooseChunk).decode
_is_finished = re.compile(rb'"finishReason"\s*:\s*"').search


class GenerateStreamMeter(StreamMeter):
    """Reads ``data: {"candidates": …, "usageMetadata": …}`` chunks."""

    __slots__ = ("_begun", "_finished", "_grounding")
    text_mark = b'"text": "'

    def __init__(self) -> None:
        super().__init__()
        self.usage = LatestUsage(b'"candidatesTokenCount"')
        self._grounding: GroundingCount | None = None
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    @property
    def is_finished(self) -> bool:
        """Whether every candidate that began has given its reason to finish."""
        return bool(self._finished) and self._finished >= self._begun

    def read(self, data: bytes) -> bool:
        """Read one chunk; usage is never alone in one."""
        try:
            chunk = _decode(data)
        except msgspec.ValidationError:
            self._read_loose(_decode_loose(data))
        else:
            for candidate in chunk.candidates or ():
                self._read_candidate(candidate)
            if chunk.promptFeedback is not None and chunk.promptFeedback.blockReason:
                self._finished.add(0)  # nothing will come
            self._take(chunk.usageMetadata, chunk.modelVersion, chunk.responseId, chunk.error)
        if MARK in data:
            self._see_grounding(data)
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_gemini_answer(body)

    def result(self) -> Metered:
        """Return what was seen so far, with how often it was grounded."""
        seen = super().result()
        found = None if self._grounding is None else self._grounding.usage()
        if found is None:
            return seen
        return msgspec.structs.replace(seen, usage=(*seen.usage, found))

    def _read_candidate(self, candidate: _Candidate) -> None:
        index = candidate.index or 0
        chars = 0
        if candidate.content is not None:
            self._begun.add(index)
            for part in candidate.content.parts or ():
                chars += _chars(part)
                self.has_content = self.has_content or bool(part.inlineData)
        self.add_content(chars)
        if candidate.finishReason is not None:
            self._finished.add(index)

    def _read_loose(self, chunk: _LooseChunk) -> None:
        candidates = bytes(chunk.candidates)
        if candidates:
            self.add_content(text_chars(candidates))
            if _is_finished(candidates):
                self._finished.add(0)
        self._take(chunk.usageMetadata, chunk.modelVersion, chunk.responseId, chunk.error)

    def _take(self, usage: Raw, model: object, response_id: object, error: Raw) -> None:
        raw = bytes(usage)
        if raw.startswith(b"{"):
            self.usage.add(raw)
            self.service_tier = tier_in(raw) or self.service_tier
        if model is not None:
            self.model = short_text(model) or self.model
        if response_id is not None:
            self.response_id = short_text(response_id) or self.response_id
        if is_given(error):
            self.error_type = google_error(error) or "error"
        if self.is_finished:
            # Whether more comes is not told; the counts are those of all that was made by now.
            self.stream_ended = True
            self.usage_complete = bool(self.usage)

    def _see_grounding(self, data: bytes) -> None:
        try:
            candidates = bytes(_decode_loose(data).candidates)
        except msgspec.DecodeError:
            return
        if self._grounding is None:
            self._grounding = GroundingCount()
        self._grounding.see(candidates)


class GenerateArrayMeter(GenerateStreamMeter):
    """Reads the same chunks as elements of one JSON array (or standing alone)."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._splitter = ObjectSplitter(MAX_EVENT_BYTES)

    def _read_event(self, event: bytes) -> bool:
        if type(event) is Fragment:
            return False
        try:
            return self.read(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._see_mended(event)


def _chars(part: _Part) -> int:
    chars = len(part.text) if part.text else 0
    if part.functionCall is not None:
        chars += len(part.functionCall.name or "") + len(bytes(part.functionCall.args))
    if part.executableCode is not None:
        chars += len(part.executableCode.code or "")
    return chars
