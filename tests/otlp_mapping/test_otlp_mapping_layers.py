"""Layers from the content that spans carry, and none from spans that carry none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.otlp_mapping.kit import a_chat, call_of

from tollbook.dialects.otel_layers import otel_layers
from tollbook.layers import Section

SYSTEM, ASKED, BEFORE = "You are a careful assistant of the shop.", "And in Paris?", "Rain in Rome."
TOOL = {"type": "function", "function": {"name": "weather", "description": "Of a city."}}
GENAI = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
    "gen_ai.tool.definitions": json.dumps([TOOL]),
    "gen_ai.input.messages": json.dumps([
        {"role": "user", "parts": [{"type": "text", "content": "The weather in Rome?"}]},
        {"role": "assistant", "parts": [
            {"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Rome"}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "rain"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": BEFORE}]},
        {"role": "user", "parts": [{"type": "text", "content": ASKED}]},
    ]),
}  # fmt: skip
AI_SDK = {
    "ai.prompt.tools": [json.dumps(TOOL)],
    "ai.prompt.messages": json.dumps([
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [{"type": "text", "text": "The weather in Rome?"}]},
        {"role": "assistant", "content": [
            {"type": "tool-call", "toolName": "weather", "input": {"city": "Rome"}}]},
        {"role": "tool", "content": [{"type": "tool-result", "output": {"value": "rain"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": BEFORE}]},
        {"role": "user", "content": [{"type": "text", "text": ASKED}]},
    ]),
}  # fmt: skip
OPENINFERENCE = {
    "llm.tools.0.tool.json_schema": json.dumps(TOOL),
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": SYSTEM,
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.content": "The weather in Rome?",
    "llm.input_messages.2.message.role": "tool",
    "llm.input_messages.2.message.content": "rain",
    "llm.input_messages.3.message.role": "assistant",
    "llm.input_messages.3.message.content": BEFORE,
    "llm.input_messages.4.message.role": "user",
    "llm.input_messages.4.message.content": ASKED,
}
OLD = {
    "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": SYSTEM,
    "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": ASKED,
}  # fmt: skip


def weights_of(attributes: dict[str, Any]) -> dict[Section, int]:
    layers = call_of(a_chat() | attributes).opened.layers
    assert layers is not None
    weights: dict[Section, int] = {}
    for section, weight in zip(layers[::2], layers[1::2], strict=True):
        weights[Section(section)] = weights.get(Section(section), 0) + weight
    return weights


@pytest.mark.parametrize("attributes", [GENAI, AI_SDK, OPENINFERENCE])
def test_a_conversation_has_all_its_sections(attributes: dict[str, Any]) -> None:
    weights = weights_of(attributes)
    assert set(weights) == {
        Section.SYSTEM, Section.TOOL_DEFINITIONS, Section.TOOL_RESULTS, Section.HISTORY,
        Section.USER_INPUT,
    }  # fmt: skip
    assert weights[Section.SYSTEM] > weights[Section.USER_INPUT]


def test_older_names() -> None:
    assert set(weights_of(OLD)) == {Section.SYSTEM, Section.USER_INPUT}


def test_a_longer_system_text_weighs_more() -> None:
    longer = OLD | {"gen_ai.prompt.0.content": SYSTEM * 10}
    assert weights_of(longer)[Section.SYSTEM] > 5 * weights_of(OLD)[Section.SYSTEM]
    assert weights_of(longer)[Section.USER_INPUT] == weights_of(OLD)[Section.USER_INPUT]


@pytest.mark.parametrize("junk", ["", "{", "[", "[1, null]", "[" * 5000, "{}", "null", '"x"'])
def test_content_that_is_none_has_no_sections(junk: str) -> None:
    assert call_of(a_chat() | {"gen_ai.input.messages": junk}).opened.layers is None
    assert call_of(a_chat()).opened.layers is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["role", "parts", "content", "type", "text", "arguments", "name"]),
        inner | st.sampled_from(["user", "tool_call", "tool-result", "assistant"]), max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(_JSON, _JSON, st.sampled_from(["gen_ai.input.messages", "ai.prompt.messages"]))
def test_no_content_raises(messages: Any, tools: Any, name: str) -> None:
    layers = otel_layers({name: json.dumps(messages), "gen_ai.tool.definitions": json.dumps(tools),
                          "gen_ai.system_instructions": json.dumps(tools)}).layers  # fmt: skip
    assert layers is None or min(layers) >= 0
    as_values = otel_layers({name: messages, "gen_ai.tool.definitions": tools}).layers
    assert as_values is None or min(as_values) >= 0
