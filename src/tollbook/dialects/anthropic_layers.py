"""Sections of a request to the Anthropic API.

Its prompt is tools, system, messages, in that order ("Prompt caching", how the cache prefix is
made). A request with tools gets a system prompt of the provider's for them: 346 tokens for the
models since Claude 4 ("Tool use", pricing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.chat_layers import DEFINITIONS, PROMPT, add_conversation
from tollbook.dialects.layer_allowance import limited
from tollbook.dialects.layer_weights import PER_TOKEN
from tollbook.dialects.openai_layers import add_definitions, add_prompt
from tollbook.dialects.plain_chat import plain_sections, prompt_of
from tollbook.dialects.request_layers import Layered, Runs, raw_bytes

if TYPE_CHECKING:
    from msgspec import Raw

TOOL_PROMPT: Final = 270 * PER_TOKEN
"""346 of its tokens; they are shorter than those that the weights were fitted to."""
_SCHEMA_SHARE: Final = 100
"""Percent; the definitions are read about as they are sent."""


@limited
def anthropic_layers(messages: bytes | Raw, system: Raw, tools: bytes | Raw) -> Layered:
    """Return the sections of a Messages request."""
    text = raw_bytes(system)
    if not tools and text[:1] != b"[":
        plain = plain_sections(bytes(messages))
        if plain is not None and not plain[2]:
            if not text:
                return Layered(plain[0])
            prompt = prompt_of(text)
            layers = (PROMPT, prompt.weight, *plain[0])
            return Layered(layers, prompt.fingerprint, prompt.size_bytes)
    runs = Runs()
    if tools and raw_bytes(tools):
        runs.add_weight(DEFINITIONS, TOOL_PROMPT)
        add_definitions(runs, tools, _SCHEMA_SHARE)
    if system:
        add_prompt(runs, system)
    add_conversation(runs, messages, has_tools=bool(tools))
    return runs.done()
