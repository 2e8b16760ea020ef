"""The official clients work through the gateway, unchanged but for the base URL."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Look something up.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    }
]
MESSAGES: list[Any] = [{"role": "user", "content": "Say something short."}]


class Clients:
    """One house for all tests of this file, and the clients that talk to it."""

    def __init__(self, house: Any) -> None:
        self.house = house
        key = house.key("app", tenant_id="acme", feature="support")
        self.openai = openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=key, max_retries=0)
        self.anthropic = anthropic.Anthropic(
            base_url=f"{house.url}/anthropic", api_key=key, max_retries=0
        )
        self.async_openai = openai.AsyncOpenAI(base_url=f"{house.url}/openai/v1", api_key=key)
        self.async_anthropic = anthropic.AsyncAnthropic(
            base_url=f"{house.url}/anthropic", api_key=key
        )

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()


@pytest.fixture
def clients(make_house: Callable[..., Any]) -> Iterator[Clients]:
    with contextlib.closing(Clients(make_house())) as made:
        yield made


def charges(clients: Clients) -> list[dict[str, Any]]:
    clients.house.stop()
    return list(clients.house.records("SELECT * FROM entries ORDER BY called_at"))


def test_synchronous_clients_plain_streamed_and_with_tools(clients: Clients) -> None:
    chat = clients.openai.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    chunks = list(
        clients.openai.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
    )
    asked = list(
        clients.openai.chat.completions.create(
            model="gpt-4o-mini",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    tools = clients.openai.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, tools=TOOLS, tool_choice="required"
    )
    response = clients.openai.responses.create(model="gpt-5", input="Hello.")
    with clients.openai.responses.stream(model="gpt-5-mini", input="Hello.") as stream:
        streamed = stream.get_final_response()
    embedding = clients.openai.embeddings.create(model="text-embedding-3-small", input="a text")
    models = clients.openai.models.list()
    message = clients.anthropic.messages.create(
        model="claude-sonnet-4-6", max_tokens=200, messages=MESSAGES
    )
    with clients.anthropic.messages.stream(
        model="claude-haiku-4-5", max_tokens=200, messages=MESSAGES
    ) as events:
        final = events.get_final_message()
    counted = clients.anthropic.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES)

    assert chat.usage
    assert all(chunk.usage is None for chunk in chunks), "asked for on our own behalf: hidden"
    assert all(chunk.choices for chunk in chunks)
    assert asked[-1].usage
    assert not asked[-1].choices
    assert tools.choices[0].message.tool_calls
    assert response.usage
    assert streamed.usage
    assert embedding.data[0].embedding
    assert models.data
    assert counted.input_tokens
    rows = charges(clients)
    by_operation: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_operation.setdefault(f"{row['provider']} {row['operation']}", []).append(row)
        assert (row["tenant_id"], row["feature"], row["kind"]) == ("acme", "support", "charge")
        assert row["identity_source"] == "virtual_key"
    known = {row["provider_response_id"]: row for row in rows if row["provider_response_id"]}
    for answer, usage in [
        (chat.id, (chat.usage.prompt_tokens, chat.usage.completion_tokens)),
        (asked[0].id, (asked[-1].usage.prompt_tokens, asked[-1].usage.completion_tokens)),
        (response.id, (response.usage.input_tokens, response.usage.output_tokens)),
        (streamed.id, (streamed.usage.input_tokens, streamed.usage.output_tokens)),
    ]:
        row = known[answer]
        assert row["usage_source"] == "reported"
        assert usage == (
            row["uncached_input_tokens"] + row["cache_read_tokens"] + row["input_audio_tokens"],
            row["visible_output_tokens"] + row["reasoning_tokens"] + row["output_audio_tokens"],
        )
        assert row["cost_usd"] > 0
    assert known[chunks[0].id]["usage_source"] == "reported", "hidden, but read"
    for answered in (message, final):
        row = known[answered.id]
        assert row["uncached_input_tokens"] == answered.usage.input_tokens
        assert row["cache_read_tokens"] == (answered.usage.cache_read_input_tokens or 0)
        assert row["visible_output_tokens"] == answered.usage.output_tokens
    free = [row for row in rows if row["price_state"] == "free"]
    assert {row["path"].rsplit("/", 1)[-1] for row in free} >= {"count_tokens"}
    assert all(row["cost_usd"] == 0 for row in free)
    assert len(rows) == 11


def test_asynchronous_clients(clients: Clients) -> None:
    async def run() -> tuple[str, str, str]:
        async with clients.async_openai as first, clients.async_anthropic as second:
            plain = await first.chat.completions.create(model="gpt-4.1", messages=MESSAGES)
            stream = await first.chat.completions.create(
                model="gpt-4.1", messages=MESSAGES, stream=True
            )
            seen = [chunk async for chunk in stream]
            async with second.messages.stream(
                model="claude-sonnet-4-6", max_tokens=100, messages=MESSAGES
            ) as events:
                final = await events.get_final_message()
            return plain.id, seen[0].id, final.id

    ids = asyncio.run(run())

    rows = {row["provider_response_id"]: row for row in charges(clients)}
    assert set(ids) == set(rows)
    assert all(row["usage_source"] == "reported" for row in rows.values())


def test_errors_reach_the_client_as_the_sdk_s_own(clients: Clients) -> None:
    with pytest.raises(openai.NotFoundError):
        clients.openai.chat.completions.create(model="no-such-model", messages=MESSAGES)
    with pytest.raises(openai.RateLimitError) as limited:
        clients.openai.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, extra_headers={"x-sim-fault": "rate_limit"}
        )
    with pytest.raises(anthropic.InternalServerError):
        clients.anthropic.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=10,
            messages=MESSAGES,
            extra_headers={"x-sim-fault": "overloaded"},
        )
    stranger = clients.openai.with_options(api_key="tb_not-a-key-of-ours")
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert "retry-after" in limited.value.response.headers
    rows = charges(clients)
    assert [row["status"] for row in rows] == ["error", "error", "error", "rejected"]
    assert [row["http_status"] for row in rows] == [404, 429, 529, 401]
    assert {row["price_state"] for row in rows} == {"not_billed"}


def test_another_path_passes_untouched_and_is_recorded_as_unmetered(clients: Clients) -> None:
    stores = clients.openai.vector_stores.list()
    raw = clients.openai.with_raw_response.models.list()

    assert stores.data == []
    assert raw.headers["x-tollbook-call-id"]
    rows = charges(clients)
    unmetered = [row for row in rows if row["price_state"] == "unmetered"]
    assert [row["path"].rsplit("/", 1)[-1] for row in unmetered] == ["vector_stores"]
    assert unmetered[0]["cost_usd"] is None
    assert unmetered[0]["tenant_id"] == "acme"
