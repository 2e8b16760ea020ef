"""Texts that are marked in Python are found in the request that is sent."""

from __future__ import annotations

import asyncio
import json
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.kit import ANSWER
from tests.layers.layers_kit import PATHS, layered, sums

import tollbook
from tollbook.dialects.layer_marks import marked_layers
from tollbook.dialects.registry import dialect_named
from tollbook.layers import Section
from tollbook.sdk import markers, marking, memory, retrieved
from tollbook.sdk.harness import wrap
from tollbook.sdk.markers import TEXTS_MAX, marked, marks_in
from tollbook.sdk.sink import MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = "Refunds take two working days. " * 10
ASK = "When do I get my money?"


@pytest.fixture(autouse=True)
def _own_marks() -> Iterator[None]:
    with marking():
        yield


def sent(*contents: Any, **members: Any) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"messages": messages, **members}).encode()


def test_layers_marked_texts_are_returned_as_they_are() -> None:
    assert retrieved(CHUNK) is CHUNK
    assert memory(ASK) is ASK


def test_layers_nothing_marked_says_nothing() -> None:
    assert marks_in(sent(CHUNK)) is None
    retrieved("something else entirely")
    assert marks_in(sent(CHUNK)) is None
    assert marks_in(b"{not json") is None
    assert marks_in(b"[]") is None


def test_layers_marks_name_places_only() -> None:
    body = sent("ä " + retrieved(CHUNK) + ASK, system="x. " + memory("Ada likes tea."))
    value = marks_in(body)
    assert value == "memory=system[3:17],retrieved=messages[0].content[3:313]"
    assert "tea" not in value


@pytest.mark.parametrize("api", ["openai", "anthropic", "gemini", "bedrock", "responses"])
def test_layers_marked_in_every_api(api: str) -> None:
    text = retrieved(CHUNK) + ASK
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if api == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    elif api == "bedrock":
        body = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    elif api == "responses":
        body = {"input": text}
    raw = json.dumps(body).encode()
    dialect = dialect_named("openai" if api == "responses" else api)
    route = dialect.route("POST", PATHS[api])
    found = marked(dialect, route, raw, layered(api, body))
    assert set(sums(found)) == {"retrieved", "user_input"}
    assert found == marked_layers(dialect, route, raw, marks_in(raw) or "")[0]


def test_layers_unmarked_requests_keep_what_was_read() -> None:
    body = {"messages": [{"role": "user", "content": ASK}]}
    known = layered("openai", body)
    dialect = dialect_named("openai")
    route = dialect.route("POST", PATHS["openai"])
    assert marked(dialect, route, json.dumps(body).encode(), known) is known


def test_layers_marks_of_tasks_count_where_marking_was_entered() -> None:
    async def search(text: str) -> str:
        return retrieved(text)

    async def main() -> str | None:
        chunks = await asyncio.gather(search(CHUNK), search("Returns are free of charge."))
        return marks_in(sent(" ".join(chunks)))

    found = asyncio.run(main())
    assert found is not None
    assert found.count("retrieved=") == 2


def test_layers_marks_of_two_pieces_of_work_never_mix() -> None:
    seen: list[str | None] = []

    def work(own: str, other: str) -> None:
        with tollbook.tenant("t"), marking():
            retrieved(own)
            seen.append(marks_in(sent(own, other)))

    workers = [
        Thread(target=copy_context().run, args=(work, CHUNK, "other text, marked elsewhere"))
        for _ in range(4)
    ]
    retrieved("other text, marked elsewhere")
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(5)
    assert seen == ["retrieved=messages[0].content[0:310]"] * 4


def test_layers_marks_are_forgotten_after_the_block() -> None:
    with marking():
        retrieved(CHUNK)
        assert marks_in(sent(CHUNK)) is not None
    assert marks_in(sent(CHUNK)) is None


def test_layers_marked_texts_are_bounded() -> None:
    for at in range(3 * TEXTS_MAX):
        retrieved(f"chunk number {at:05d}")
    first = sent("chunk number 00000")
    assert marks_in(first) is None
    assert marks_in(sent(f"chunk number {3 * TEXTS_MAX - 1:05d}")) is not None
    retrieved("x" * (markers.TEXT_CHARS_MAX + 1))
    assert marks_in(sent("x" * 100)) is None


def test_layers_marks_do_not_overlap() -> None:
    retrieved("abcdefgh")
    memory("efghijkl")
    assert marks_in(sent("abcdefghijkl")) == "retrieved=messages[0].content[0:8]"


def test_layers_short_texts_are_not_looked_for() -> None:
    retrieved("a")
    assert marks_in(sent("a cat and a dog")) is None


values = st.recursive(
    st.none() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=5), values)
def test_layers_marks_in_anything_never_raise(texts: list[str], value: Any) -> None:
    with marking():
        for text in texts:
            retrieved(text)
        found = marks_in(json.dumps({"messages": value, "system": texts}).encode())
    assert found is None or found.isascii()


def test_layers_marked_texts_reach_the_sink_without_a_gateway() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert "x-tollbook-layers" not in request.headers
        return httpx2.Response(200, content=ANSWER, headers={"content-type": "application/json"})

    sink = MemorySink()
    with openai.OpenAI(
        api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    ) as plain:
        client = wrap(plain, sink=sink)
        with tollbook.tenant("acme"), marking():
            prompt = retrieved(CHUNK) + ASK
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": prompt}]
            )
    opened, _ = sink.calls[0]
    assert (opened.layers or ())[::2] == (Section.RETRIEVED, Section.USER_INPUT)


def test_layers_marked_texts_are_named_to_the_gateway() -> None:
    told: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        told.append(request.headers.get("x-tollbook-layers"))
        return httpx2.Response(200, content=ANSWER, headers={"content-type": "application/json"})

    with openai.OpenAI(
        api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    ) as plain:
        client = wrap(plain, gateway="http://127.0.0.1:8080")
        with tollbook.tenant("acme"):
            for prompt in (ASK, retrieved(CHUNK) + ASK):
                client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": prompt}]
                )
    assert told == [None, "retrieved=messages[0].content[0:310]"]
