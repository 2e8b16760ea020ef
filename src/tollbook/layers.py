"""The layers that a call's tokens are split into, and the sections of a request they consist of.

A request is a sequence of sections, each with a weight (about the bytes of its text). The provider
counts tokens of the whole only, so the weights are scaled to its count. ``CallOpened.layers`` has
them flat: section, weight, section, weight, ..., in the order in which the provider reads them,
since what is read from a cache is always the start of the prompt.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Section(IntEnum):
    """What a piece of a request is; the numbers are stored."""

    SYSTEM = 0  # system and developer messages, instructions, output schemas
    TOOL_DEFINITIONS = 1
    TOOL_RESULTS = 2  # and the calls of tools that they answer
    RETRIEVED = 3  # chunks of documents
    MEMORY = 4
    HISTORY = 5  # earlier turns of both sides
    USER_INPUT = 6  # what the user says now
    OTHER = 7  # what structure cannot tell


LAYERS: Final = ("prompt", "tool", "context", "user", "response", "unsplit")
"""``unsplit`` is what is not known to be of any: no structure, or fees beside the tokens."""

LAYER_OF: Final[dict[Section, str]] = {
    Section.SYSTEM: "prompt",
    Section.TOOL_DEFINITIONS: "tool",
    Section.TOOL_RESULTS: "tool",
    Section.RETRIEVED: "context",
    Section.MEMORY: "context",
    Section.HISTORY: "context",
    Section.USER_INPUT: "user",
    Section.OTHER: "unsplit",
}

LAYER_TOKENS: Final = tuple(f"{layer}_layer_tokens" for layer in LAYERS)
LAYER_COSTS: Final = tuple(f"{layer}_layer_cost_usd" for layer in LAYERS)
