"""Sections of a request to Ollama's ``/api/generate``; ``/api/chat`` is read like OpenAI's chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.dialects.chat_layers import HISTORY, USER_INPUT, add_turns
from tollbook.dialects.layer_allowance import limited
from tollbook.dialects.layer_shapes import Turn
from tollbook.dialects.layer_weights import PER_TOKEN
from tollbook.dialects.openai_layers import add_prompt, add_text
from tollbook.dialects.request_layers import Runs, raw_bytes

if TYPE_CHECKING:
    from msgspec import Raw

    from tollbook.dialects.request_layers import Layered


@limited
def generate_layers(system: Raw, context: Raw, prompt: Raw, suffix: Raw, images: Raw) -> Layered:
    """Return the sections; ``context`` is the conversation so far, as a list of tokens."""
    runs = Runs()
    if system:
        add_prompt(runs, system)
    tokens = raw_bytes(context)
    if tokens:
        runs.add_weight(HISTORY, PER_TOKEN * (tokens.count(b",") + 1))
    add_turns(runs, [Turn(role="user", content=prompt, images=images)])
    add_text(runs, USER_INPUT, suffix)
    return runs.done()
