"""Sections of a request to Bedrock: of ``converse``, and of ``invoke`` as the makers have it.

Tools, system, messages: the order in which ``converse`` makes its cache prefix ("Prompt caching for
faster model inference").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.anthropic_layers import TOOL_PROMPT
from tollbook.dialects.chat_layers import DEFINITIONS, add_messages
from tollbook.dialects.layer_allowance import limited
from tollbook.dialects.openai_layers import add_definitions, add_prompt
from tollbook.dialects.request_layers import Runs, raw_bytes

if TYPE_CHECKING:
    from msgspec import Raw

    from tollbook.dialects.request_layers import Layered

_SCHEMA_SHARE: Final = 90
"""Percent, an assumption: the frames of ``toolSpec`` and ``inputSchema`` are not read."""


@limited
def conversation_layers(messages: Raw, system: Raw, tools: Raw, *, is_anthropic: bool) -> Layered:
    """Return the sections of ``converse``, or of ``invoke`` where the body has messages."""
    runs = Runs()
    if tools and raw_bytes(tools):
        if is_anthropic:
            runs.add_weight(DEFINITIONS, TOOL_PROMPT)
        add_definitions(runs, tools, _SCHEMA_SHARE)
    if system:
        add_prompt(runs, system)
    add_messages(runs, messages)
    return runs.done()
