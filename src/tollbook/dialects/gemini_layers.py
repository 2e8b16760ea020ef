"""Sections of a request to the Gemini API.

Taken in the order system instruction, tools, contents; Google does not document the order, and
says only that what is common comes first ("Context caching"). A cached content that a request
names is at the start of its prompt and cannot be seen: nothing is said of such a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw

from tollbook.dialects.chat_layers import PROMPT, USER_INPUT, add_messages
from tollbook.dialects.layer_allowance import limited
from tollbook.dialects.layer_shapes import Turn, decode_turn
from tollbook.dialects.layer_weights import MESSAGE
from tollbook.dialects.openai_layers import add_definitions, add_text
from tollbook.dialects.part_layers import LIST, add_content
from tollbook.dialects.request_body import DECODE_ERRORS
from tollbook.dialects.request_layers import Runs, raw_bytes

if TYPE_CHECKING:
    from tollbook.dialects.request_layers import Layered

_SCHEMA_SHARE: Final = 73
"""Percent of the tokens of their JSON text that definitions of functions have, in a recording."""
_SCHEMAS: Final = (b'"responseSchema"', b'"response_schema"', b'"responseJsonSchema"')


@limited
def gemini_layers(contents: Raw, system: Raw, tools: Raw, config: Raw) -> Layered:
    """Return the sections of a request that generates; ``config`` may hold an output schema."""
    runs = Runs()
    if system:
        _add_system(runs, system)
    if tools:
        add_definitions(runs, tools, _SCHEMA_SHARE)
    if config:
        _add_schema(runs, bytes(config))
    _add_contents(runs, contents)
    return runs.done()


@limited
def interaction_layers(given: Raw, system: Raw, tools: Raw) -> Layered:
    """Return the sections of an interaction: its input is a text, parts, or turns."""
    runs = Runs()
    if system:
        _add_system(runs, system)
    if tools:
        add_definitions(runs, tools, _SCHEMA_SHARE)
    text = raw_bytes(given)
    if text[:1] == b"[" and b'"role"' not in text:
        add_content(runs, USER_INPUT, given)
    else:
        _add_contents(runs, given)
    return runs.done()


def _add_contents(runs: Runs, contents: Raw) -> None:
    text = raw_bytes(contents)
    if not text:
        return
    if text[0] == LIST:
        add_messages(runs, contents)
    elif text[:1] == b"{":
        add_messages(runs, Raw(b"[" + text + b"]"))
    else:
        add_text(runs, USER_INPUT, contents)


def _add_system(runs: Runs, system: Raw) -> None:
    """Add a system instruction: a content with parts, or (interactions) a text."""
    text = raw_bytes(system)
    if not text:
        return
    try:
        turn = decode_turn(text) if text[:1] == b"{" else Turn(content=system)
    except DECODE_ERRORS:
        turn = Turn(content=system)
    add_content(runs, PROMPT, turn.parts or turn.content)
    runs.frame(PROMPT, MESSAGE)
    runs.prefix.append(text)


def _add_schema(runs: Runs, config: bytes) -> None:
    if any(name in config for name in _SCHEMAS):
        runs.add_share(PROMPT, config, _SCHEMA_SHARE)
