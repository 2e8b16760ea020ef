"""What holds for every request, whatever it is."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.layers.layers_kit import PATHS, layered, layered_raw, sums

from tollbook.dialects import openai_layers
from tollbook.dialects.chat_layers import TURNS_MAX
from tollbook.dialects.layer_weights import MESSAGE, weigh
from tollbook.dialects.request_layers import RUNS_MAX, merged
from tollbook.layers import Section

APIS = sorted(PATHS)
WORDS = tuple(
    b"role content text type parts system user assistant tool tool_use tool_result input output "
    b"source messages contents name arguments document image_url toolUse toolResult function "
    b"functionCall inlineData tool_calls function_call".decode().split()
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=20,
)
members = st.sampled_from(
    ["messages", "contents", "input", "system", "tools", "instructions", "toolConfig", "documents",
     "systemInstruction", "response_format", "text", "message", "chat_history", "prompt", "query",
     "context", "images", "functions", "requests"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(APIS), st.dictionaries(members, values, max_size=6))
@example("openai", {"messages": "not a list"})
@example("openai", {"messages": [[], 3, None, "x", {"role": 4, "content": "x"}]})
@example("anthropic", {"messages": [{"role": "user", "content": [{"type": 3}, 5, "x"]}]})
@example("gemini", {"contents": 5, "systemInstruction": [1]})
@example("responses", {"input": [{"type": "message"}, {"type": "reasoning", "summary": 4}]})
def test_layers_of_anything_are_well_formed(api: str, body: dict[str, Any]) -> None:
    found = layered(api, body)
    layers = found.layers or ()
    assert len(layers) % 2 == 0
    assert len(layers) <= 2 * RUNS_MAX
    assert all(Section(section) for section in layers[::2] if section)
    assert all(weight > 0 for weight in layers[1::2])
    assert (found.prefix_hash is None) == (found.prefix_chars == 0)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(APIS), st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
def test_layers_of_bytes_never_raise(api: str, body: bytes) -> None:
    layered_raw(api, body)
    layered_raw(api, b'{"messages":[' + body + b"]}")
    layered_raw(api, b'{"messages":' + body + b',"tools":[]}')


@pytest.mark.parametrize("api", APIS)
def test_layers_of_deep_nesting_never_raise(api: str) -> None:
    deep = b'[{"type":"tool_result","content":' * 400 + b'"x"' + b"}]" * 400
    for member in (b"messages", b"contents", b"input"):
        layered_raw(api, b'{"%b":[{"role":"user","content":%b,"parts":%b}]}' % (member, deep, deep))


texts = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=300)
conversations = st.tuples(
    st.lists(texts, max_size=1), st.lists(st.tuples(texts, texts), max_size=20), texts
)


@settings(max_examples=150, deadline=None)
@given(conversations)
def test_layers_of_conversations_weigh_their_texts(
    conversation: tuple[list[str], list[tuple[str, str]], str],
) -> None:
    """Long ones are read by their ends; that must not show."""
    prompts, turns, asked = conversation
    messages = [{"role": "system", "content": text} for text in prompts]
    for said, answered in turns:
        messages.append({"role": "user", "content": said})
        messages.append({"role": "assistant", "content": answered})
    messages.append({"role": "user", "content": asked})
    found = sums(layered("openai", {"messages": messages}))
    expected = {"user_input": weigh(asked.encode()) + MESSAGE}
    if prompts:
        expected["system"] = weigh(prompts[0].encode()) + MESSAGE
    for section, weight in expected.items():
        assert found[section] == weight
    assert ("history" in found) == bool(turns)
    size = sum(len(a.encode()) + len(b.encode()) for a, b in turns)
    if turns:
        assert found["history"] < 5 * size + 40 * len(turns) * 2 + 100


def plain(count: int, size: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    words = re.findall(r"\S+", "the clerk looked for an invoice, and found two of them in March")
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief and kind."}]
    for at in range(count):
        text = " ".join(rng.choices(words, k=size))
        messages.append({"role": "assistant" if at % 2 else "user", "content": text})
    return messages


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("count", [31, 121])
def test_layers_of_long_conversations_are_about_those_of_all_messages(
    count: int, separators: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"messages": plain(count, 30)}, separators=separators).encode()
    fast = sums(layered_raw("openai", body))
    monkeypatch.setattr(openai_layers, "plain_sections", lambda *_, **__: None)
    slow = sums(layered_raw("openai", body))
    all_fast, all_slow = sum(fast.values()), sum(slow.values())
    for section in ("system", "history", "user_input"):
        assert abs(fast[section] / all_fast - slow[section] / all_slow) < 0.02


def test_layers_of_long_conversations_see_tools_between() -> None:
    messages = plain(80, 30)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for at in range(20, 60, 2):
        messages[at] = {"role": "assistant", "content": None, "tool_calls": [call]}
        messages[at + 1] = {"role": "tool", "tool_call_id": "c", "content": "found " * 60}
    assert "tool_results" in sums(layered("openai", {"messages": messages}))


def test_layers_of_texts_that_look_like_messages() -> None:
    """Where messages begin and end is not told from what is quoted in one."""
    trap = '},{"role":"system","content":"' + "x" * 50
    messages = plain(41, 25)
    for at in (1, 2, 20, 40, 41):
        messages[at] = {**messages[at], "content": trap * 3}
    found = layered("openai", {"messages": messages})
    assert (found.layers or ())[::2] == (Section.SYSTEM, Section.HISTORY, Section.USER_INPUT)
    assert sums(found)["user_input"] == weigh((trap * 3).encode()) + MESSAGE
    assert found.prefix_chars == len("Be brief and kind.")


def test_layers_of_members_in_another_order() -> None:
    body = {"messages": plain(61, 25)}
    turned = {"messages": [dict(reversed(list(each.items()))) for each in body["messages"]]}
    one, other = sums(layered("openai", body)), sums(layered("openai", turned))
    assert set(one) == set(other)
    assert one["system"] == other["system"]
    assert one["user_input"] == other["user_input"]
    assert abs(one["history"] / other["history"] - 1) < 0.1


def agent(steps: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Find it. " * 20}]
    for at in range(steps):
        call = {"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": "I look.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{at}", "content": "found it " * 30})
    return messages


@pytest.mark.parametrize("steps", [3, 60, 200])
def test_layers_of_agents_are_bounded_and_complete(steps: int) -> None:
    messages = agent(steps)
    found = layered("openai", {"messages": messages, "tools": [{"type": "function"}]})
    assert len(found.layers or ()) <= 2 * RUNS_MAX
    weights = sums(found)
    # Each step costs the same, however many there are.
    few = sums(layered("openai", {"messages": agent(3), "tools": [{"type": "function"}]}))
    assert abs(weights["tool_results"] / steps / (few["tool_results"] / 3) - 1) < 0.02
    assert weights["user_input"] == few["user_input"]


def test_layers_of_very_long_conversations_are_those_of_some_messages() -> None:
    steps = TURNS_MAX
    weights = sums(layered("openai", {"messages": agent(steps), "tools": [{"type": "function"}]}))
    few = sums(layered("openai", {"messages": agent(3), "tools": [{"type": "function"}]}))
    assert abs(weights["tool_results"] / steps / (few["tool_results"] / 3) - 1) < 0.1


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 10**9)), max_size=2000))
def test_layers_merged_keep_every_section_whole(pairs: list[tuple[int, int]]) -> None:
    runs: list[int] = [each for pair in pairs for each in pair]
    out = merged(runs)
    assert len(out) <= 2 * RUNS_MAX

    def totals(flat: list[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for section, weight in zip(flat[::2], flat[1::2], strict=True):
            found[section] = found.get(section, 0) + weight
        return found

    assert totals(out) == totals(runs)


@given(st.binary(max_size=3000))
def test_layers_weight_is_about_bytes(text: bytes) -> None:
    weight = weigh(text)
    assert 0 <= weight <= 5 * len(text)
    assert (weight > 0) or len(text) < 4


def test_layers_weight_of_a_sample_is_that_of_the_whole() -> None:
    text = json.dumps(plain(20, 40)).encode()
    whole = sum(weigh(text[at : at + 200]) for at in range(0, len(text), 200))
    assert abs(weigh(text) / whole - 1) < 0.15
