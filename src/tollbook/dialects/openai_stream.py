"""The meter of OpenAI chat and text completion streams."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, short_text, text_chars
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.openai_plain import read_openai_answer
from tollbook.dialects.stream_meter import StreamMeter

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct, gc=False):
    function: _Function | None = None


class _Delta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None  # DeepSeek, vLLM
    reasoning: str | None = None  # OpenRouter, Groq
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(Struct, gc=False):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    usage: Raw = Raw()  # Moonshot


class _GroqExtra(Struct, gc=False):
    usage: Raw = Raw()


class _Chunk(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    choices: list[_Choice] | None = None
    usage: Raw = Raw()
    error: Raw = Raw()
    x_groq: _GroqExtra | None = None


class _LooseChunk(Struct, gc=False):
    """The same without types, for servers that send other ones."""

    id: Any = None
    model: Any = None
    service_tier: Any = None
    choices: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()


_NULL: Final = b"null"
_is_finished = re.compile(rb'"finish_reason"\s*:\s*"').search
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_loose = msgspec.json.Decoder(_LooseChunk).decode


class CompletionStreamMeter(StreamMeter):
    """Reads ``chat.completion.chunk`` and ``text_completion`` events."""

    __slots__ = ("_finished",)

    def __init__(self, *, hides_usage: bool) -> None:
        super().__init__(hides_usage=hides_usage)
        self._finished = False

    @property
    def is_finished(self) -> bool:
        """Whether a choice has given its reason to finish."""
        return self._finished

    def read(self, data: bytes) -> bool:
        """Read one chunk; return whether it carries nothing but usage."""
        try:
            chunk = _decode_chunk(data)
        except msgspec.ValidationError:
            return self._read_loose(_decode_loose(data))
        choices = chunk.choices
        if choices:
            for choice in choices:
                self._read_choice(choice)
        if self.model is None:
            self.model = short_text(chunk.model)
            self.response_id = short_text(chunk.id) or self.response_id
        if chunk.service_tier is not None:
            self.service_tier = short_text(chunk.service_tier)
        if chunk.x_groq is not None:
            self._take_usage(chunk.x_groq.usage, is_final=self._finished)
        return self._take_rest(chunk.usage, chunk.error, has_choices=bool(choices))

    def _read_choice(self, choice: _Choice) -> None:
        chars = len(choice.text) if choice.text else 0
        if choice.delta is not None:
            chars += _delta_chars(choice.delta)
        if chars:
            self.add_content(chars)
        if choice.finish_reason is not None:
            self._finished = True
        if choice.usage:
            self._take_usage(choice.usage, is_final=self._finished)

    def _read_loose(self, chunk: _LooseChunk) -> bool:
        choices = bytes(chunk.choices)
        has_choices = choices not in (b"", _NULL, b"[]")
        if has_choices:
            self.add_content(text_chars(choices))
            self._finished = self._finished or bool(_is_finished(choices))
        if self.model is None:
            self.model = short_text(chunk.model)
            self.response_id = short_text(chunk.id) or self.response_id
        self.service_tier = short_text(chunk.service_tier) or self.service_tier
        return self._take_rest(chunk.usage, chunk.error, has_choices=has_choices)

    def _take_rest(self, usage: Raw, error: Raw, *, has_choices: bool) -> bool:
        if is_given(error):
            self.error_type = error_type_of(error) or "error"
        # Usage that grows with every chunk is final once the choice is, or the stream.
        is_final = not has_choices or self._finished
        return bool(usage) and self._take_usage(usage, is_final=is_final) and not has_choices

    def _take_usage(self, usage: Raw, *, is_final: bool) -> bool:
        raw = bytes(usage)
        if not raw.startswith(b"{"):
            return False
        self.usage.add(raw)
        self.usage_complete = self.usage_complete or is_final
        return True

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is no stream."""
        return read_openai_answer(body)

    def done(self) -> None:
        """Note the end of the stream: what was reported by now is all there is."""
        super().done()
        self.usage_complete = bool(self.usage)


def _delta_chars(delta: _Delta) -> int:
    chars = len(delta.content) if delta.content else 0
    if delta.reasoning_content:
        chars += len(delta.reasoning_content)
    elif delta.reasoning:
        chars += len(delta.reasoning)
    if delta.refusal:
        chars += len(delta.refusal)
    if delta.tool_calls:
        for call in delta.tool_calls:
            if call.function is not None:
                chars += _function_chars(call.function)
    if delta.function_call is not None:
        chars += _function_chars(delta.function_call)
    return chars


def _function_chars(function: _Function) -> int:
    return len(function.name or "") + len(function.arguments or "")
