"""The members of messages and of their parts, in all APIs, that hold text which a model reads.

The APIs name the same things differently but do not contradict each other, so one shape reads all
of them: OpenAI (chat and Responses), Anthropic, Gemini, Bedrock, Cohere and Ollama.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Raw, Struct


class Kind(IntEnum):
    """What a message is."""

    SYSTEM = 0
    USER = 1
    ASSISTANT = 2
    CALLS = 3  # of the assistant, and the turn goes on: it calls a tool
    TOOL = 4  # what a tool answered, or an item that says it was called
    RETRIEVED = 5
    MEMORY = 6
    OTHER = 7


class Turn(Struct, gc=False):
    """One message, or one item of a Responses input."""

    role: str = ""
    type: str = ""
    content: Raw = Raw()
    parts: Raw = Raw()  # Gemini
    tool_calls: Raw = Raw()
    function_call: Raw = Raw()  # OpenAI, before tool_calls
    reasoning_content: Raw = Raw()  # DeepSeek and those who follow it
    message: Raw = Raw()  # Cohere v1
    tool_results: Raw = Raw()  # Cohere v1
    tool_plan: Raw = Raw()  # Cohere v2
    images: Raw = Raw()  # Ollama
    # Items of the Responses API
    arguments: Raw = Raw()
    output: Raw = Raw()
    name: Raw = Raw()
    input: Raw = Raw()
    summary: Raw = Raw()
    results: Raw = Raw()
    action: Raw = Raw()
    code: Raw = Raw()
    tools: Raw = Raw()


class Part(Struct, gc=False):
    """One part (block) of a message's content."""

    type: str = ""
    text: Raw = Raw()
    refusal: Raw = Raw()
    thinking: Raw = Raw()
    name: Raw = Raw()
    title: Raw = Raw()
    context: Raw = Raw()
    input: Raw = Raw()
    arguments: Raw = Raw()
    content: Raw = Raw()
    source: Raw = Raw()
    image_url: Raw = Raw()
    detail: Raw = Raw()
    file: Raw = Raw()
    file_data: Raw = Raw()  # OpenAI, and Gemini in snake_case
    input_audio: Raw = Raw()
    document: Raw = Raw()  # Cohere v2, Bedrock
    # Bedrock
    image: Raw = Raw()
    video: Raw = Raw()
    audio: Raw = Raw()
    toolUse: Raw = Raw()  # noqa: N815 -- the API's name, as below
    toolResult: Raw = Raw()  # noqa: N815
    searchResult: Raw = Raw()  # noqa: N815
    reasoningContent: Raw = Raw()  # noqa: N815
    guardContent: Raw = Raw()  # noqa: N815
    # Gemini
    functionCall: Raw = Raw()  # noqa: N815
    function_call: Raw = Raw()
    functionResponse: Raw = Raw()  # noqa: N815
    function_response: Raw = Raw()
    inlineData: Raw = Raw()  # noqa: N815
    inline_data: Raw = Raw()
    fileData: Raw = Raw()  # noqa: N815
    executableCode: Raw = Raw()  # noqa: N815
    codeExecutionResult: Raw = Raw()  # noqa: N815


class CalledFunction(Struct, frozen=True, gc=False):
    """What of a tool call the model reads again; ids it does not."""

    name: Raw = Raw()
    arguments: Raw = Raw()
    input: Raw = Raw()


class ToolCall(Struct, gc=False):
    """A tool call of the OpenAI, Cohere or Ollama API."""

    function: CalledFunction = CalledFunction()
    custom: CalledFunction = CalledFunction()
    name: Raw = Raw()  # Cohere v1
    parameters: Raw = Raw()


KIND_OF_ROLE: Final[dict[str, Kind]] = {
    "system": Kind.SYSTEM,
    "developer": Kind.SYSTEM,
    "user": Kind.USER,
    "assistant": Kind.ASSISTANT,
    "model": Kind.ASSISTANT,
    "tool": Kind.TOOL,
    "function": Kind.TOOL,
    # Cohere v1
    "SYSTEM": Kind.SYSTEM,
    "USER": Kind.USER,
    "CHATBOT": Kind.ASSISTANT,
    "TOOL": Kind.TOOL,
}
KIND_OF_ITEM: Final[dict[str, Kind]] = {
    "reasoning": Kind.CALLS,  # belongs to the call or message after it
    "file_search_call": Kind.RETRIEVED,
    "compaction": Kind.OTHER,  # stands for turns that cannot be seen
    "item_reference": Kind.OTHER,
    "tollbook_retrieved": Kind.RETRIEVED,
    "tollbook_memory": Kind.MEMORY,
}
"""Items of a Responses input without a role; all others are tools' calls and their results."""

MARKED_RETRIEVED: Final = "tollbook_retrieved"
MARKED_MEMORY: Final = "tollbook_memory"
"""Parts that a marker has made (:mod:`tollbook.dialects.layer_marks`); no API knows them."""

decode_turns: Final = msgspec.json.Decoder(list[Turn]).decode
decode_turn: Final = msgspec.json.Decoder(Turn).decode
decode_parts: Final = msgspec.json.Decoder(list[Part]).decode
decode_part: Final = msgspec.json.Decoder(Part).decode
decode_calls: Final = msgspec.json.Decoder(list[ToolCall]).decode
decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
