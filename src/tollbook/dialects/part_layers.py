"""Sections of the parts of a message: text is whose the message is, the rest says what it is."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from tollbook.dialects.layer_media import (
    IMAGE,
    data_weight,
    document_weight,
    image_weight,
    sound_weight,
    video_weight,
)
from tollbook.dialects.layer_shapes import (
    MARKED_MEMORY,
    MARKED_RETRIEVED,
    Part,
    ToolCall,
    decode_calls,
    decode_list,
    decode_part,
    decode_parts,
)
from tollbook.dialects.layer_weights import PER_TOKEN
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_layers import Runs, raw_bytes
from tollbook.layers import Section

# Members of an enum are looked up ten times as slowly as a module's names.
RESULTS: Final = int(Section.TOOL_RESULTS)
RETRIEVED: Final = int(Section.RETRIEVED)
MEMORY: Final = int(Section.MEMORY)
CALL: Final = 6 * PER_TOKEN
"""What frames one call of a tool, or its result."""
LIST: Final = 91  # "["
_NESTED_MAX: Final = 4
_BY_TYPE: Final = {
    "document": RETRIEVED,  # Anthropic, Cohere
    "search_result": RETRIEVED,  # Anthropic
    MARKED_RETRIEVED: RETRIEVED,
    MARKED_MEMORY: MEMORY,
}
_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
_SOUNDS: Final = frozenset({"input_audio", "audio"})
_FILES: Final = frozenset({"file", "input_file", "container_upload"})


def read_parts(content: bytes) -> list[Part]:
    """Return the parts of a content; those of no known shape as text."""
    try:
        return decode_parts(content)
    except DECODE_ERRORS:
        pass
    try:
        found = decode_list(content)
    except DECODE_ERRORS:
        return [Part(text=Raw(content))]
    return [_read_part(each) for each in found]


def _read_part(raw: Raw) -> Part:
    try:
        return decode_part(raw)
    except DECODE_ERRORS:
        return Part(text=raw)


def add_calls(runs: Runs, tool_calls: Raw) -> None:
    """Add the calls of tools that a message of the assistant makes (OpenAI, Cohere, Ollama)."""
    try:
        calls = decode_calls(tool_calls)
    except DECODE_ERRORS:
        text = raw_bytes(tool_calls)
        if text:
            runs.add(RESULTS, text)
        return
    for call in calls:
        function = call.function
        runs.add(RESULTS, function.name, CALL)
        if function.arguments:
            runs.add(RESULTS, function.arguments)
        if not function.name or function.input:
            _add_rare_call(runs, call)


def _add_rare_call(runs: Runs, call: ToolCall) -> None:
    """Add a call that names no function, or one of another API."""
    called = (call.function.input, call.custom.name, call.custom.arguments, call.custom.input)
    for raw in (*called, call.name, call.parameters):
        if raw:
            runs.add(RESULTS, raw)


def add_parts(runs: Runs, section: int, content: bytes, depth: int = 0) -> None:
    """Add the parts of one message, whose text is of ``section``."""
    for part in read_parts(content):
        kind = part.type
        if part.text and kind in _TEXTS:
            runs.add(section, part.text)
        elif kind == "tool_use":
            runs.add(RESULTS, part.name, CALL)
            runs.add(RESULTS, part.input)
        elif kind == "tool_result" and bytes(part.content)[:1] == b'"':
            runs.add(RESULTS, part.content, CALL)
        elif kind:
            _add_typed(runs, section, part, depth)
        else:
            _add_keyed(runs, section, part, depth)


_TEXTS: Final = frozenset({"text", "input_text", "output_text", "", "summary_text"})


def add_content(runs: Runs, section: int, raw: Raw, depth: int = 0) -> None:
    """Add a text, or a list of parts."""
    content = raw_bytes(raw)
    if content[:1] == b"[" and depth < _NESTED_MAX:
        add_parts(runs, section, content, depth + 1)
    elif content:
        runs.add(section, content)


def _add_typed(runs: Runs, section: int, part: Part, depth: int) -> None:
    """Add a part of OpenAI's, Anthropic's or Cohere's API."""
    kind = part.type
    media = _media_weight(kind, part)
    if media:
        runs.add_weight(section, media)
        return
    is_tool = kind.endswith(("tool_use", "tool_result"))
    section = _BY_TYPE.get(kind, RESULTS if is_tool else section)
    texts: tuple[Raw, ...] = (
        part.title, part.context, part.text, part.refusal, part.thinking, part.document,
    )  # fmt: skip
    if is_tool:
        runs.add_weight(section, CALL)
        texts = (part.name, part.input, part.arguments, part.text)
    for raw in texts:
        if raw:
            runs.add(section, bytes(raw))
    if part.content:
        add_content(runs, section, part.content, depth)
    if part.source:
        source = bytes(part.source)
        if kind == "document":
            runs.add_weight(section, document_weight(source))
        else:
            runs.add(section, source)


def _media_weight(kind: str, part: Part) -> int:
    """Return the weight of a picture, a recording or a file; 0 for what is none."""
    if kind in _IMAGES:
        shown = part.detail or part.image_url or part.source
        return image_weight(bytes(shown))
    if kind in _SOUNDS:
        return sound_weight(bytes(part.input_audio))
    if kind in _FILES:
        return document_weight(bytes(part.file or part.file_data))
    return 0


def _add_keyed(runs: Runs, section: int, part: Part, depth: int) -> None:
    """Add a part of Gemini's or Bedrock's API, which is named by its only member."""
    for raw in (part.text, part.reasoningContent, part.guardContent):
        if raw:
            runs.add(section, bytes(raw))
    for raw in (
        part.toolUse, part.functionCall, part.function_call, part.functionResponse,
        part.function_response, part.executableCode, part.codeExecutionResult,
    ):  # fmt: skip
        if raw:
            runs.add(RESULTS, bytes(raw), CALL)
    if part.toolResult:
        _add_tool_result(runs, part.toolResult, depth)
    if part.searchResult:
        runs.add(RETRIEVED, bytes(part.searchResult))
    for raw, where, weight_of in (
        (part.document, RETRIEVED, document_weight),
        (part.image, section, _picture),
        (part.video, section, video_weight),
        (part.audio, section, sound_weight),
        (part.inlineData or part.inline_data, section, data_weight),
        (part.fileData or part.file_data, RETRIEVED, data_weight),
    ):
        if raw:
            runs.add_weight(where, weight_of(bytes(raw)))


def _picture(raw: bytes) -> int:
    del raw
    return IMAGE


def _add_tool_result(runs: Runs, raw: Raw, depth: int) -> None:
    """Add a Bedrock ``toolResult``, whose content is a list of parts."""
    try:
        part = decode_part(raw)
    except DECODE_ERRORS:
        runs.add(RESULTS, bytes(raw))
        return
    runs.add_weight(RESULTS, CALL)
    add_content(runs, RESULTS, part.content, depth)
