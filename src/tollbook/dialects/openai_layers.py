"""Sections of a request to the OpenAI API.

The provider puts output schemas and tools before the instructions, and these before the messages
("Prompt caching" guide: schemas are a prefix to the system message, tools and messages follow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.chat_layers import (
    DEFINITIONS,
    PROMPT,
    USER_INPUT,
    add_conversation,
    add_messages,
)
from tollbook.dialects.layer_allowance import limited
from tollbook.dialects.layer_weights import MESSAGE, PER_TOKEN
from tollbook.dialects.part_layers import RETRIEVED, add_content
from tollbook.dialects.plain_chat import plain_sections
from tollbook.dialects.request_layers import Layered, Runs, raw_bytes

if TYPE_CHECKING:
    from msgspec import Raw

_TOOLS: Final = 16 * PER_TOKEN
"""The frame of the namespace in which the provider writes definitions of tools."""
_TOOL_PERCENT: Final = 60
"""Weight of a hundred bytes of their JSON text. They are written anew as signatures, without most
of the quotes and braces, which leaves the names and descriptions: bytes tell their size better than
classes of bytes, to within 4 % (median) of what is written."""


def add_definitions(runs: Runs, raw: bytes | Raw, percent: int | None = None) -> None:
    """Add definitions of tools, which stand at the start of every such request.

    Args:
        runs: what they are added to.
        raw: a JSON list, or what is as good as missing.
        percent: of the tokens of their JSON text that the provider makes of them; None is as
            OpenAI does it.
    """
    text = raw_bytes(raw)
    if not text:
        return
    if percent is None:
        runs.add_weight(DEFINITIONS, _TOOLS + len(text) * _TOOL_PERCENT // 100)
    else:
        runs.add_share(DEFINITIONS, text, percent)
    runs.prefix.append(text)


def add_prompt(runs: Runs, raw: Raw) -> None:
    """Add instructions, which stand at the start of every such request."""
    text = raw_bytes(raw)
    if text:
        add_content(runs, PROMPT, raw)
        runs.frame(PROMPT, MESSAGE)
        runs.prefix.append(text)


_SCHEMA_PERCENT: Final = 100
"""An output schema is written as JSON (as observed with ``response_format``)."""


def add_schema(runs: Runs, raw: Raw) -> None:
    """Add an output schema, where there is one (``response_format``, ``text.format``)."""
    text = raw_bytes(raw)
    if b'"schema"' in text:
        runs.add_share(PROMPT, text, _SCHEMA_PERCENT)
        runs.prefix.append(text)


@limited
def chat_layers(
    messages: bytes | Raw, tools: bytes | Raw, functions: Raw, response_format: Raw
) -> Layered:
    """Return the sections of a chat request."""
    if not (tools or functions or response_format):
        plain = plain_sections(bytes(messages))
        if plain is not None:
            layers, prompt, _ = plain
            return Layered(layers, prompt.fingerprint, prompt.size_bytes)
    runs = Runs()
    if response_format:
        add_schema(runs, response_format)
    if tools:
        add_definitions(runs, tools)
    if functions:
        add_definitions(runs, functions)
    add_conversation(runs, messages, has_tools=True)
    return runs.done()


@limited
def responses_layers(
    given: bytes | Raw, instructions: Raw, tools: bytes | Raw, text: Raw
) -> Layered:
    """Return the sections of a Responses request that has all of its input with it."""
    runs = Runs()
    if text:
        add_schema(runs, text)
    if tools:
        add_definitions(runs, tools)
    if instructions:
        add_prompt(runs, instructions)
    if raw_bytes(given)[:1] == b"[":
        add_messages(runs, given)
    else:
        add_text(runs, USER_INPUT, given)
    return runs.done()


@limited
def plain_layers(*texts: bytes | Raw, prompt: Raw | None = None) -> Layered:
    """Return the sections of a completion or of embeddings: what the user gives."""
    runs = Runs()
    if prompt:
        add_prompt(runs, prompt)
    for raw in texts:
        add_text(runs, USER_INPUT, raw)
    return runs.done()


@limited
def rerank_layers(query: Raw, documents: Raw) -> Layered:
    """Return the sections of a ranking: what is searched for, and what was found."""
    runs = Runs()
    add_text(runs, USER_INPUT, query)
    add_text(runs, RETRIEVED, documents)
    return runs.done()


def add_text(runs: Runs, section: int, raw: bytes | Raw) -> None:
    """Add a JSON value as it is."""
    text = raw_bytes(raw)
    if text:
        runs.add(section, text)
