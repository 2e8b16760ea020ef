"""Ollama answers, plain and line by line, and their counts as disjoint kinds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import is_given, json_text, short_text, text_chars
from tollbook.dialects.base import Metered
from tollbook.dialects.counts import Count, Reading, decode_loosely, merge
from tollbook.dialects.errors import error_type_of
from tollbook.dialects.ndjson import LineMeter
from tollbook.dialects.surrogates import without_lone_surrogates
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: Raw = Raw()


class _ToolCall(Struct, gc=False):
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Line(Struct, gc=False):
    model: str | None = None
    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Raw = Raw()
    eval_count: Raw = Raw()
    error: Raw = Raw()


class _LooseLine(Struct, gc=False):
    """The same without types, for servers that send other ones."""

    model: Any = None
    message: Raw = Raw()
    response: Raw = Raw()
    done: Any = None
    prompt_eval_count: Raw = Raw()
    eval_count: Raw = Raw()
    error: Raw = Raw()


class _Usage(Struct, gc=False):
    prompt_eval_count: Count | None = None
    eval_count: Count | None = None


_decode = msgspec.json.Decoder(_Line).decode
_decode_loose = msgspec.json.Decoder(_LooseLine).decode
_decode_usage = msgspec.json.Decoder(_Usage).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_response_text = re.compile(rb'"response"\s*:\s*"((?:[^"\\]|\\.)*)').search


def read_ollama_usage(objects: Sequence[bytes]) -> Reading:
    """Return the kinds of one response's counts, and what was contradictory in them."""
    usage: _Usage | None = None
    problems: tuple[str, ...] = ()
    for raw in objects:
        try:
            read: _Usage | None = _decode_usage(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            read, more = decode_loosely(raw, _Usage)
            problems += more
        if read is not None:
            usage = read if usage is None else merge(usage, read, zero_erases=False)
    if usage is None or (usage.prompt_eval_count is None and usage.eval_count is None):
        return Reading(None, problems)
    counts = (("input", usage.prompt_eval_count), ("output", usage.eval_count))
    kinds = Kinds(usage.prompt_eval_count or 0, visible_output_tokens=usage.eval_count or 0)
    return Reading(kinds, problems, tuple([side for side, n in counts if n is None]))


def read_ollama_answer(body: bytes) -> Metered:
    """Return what an answer says: counts, model, or the error it is. Never raises."""
    body = json_text(body)
    try:
        read = _decode_loose(body)
    except _BROKEN:
        mended = without_lone_surrogates(body)
        if mended is not None:
            return read_ollama_answer(mended)
        return Metered(output_chars=_text_chars(body))
    if is_given(read.error):
        return Metered(error_type=error_type_of(read.error) or "error")
    usage = _counts(read.prompt_eval_count, read.eval_count)
    return Metered(
        usage=() if usage is None else (usage,),
        usage_complete=usage is not None,
        model_actual=short_text(read.model),
        output_chars=0 if read.eval_count else _text_chars(body),
        stream_ended=read.done is True,
    )


def _counts(prompt: Raw, output: Raw) -> bytes | None:
    """Return the two counts as an object of their own, the numbers byte for byte.

    The API has them among the members of the answer itself, beside the text.
    """
    pairs = (b"prompt_eval_count", bytes(prompt)), (b"eval_count", bytes(output))
    given = [b'"%b":%b' % pair for pair in pairs if pair[1]]
    return b"{%b}" % b",".join(given) if given else None


def _text_chars(body: bytes) -> int:
    found = _response_text(body)
    return text_chars(body) + (len(found[1]) if found else 0)


class OllamaStreamMeter(LineMeter):
    """Reads the lines of chat and generate; the last one has the counts."""

    __slots__ = ()

    def read(self, data: bytes) -> bool:
        """Read one line; usage is never alone in one."""
        try:
            line = _decode(data)
        except msgspec.ValidationError:
            self._read_loose(data)
            return False
        chars = len(line.response or "") + len(line.thinking or "")
        if line.message is not None:
            chars += len(line.message.content or "") + len(line.message.thinking or "")
            for call in line.message.tool_calls or ():
                if call.function is not None:
                    chars += len(call.function.name or "") + len(bytes(call.function.arguments))
        self.add_content(chars)
        if self.model is None:
            self.model = short_text(line.model)
        if is_given(line.error):
            self.error_type = error_type_of(line.error) or "error"
        self._take_counts(_counts(line.prompt_eval_count, line.eval_count), line.done is True)
        return False

    def read_document(self, body: bytes) -> Metered:
        """Read an answer that is one document."""
        return read_ollama_answer(body)

    def _read_loose(self, data: bytes) -> None:
        seen = read_ollama_answer(data)
        self.model = self.model or seen.model_actual
        self.error_type = seen.error_type or self.error_type
        self.add_content(seen.output_chars)
        self._take_counts(seen.usage[0] if seen.usage else None, seen.stream_ended)

    def _take_counts(self, counts: bytes | None, is_done: bool) -> None:  # noqa: FBT001 -- private
        if counts is not None:
            self.usage.add(counts)
        if is_done:
            self.stream_ended = True
            self.usage_complete = bool(self.usage)
