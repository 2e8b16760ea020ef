"""The official Anthropic client cannot tell the simulator from the provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

if TYPE_CHECKING:
    from tollbook.simulator.lab import Lab

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
    },
}
SIZE = "input=5000;cache_read=2000;cache_write_5m=1500;cache_write_1h=500;output=60;reasoning=20"
QUANTITIES = {
    "uncached_input": 1000, "cache_read": 2000, "cache_write_5m": 1500, "cache_write_1h": 500,
    "visible_output": 40, "reasoning": 20,
}  # fmt: skip


def _check_usage(usage: anthropic.types.Usage) -> None:
    assert usage.input_tokens == 1000
    assert usage.cache_read_input_tokens == 2000
    assert usage.cache_creation_input_tokens == 2000
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_5m_input_tokens == 1500
    assert usage.cache_creation.ephemeral_1h_input_tokens == 500
    assert usage.output_tokens == 60
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 20


def test_message_reports_the_usage_that_is_billed(
    lab: Lab, anthropic_client: anthropic.Anthropic, user_message: list[Any]
) -> None:
    request_id = lab.new_id()
    answer = anthropic_client.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=1000,
        messages=user_message,
        extra_headers=lab.headers(request_id, size=SIZE),
    )
    assert answer.model == "claude-sonnet-4-6"
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.stop_reason == "end_turn"
    _check_usage(answer.usage)
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert truth.ended.quantities == QUANTITIES
    # (1000 x 3 + 2000 x 0.3 + 1500 x 3.75 + 500 x 6 + 60 x 15) / 10^6
    assert truth.ended.cost_usd == "0.013125000000"
    assert truth.ended.provider_request_id == answer._request_id


def test_stream_helper_sees_every_event_and_the_same_usage(
    lab: Lab, anthropic_client: anthropic.Anthropic, user_message: list[Any]
) -> None:
    request_id = lab.new_id()
    with anthropic_client.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=1000,
        messages=user_message,
        extra_headers=lab.headers(request_id, size=SIZE),
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    _check_usage(final.usage)
    assert lab.truth(request_id).usage_delivered


def test_stream_opens_with_usage_and_pings(
    anthropic_client: anthropic.Anthropic, user_message: list[Any]
) -> None:
    stream = anthropic_client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=50,
        messages=user_message,
        stream=True,
        extra_headers={"x-sim-size": "input=9;output=30"},
    )
    events = list(stream)
    assert events[0].type == "message_start"
    assert events[0].message.usage.input_tokens == 9
    assert events[0].message.usage.output_tokens == 1
    assert events[-2].type == "message_delta"
    assert events[-2].usage.output_tokens == 30


@pytest.mark.parametrize("mode", ["plain", "stream"])
def test_tool_use(
    anthropic_client: anthropic.Anthropic, user_message: list[Any], mode: str
) -> None:
    if mode == "stream":
        with anthropic_client.messages.stream(
            model="claude-haiku-4-5", max_tokens=500, messages=user_message, tools=[TOOL]
        ) as stream:
            final: Any = stream.get_final_message()
    else:
        final = anthropic_client.messages.create(
            model="claude-haiku-4-5", max_tokens=500, messages=user_message, tools=[TOOL]
        )
    assert final.stop_reason == "tool_use"
    block = final.content[-1]
    assert (block.type, block.name) == ("tool_use", "get_weather")
    assert block.input == {"city": "value", "unit": "C"}
    after = anthropic_client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=500,
        tools=[TOOL],
        messages=[
            *user_message,
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "sun"}],
            },
        ],
    )
    assert after.stop_reason == "end_turn"


def test_cache_control_writes_and_then_reads(
    anthropic_client: anthropic.Anthropic, user_message: list[Any]
) -> None:
    system: Any = [
        {"type": "text", "text": "rules " * 1500, "cache_control": {"type": "ephemeral"}},
        {
            "type": "text",
            "text": "more " * 1500,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ]
    first, second = (
        anthropic_client.messages.create(
            model="claude-opus-4-5", max_tokens=50, messages=user_message, system=system
        ).usage
        for _ in range(2)
    )
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_5m_input_tokens > 1024
    assert first.cache_creation.ephemeral_1h_input_tokens > 1024
    assert first.cache_read_input_tokens == 0
    assert second.cache_creation_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens


def test_counting_tokens_is_free(
    lab: Lab, anthropic_client: anthropic.Anthropic, user_message: list[Any]
) -> None:
    request_id = lab.new_id()
    count = anthropic_client.messages.count_tokens(
        model="claude-haiku-4-5", messages=user_message, extra_headers=lab.headers(request_id)
    )
    assert count.input_tokens == 6
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert truth.ended.outcome == "ok"
    assert not truth.is_billed


def test_models_and_headers(anthropic_client: anthropic.Anthropic, user_message: list[Any]) -> None:
    assert "claude-sonnet-5" in {model.id for model in anthropic_client.models.list()}
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=5, messages=user_message
    )
    assert raw.headers["request-id"].startswith("req_")
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) > 0
    assert raw.parse().stop_reason == "max_tokens"


def test_async_client(lab: Lab, user_message: list[Any]) -> None:
    async def run() -> str:
        async with (
            anthropic.AsyncAnthropic(base_url=lab.anthropic_url, api_key="sk-sim-test") as client,
            client.messages.stream(
                model="claude-haiku-4-5", max_tokens=50, messages=user_message
            ) as stream,
        ):
            return "".join([text async for text in stream.text_stream])

    assert asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "no-such-model"}, anthropic.NotFoundError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"metadata": {"user_id": "u", "tenant": "t"}}, anthropic.BadRequestError),
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}},
         anthropic.BadRequestError),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_in_the_shape_of_the_provider(
    anthropic_client: anthropic.Anthropic,
    user_message: list[Any],
    body: dict[str, Any],
    error: type[anthropic.APIStatusError],
) -> None:
    whole: Any = {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "messages": user_message,
    } | body
    with pytest.raises(error) as caught:
        anthropic_client.messages.create(**whole)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"].keys() == {"type", "message"}


def test_a_key_that_is_not_valid(lab: Lab, user_message: list[Any]) -> None:
    with (
        anthropic.Anthropic(base_url=lab.anthropic_url, api_key="other") as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model="claude-haiku-4-5", max_tokens=5, messages=user_message)
