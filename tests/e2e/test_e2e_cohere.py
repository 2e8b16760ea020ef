"""Cohere's official client through the gateway, against the true bill."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import cohere
import pytest
from cohere.errors import NotFoundError, TooManyRequestsError, UnauthorizedError

from tollbook.simulator.bill import leaks
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS = """
[providers.cohere]
dialect = "cohere"
base_url = "SIM/cohere"
api_key_env = "SIM_KEY"
[[prices]]
provider = "cohere"
model = "rerank-*"
effective_from = "2026-01-01"
search_units = "2.00"
"""
"""The public list has no price for reranking: the contract says it."""
MODEL = "command-a-03-2025"
MESSAGES: list[Any] = [{"role": "user", "content": "Say something short."}]
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
KINDS = {
    "uncached_input": "uncached_input_tokens",
    "visible_output": "visible_output_tokens",
    "reasoning": "reasoning_tokens",
    "search_unit": "search_units",
}


class Cohere:
    """One house and the official clients of both versions."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.key = house.key("app", tenant_id="acme")
        self.base_url = f"{house.url}/cohere"
        self.v2 = cohere.ClientV2(api_key=self.key, base_url=self.base_url)
        self.v1 = cohere.Client(api_key=self.key, base_url=self.base_url)

    def rows(self) -> list[dict[str, Any]]:
        """Stop everything and return the ledger's entries, tied out with the true bill."""
        self.house.stop()
        rows = list(self.house.records("SELECT * FROM entries ORDER BY called_at"))
        truth = read_truth(self.house.simulator.log_dir)
        assert leaks(truth) == {}
        ours = {row["provider_request_id"]: row for row in rows if row["provider_request_id"]}
        for call in truth:
            assert call.ended is not None
            if not call.is_billed:
                continue
            row = ours[call.ended.provider_request_id]
            assert row["usage_source"] == "reported", row
            theirs = {kind: n for kind, n in call.quantities._asdict().items() if n}
            assert {kind: row[name] for kind, name in KINDS.items() if row[name]} == theirs
            assert row["cost_usd"] == Decimal(call.ended.cost_usd), row
        return rows


@pytest.fixture
def client(make_house: Callable[..., Any]) -> Iterator[Cohere]:
    made = Cohere(make_house(settings=SETTINGS))
    with contextlib.ExitStack() as stack:
        for one in (made.v1, made.v2):
            stack.callback(one._client_wrapper.httpx_client.httpx_client.close)
        yield made


def test_chat_embed_and_rerank(client: Cohere) -> None:
    sized: Any = {"additional_headers": {"x-sim-size": "input=400;output=90;reasoning=40"}}
    chat = client.v2.chat(model=MODEL, messages=MESSAGES)
    thought = client.v2.chat(model=MODEL, messages=MESSAGES, request_options=sized)
    tool = client.v2.chat(model=MODEL, messages=MESSAGES, tools=TOOLS)
    events = list(client.v2.chat_stream(model=MODEL, messages=MESSAGES))
    tool_events = list(client.v2.chat_stream(model=MODEL, messages=MESSAGES, tools=TOOLS))
    embedded = client.v2.embed(
        model="embed-v4.0",
        texts=["one", "two"],
        input_type="search_document",
        embedding_types=["float"],
    )
    ranked = client.v2.rerank(model="rerank-v3.5", query="which", documents=["a"] * 101, top_n=2)

    assert chat.usage
    assert chat.usage.billed_units
    assert tool.message.tool_calls
    assert [event.type for event in events][-1] == "message-end"
    assert any(event.type == "tool-call-start" for event in tool_events)
    assert embedded.embeddings.float_
    assert len(ranked.results) == 2
    rows = client.rows()
    assert [row["operation"] for row in rows] == ["chat"] * 5 + ["embeddings", "rerank"]
    assert rows[0]["uncached_input_tokens"] == chat.usage.billed_units.input_tokens
    assert (rows[1]["visible_output_tokens"], rows[1]["reasoning_tokens"]) == (50, 40)
    assert rows[1]["provider_response_id"] == thought.id
    assert [row["is_stream"] for row in rows] == [False] * 3 + [True] * 2 + [False] * 2
    assert rows[6]["search_units"] == 2
    assert rows[6]["cost_usd"] == Decimal("0.004")
    assert {row["tenant_id"] for row in rows} == {"acme"}


def test_version_one(client: Cohere) -> None:
    chat = client.v1.chat(model="command-r-08-2024", message="Say something short.")
    events = list(client.v1.chat_stream(model="command-r-08-2024", message="Say something."))
    embedded = client.v1.embed(model="embed-v4.0", texts=["one"], input_type="search_query")
    ranked = client.v1.rerank(model="rerank-v3.5", query="which", documents=["a", "b"])
    tokens = client.v1.tokenize(model="command-r-08-2024", text="some text", offline=False)

    assert chat.text
    assert events[-1].event_type == "stream-end"
    assert embedded.embeddings
    assert ranked.results
    assert tokens.tokens
    rows = client.rows()
    assert [row["price_state"] for row in rows] == ["priced"] * 4 + ["free"]
    assert rows[1]["time_to_first_token_ns"]


def test_errors_reach_the_client_as_its_own(client: Cohere) -> None:
    with pytest.raises(NotFoundError) as missing:
        client.v2.chat(model="no-such-model", messages=MESSAGES)
    limited: Any = {"additional_headers": {"x-sim-fault": "rate_limit"}, "max_retries": 0}
    with pytest.raises(TooManyRequestsError):
        client.v2.chat(model=MODEL, messages=MESSAGES, request_options=limited)
    stranger = cohere.ClientV2(api_key="tb_not-a-key-of-ours", base_url=client.base_url)
    with pytest.raises(UnauthorizedError) as refused:
        stranger.chat(model=MODEL, messages=MESSAGES)
    stranger._client_wrapper.httpx_client.httpx_client.close()

    assert "no-such-model" in str(missing.value.body)
    assert "Tollbook" in str(refused.value.body)
    rows = client.rows()
    assert [row["http_status"] for row in rows] == [404, 429, 401]
    assert {row["price_state"] for row in rows} == {"not_billed"}
