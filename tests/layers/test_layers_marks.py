"""Marks: named places become sections of their own, in every API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests.layers.layers_kit import PATHS, layered, names, sums

from tollbook.dialects.layer_marks import (
    BODY_BYTES_MAX,
    MARK_BYTES_MAX,
    MARKS_MAX,
    marked_layers,
    read_marks,
    take_marks,
)
from tollbook.dialects.layer_weights import weigh
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from tollbook.dialects.request_layers import Layered

CHUNK = "Refunds take two working days. " * 10
MEMORY = "The customer writes from Lyon. "
ASK = "When do I get my money?"


def marked(api: str, body: Any, marks: str) -> tuple[Layered, tuple[str, ...]]:
    dialect = dialect_named("openai" if api == "responses" else api)
    route = dialect.route("POST", PATHS[api])
    return marked_layers(dialect, route, json.dumps(body).encode(), marks)


CASES: list[tuple[str, Any, str, list[str]]] = [
    ("openai", {"messages": [{"role": "user", "content": CHUNK + ASK}]},
     f"retrieved=messages[0].content[0:{len(CHUNK)}]", ["retrieved", "user_input"]),
    ("openai", {"messages": [{"role": "user", "content": MEMORY + CHUNK + ASK}]},
     "memory=messages[0].content[0:31], retrieved=messages[0].content[31:341]",
     ["memory", "retrieved", "user_input"]),
    ("openai", {"messages": [{"role": "system", "content": MEMORY},
                             {"role": "user", "content": CHUNK}, {"role": "user", "content": ASK}]},
     "retrieved=messages[1],memory=messages[0]", ["memory", "retrieved", "user_input"]),
    ("openai", {"messages": [{"role": "user", "content": [{"type": "text", "text": CHUNK + ASK}]}]},
     f"retrieved=messages[0].content[0].text[0:{len(CHUNK)}]", ["retrieved", "user_input"]),
    ("responses", {"input": CHUNK + ASK}, f"retrieved=input[0:{len(CHUNK)}]",
     ["retrieved", "user_input"]),
    ("responses", {"input": [{"role": "user", "content": CHUNK}, {"role": "user", "content": ASK}],
                   "instructions": "Be kind. " + MEMORY},
     "retrieved=input[0],memory=instructions[9:99]",
     ["system", "memory", "retrieved", "user_input"]),
    ("anthropic", {"system": "Be kind. " + MEMORY,
                   "messages": [{"role": "user", "content": [{"type": "text", "text": CHUNK},
                                                             {"type": "text", "text": ASK}]}]},
     "retrieved=messages[0].content[0],memory=system[9:99]",
     ["system", "memory", "retrieved", "user_input"]),
    ("gemini", {"contents": [{"parts": [{"text": CHUNK}, {"text": ASK}]}]},
     "retrieved=contents[0].parts[0]", ["retrieved", "user_input"]),
    ("bedrock", {"messages": [{"role": "user", "content": [{"text": CHUNK}, {"text": ASK}]}]},
     "retrieved=messages[0].content[0].text", ["retrieved", "user_input"]),
    ("cohere", {"messages": [{"role": "user", "content": CHUNK + ASK}]},
     f"retrieved=messages[0].content[0:{len(CHUNK)}]", ["retrieved", "user_input"]),
    ("ollama", {"messages": [{"role": "user", "content": CHUNK + ASK}]},
     f"retrieved=messages[0].content[0:{len(CHUNK)}]", ["retrieved", "user_input"]),
]  # fmt: skip


@pytest.mark.parametrize(("api", "body", "marks", "expected"), CASES)
def test_layers_of_marked(api: str, body: Any, marks: str, expected: list[str]) -> None:
    found, problems = marked(api, body, marks)
    assert problems == ()
    assert names(found) == expected
    weights = sums(found)
    if "retrieved" in weights:
        assert abs(weights["retrieved"] / weigh(CHUNK.encode()) - 1) < 0.15
    # Without marks there is none of it.
    assert not {"retrieved", "memory"} & set(sums(layered(api, body)))


def test_layers_marks_count_bytes_of_the_text() -> None:
    text = "Zürich ist größer als Köln. "
    body = {"messages": [{"role": "user", "content": text + ASK}]}
    found, problems = marked(
        "openai", body, f"retrieved=messages[0].content[0:{len(text.encode())}]"
    )
    assert problems == ()
    alone = {"messages": [{"role": "user", "content": ASK}]}
    assert sums(found)["user_input"] <= sums(layered("openai", alone))["user_input"] + 2


@pytest.mark.parametrize(
    ("marks", "problem"),
    [
        ("retrieved=messages[9]", "nothing to mark at messages[9]"),
        ("retrieved=messages[0].nothing", "nothing to mark at messages[0].nothing"),
        ("retrieved=messages[0].content[900:950]", "nothing to mark at"),
        ("retrieved=model", "nothing to mark at model"),
        ("quoted=messages[0]", "is not retrieved=PLACE or memory=PLACE"),
        ("retrieved", "is not retrieved=PLACE or memory=PLACE"),
        ("retrieved=messages[0]..content", "is not retrieved=PLACE"),
        ("retrieved=a," * 70, f"more than {MARKS_MAX} marks"),
        ("x" * (MARK_BYTES_MAX + 1), "longer than"),
    ],
)
def test_layers_marks_that_say_nothing(marks: str, problem: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": ASK}]}
    found, problems = marked("openai", body, marks)
    assert any(problem in each for each in problems)
    assert found == layered("openai", body) or "model" in marks


def test_layers_marks_of_a_huge_request_are_not_used() -> None:
    body = {"messages": [{"role": "user", "content": "x " * (BODY_BYTES_MAX // 2)}]}
    found, problems = marked("openai", body, "retrieved=messages[0]")
    assert "not used" in problems[0]
    assert names(found) == ["user_input"]


def test_layers_marks_of_no_json() -> None:
    dialect = dialect_named("openai")
    route = dialect.route("POST", PATHS["openai"])
    found, problems = marked_layers(dialect, route, b"{not json", "retrieved=messages[0]")
    assert found.layers is None
    assert len(problems) == 1


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "content", "text", "role"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["messages", "input", "system"]), values),
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["retrieved=messages[0]", "memory=messages[0].content", "memory=system[0:2]",
             "retrieved=input[0:3]", "retrieved=messages[0].content[0].text[1:2]",
             "memory=messages", "retrieved=messages[1][0]"]
        ),
        max_size=6,
    ).map(",".join),
)  # fmt: skip
def test_layers_marks_never_raise(body: dict[str, Any], marks: str) -> None:
    for api in ("openai", "responses", "anthropic", "gemini"):
        marked(api, body, marks)


def test_layers_marks_are_read() -> None:
    marks, problems = read_marks(" retrieved = messages[3] ,memory=messages[1].content[0] , ")
    assert problems == []
    assert [(mark.kind, mark.path) for mark in marks] == [
        ("tollbook_retrieved", ("messages", 3)),
        ("tollbook_memory", ("messages", 1, "content", 0)),
    ]


def test_layers_marks_in_metadata_are_taken_out() -> None:
    for metadata, left in (
        ({"tollbook_layers": "retrieved=messages[0]"}, None),
        ({"tollbook_layers": "retrieved=messages[0]", "a": "b"}, {"a": "b"}),
    ):
        body = {"model": "m", "messages": [], "metadata": metadata, "n": 1}
        raw = Raw(json.dumps(metadata).encode())
        sent, marks = take_marks(json.dumps(body).encode(), raw)
        assert marks == "retrieved=messages[0]"
        expected = {"model": "m", "messages": [], "n": 1}
        assert json.loads(sent) == (expected if left is None else expected | {"metadata": left})


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_layers_marks_in_metadata_are_not_sent_on(api: str) -> None:
    body = {
        "model": "m", "messages": [{"role": "user", "content": CHUNK + ASK}],
        "metadata": {"user_id": "ada", "tollbook_layers": "retrieved=messages[0].content[0:9]"},
    }  # fmt: skip
    dialect = dialect_named(api)
    facts = dialect.read_request(
        dialect.route("POST", PATHS[api]), json.dumps(body).encode(),
        inject_stream_usage=False, user_is="user",
    )  # fmt: skip
    assert facts.marks == "retrieved=messages[0].content[0:9]"
    assert b"tollbook_layers" not in facts.body
    assert json.loads(facts.body)["metadata"] == {"user_id": "ada"}
    assert facts.claims[0].fields["user_id"] == "ada"
