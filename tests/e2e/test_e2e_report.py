"""What callers are told of their calls' cost is what the ledger books; answers given again."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = {"x-tollbook-report": "cost"}
MESSAGES: list[Any] = [{"role": "user", "content": "Say something short."}]
KINDS = ("uncached_input_tokens", "cache_read_tokens", "visible_output_tokens", "reasoning_tokens")


def told_in_headers(headers: Any) -> dict[str, Any]:
    usage = dict(pair.split("=") for pair in headers["x-tollbook-usage"].split(";"))
    return {
        "call_id": headers["x-tollbook-call-id"],
        "cost_usd": headers["x-tollbook-cost-usd"],
        "price_state": headers["x-tollbook-price-state"],
        "price_card": headers["x-tollbook-price-card"],
        "usage_source": headers["x-tollbook-usage-source"],
        "usage": {kind: int(count) for kind, count in usage.items()},
    }


def told_in_comment(body: str) -> dict[str, Any]:
    (line,) = [line for line in body.split("\n") if line.startswith(": tollbook ")]
    assert body.endswith(line + "\n")
    told: dict[str, Any] = json.loads(line.removeprefix(": tollbook "))
    return told


def assert_booked(told: dict[str, Any], entry: dict[str, Any]) -> None:
    assert str(entry["call_id"]) == told["call_id"]
    assert entry["cost_usd"] == Decimal(told["cost_usd"])
    assert entry["cost_usd"] > 0
    assert entry["price_state"] == told["price_state"] == "priced"
    assert entry["usage_source"] == told["usage_source"] == "reported"
    assert entry["price_card_id"] == told["price_card"]
    assert {kind: entry[kind] for kind in KINDS} == {
        kind: told["usage"].get(kind, 0) for kind in KINDS
    }


def test_the_cost_told_is_the_cost_booked(make_house: Callable[..., Any]) -> None:
    house = make_house()
    key = house.key("app", tenant_id="acme")
    told: list[dict[str, Any]] = []
    with openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=MESSAGES, extra_headers=REPORT
        )
        assert raw.parse().usage is not None
        told.append(told_in_headers(raw.headers))
        for extra in ({}, {"stream_options": {"include_usage": True}}):
            with client.chat.completions.with_streaming_response.create(
                model="gpt-5-mini", messages=MESSAGES, stream=True, extra_headers=REPORT,
                extra_body=extra,
            ) as response:  # fmt: skip
                told.append(told_in_comment(response.read().decode()))
        response_raw = client.responses.with_raw_response.create(
            model="gpt-5", input="hi", extra_headers=REPORT
        )
        told.append(told_in_headers(response_raw.headers))
    with httpx2.Client() as client2:
        body = {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": MESSAGES}
        for stream in (False, True):
            answer = client2.post(
                f"{house.url}/anthropic/v1/messages",
                headers={"x-api-key": key, "anthropic-version": "2023-06-01", **REPORT},
                json={**body, "stream": stream},
            )
            assert answer.status_code == 200, answer.text
            told.append(told_in_comment(answer.text) if stream else told_in_headers(answer.headers))
    house.stop()
    entries = house.records("SELECT * FROM entries ORDER BY called_at, call_id")
    assert len(entries) == len(told) == 6
    for said, entry in zip(told, entries, strict=True):
        assert_booked(said, entry)


def test_official_clients_do_not_mind_the_comment(make_house: Callable[..., Any]) -> None:
    house = make_house(settings="[response_cache]\nenabled = true\n")
    key = house.key("app", tenant_id="acme")
    with openai.OpenAI(
        base_url=f"{house.url}/openai/v1", api_key=key, default_headers=REPORT
    ) as client:
        chunks = list(
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        )
        assert chunks[-1].choices[0].finish_reason == "stop"
        events = list(client.responses.create(model="gpt-5", input="hi", stream=True))
        assert events[-1].type == "response.completed"
    with (
        anthropic.Anthropic(
            base_url=f"{house.url}/anthropic", api_key=key, default_headers=REPORT
        ) as claude,
        claude.messages.stream(
            model="claude-sonnet-4-6", max_tokens=50, messages=MESSAGES
        ) as stream,
    ):
        assert stream.get_final_message().usage.output_tokens > 0


def test_B18_an_answer_given_again_costs_nothing(make_house: Callable[..., Any]) -> None:
    house = make_house(settings="[response_cache]\nenabled = true\n")
    acme, globex = house.key("a", tenant_id="acme"), house.key("g", tenant_id="globex")
    wish = {"x-tollbook-cache": "use", **REPORT}

    def ask(key: str, *, stream: bool) -> tuple[str, str, dict[str, Any]]:
        with openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=key) as client:
            if not stream:
                raw = client.chat.completions.with_raw_response.create(
                    model="gpt-4o-mini", messages=MESSAGES, extra_headers=wish
                )
                text = raw.parse().choices[0].message.content or ""
                return raw.headers["x-tollbook-cache"], text, dict(raw.headers)
            with client.chat.completions.with_streaming_response.create(
                model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_headers=wish
            ) as response:
                body = response.read().decode()
                told = told_in_comment(body)
                shown = body.split(": tollbook ")[0]
                return response.headers["x-tollbook-cache"], shown, told

    plain = [ask(acme, stream=False) for _ in range(3)]
    assert [one[0] for one in plain] == ["miss", "hit", "hit"]
    assert len({one[1] for one in plain}) == 1
    assert plain[1][2]["x-tollbook-cost-usd"] == "0.000000000000"
    assert plain[1][2]["x-tollbook-saved-usd"] == plain[0][2]["x-tollbook-cost-usd"]
    streams = [ask(acme, stream=True) for _ in range(2)]
    assert [one[0] for one in streams] == ["miss", "hit"]
    assert streams[0][1] == streams[1][1]
    assert streams[1][2]["price_state"] == "cached"
    assert ask(globex, stream=False)[0] == "miss"  # nobody gets another tenant's answer
    house.stop()
    entries = house.records("SELECT * FROM entries ORDER BY called_at, call_id")
    assert [entry["price_state"] for entry in entries] == [
        "priced", "cached", "cached", "priced", "cached", "priced",
    ]  # fmt: skip
    for at, first in ((1, 0), (2, 0), (4, 3)):
        again, original = entries[at], entries[first]
        assert again["cost_usd"] == 0
        assert again["saved_cost_usd"] == original["cost_usd"] > 0
        assert again["cached_from"] == original["call_id"]
        assert again["status"] == "ok"
        assert not any(again[kind] for kind in KINDS)  # tokens nobody is billed for
