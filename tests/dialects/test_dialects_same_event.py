"""What is told from an event's ends is what reading it would have told."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.anthropic_stream import MessageStreamMeter
from tollbook.dialects.openai_stream import CompletionStreamMeter
from tollbook.dialects.same_event import SameEvent, learn

TEXT = st.text(max_size=8) | st.sampled_from(
    ["a", "b c", '"', "\\", 'x"content":"y', "é", "", "\n"]
)


@st.composite
def chunk(draw: st.DrawFn) -> bytes:
    """One event, most of them alike, some with something to notice."""
    choice: dict[str, Any] = {"index": 0, "delta": {"content": draw(TEXT)}, "finish_reason": None}
    body: dict[str, Any] = {"id": "c-1", "model": "gpt-4o", "choices": [choice], "usage": None}
    match draw(st.integers(0, 12)):
        case 0:
            body["usage"] = {"prompt_tokens": draw(st.integers(0, 3)), "completion_tokens": 1}
        case 1:
            choice["finish_reason"] = "stop"
        case 2:
            body["choices"] = []
            body["usage"] = {"prompt_tokens": 1, "completion_tokens": 2}
        case 3:
            body = {"error": {"code": "overloaded", "message": "x"}}
        case 4:
            body["model"] = "gpt-5"
        case 5:
            choice["delta"] = {"tool_calls": [{"function": {"arguments": draw(TEXT)}}]}
        case 6:
            choice["delta"]["reasoning_content"] = draw(TEXT)
        case 7:
            return b"data: [DONE]\n\n"
        case 8:
            body["service_tier"] = draw(st.sampled_from(["flex", "default"]))
    text = json.dumps(body, ensure_ascii=draw(st.booleans()), separators=(",", ":"))
    return b"data: " + text.encode("utf-8", "surrogatepass") + b"\n\n"


@given(events=st.lists(chunk(), max_size=30), hides=st.booleans())
def test_a_stream_is_read_the_same_with_and_without(events: list[bytes], *, hides: bool) -> None:
    quick = CompletionStreamMeter(hides_usage=hides)
    slow = CompletionStreamMeter(hides_usage=hides)
    slow._lessons = 1000

    for event in events:
        assert quick.feed(event) == slow.feed(event)
        assert quick.result() == slow.result()
        assert quick.has_content == slow.has_content


@given(texts=st.lists(TEXT, max_size=20))
def test_so_is_an_anthropic_stream(texts: list[str]) -> None:
    quick, slow = MessageStreamMeter(), MessageStreamMeter()
    slow._lessons = 1000

    for text in texts:
        body = {
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}
        }  # fmt: skip
        data = json.dumps(body, separators=(",", ":"))
        event = f"event: content_block_delta\ndata: {data}\n\n".encode("utf-8", "surrogatepass")
        quick.feed(event)
        slow.feed(event)
        assert quick.result() == slow.result()


def test_only_plain_text_between_the_same_ends_is_the_same() -> None:
    same = learn(b'{"content":"abc","n":1}', b'"content":"', 3)

    assert same == SameEvent(b'{"content":"', b'","n":1}')
    assert same.text_length(b'{"content":"de","n":1}') == 2
    assert same.text_length(b'{"content":"d\\"e","n":1}') == 0
    assert same.text_length(b'{"content":"d","content":"e","n":1}') == 0
    assert same.text_length(b'{"content":"de","n":2}') == 0
    assert same.text_length('{"content":"é","n":1}'.encode()) == 0
    assert same.text_length(b'{"content":","n":1}') == 0, "the ends overlap"


def test_an_event_whose_text_is_elsewhere_teaches_nothing() -> None:
    assert learn(b'{"content":"abc","reasoning":"de"}', b'"content":"', 5) is None
    assert learn(b'{"text":"abc"}', b'"content":"', 3) is None
