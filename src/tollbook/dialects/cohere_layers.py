"""Sections of a request to Cohere's chat.

Tools are written into the system message, and documents follow the conversation ("Prompting
Command R": augmented generation and tool use).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.chat_layers import (
    HISTORY,
    USER_INPUT,
    add_conversation,
    add_messages,
)
from tollbook.dialects.layer_allowance import limited
from tollbook.dialects.openai_layers import add_definitions, add_prompt, add_text
from tollbook.dialects.part_layers import RETRIEVED
from tollbook.dialects.request_layers import Runs, raw_bytes

if TYPE_CHECKING:
    from msgspec import Raw

    from tollbook.dialects.request_layers import Layered

_SCHEMA_SHARE: Final = 90
"""Percent, an assumption: definitions are written anew as signatures."""


@limited
def cohere_layers(messages: Raw, tools: Raw, documents: Raw) -> Layered:
    """Return the sections of a chat of the second version."""
    runs = Runs()
    if tools:
        add_definitions(runs, tools, _SCHEMA_SHARE)
    add_conversation(runs, messages, has_tools=bool(tools))
    add_text(runs, RETRIEVED, documents)
    return runs.done()


@limited
def message_layers(
    message: Raw, history: Raw, preamble: Raw, documents: Raw, tools: Raw
) -> Layered:
    """Return the sections of a chat of the first version, which Bedrock has too."""
    runs = Runs()
    if preamble:
        add_prompt(runs, preamble)
    if tools:
        add_definitions(runs, tools, _SCHEMA_SHARE)
    if raw_bytes(history)[:1] == b"[":
        before = Runs()
        add_messages(before, history)
        # The user's last turn is the message, so all of this is history.
        runs.append(before, instead={USER_INPUT: HISTORY})
    add_text(runs, USER_INPUT, message)
    add_text(runs, RETRIEVED, documents)
    return runs.done()
