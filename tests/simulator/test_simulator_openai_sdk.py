"""The official OpenAI client cannot tell the simulator from the provider."""

from __future__ import annotations

import asyncio
import json
import struct
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tollbook.simulator.lab import raw_request

if TYPE_CHECKING:
    from tollbook.simulator.lab import Lab

CHAT_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


def test_chat_reports_the_usage_that_is_billed(
    lab: Lab, openai_client: openai.OpenAI, user_message: list[Any]
) -> None:
    request_id = lab.new_id()
    answer = openai_client.chat.completions.create(
        model="gpt-5",
        messages=user_message,
        extra_headers=lab.headers(
            request_id, size="input=3000;cache_read=2048;output=90;reasoning=40"
        ),
    )
    assert answer.model == "gpt-5-2025-08-07"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.service_tier == "default"
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3000, 90, 3090)
    assert usage.prompt_tokens_details.cached_tokens == 2048
    assert usage.completion_tokens_details.reasoning_tokens == 40
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert truth.ended.quantities == {
        "uncached_input": 952, "cache_read": 2048, "visible_output": 50, "reasoning": 40,
    }  # fmt: skip
    assert truth.ended.response_id == answer.id
    assert truth.ended.provider_request_id == answer._request_id
    assert truth.usage_delivered
    # 952 x 1.25 + 2048 x 0.125 + 90 x 10 dollars per million
    assert truth.ended.cost_usd == "0.002346000000"


def test_raw_response_has_the_headers_of_the_provider(
    openai_client: openai.OpenAI, user_message: list[Any]
) -> None:
    raw = openai_client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=user_message
    )
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-version"] == "2020-10-01"
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert int(raw.headers["x-ratelimit-remaining-requests"]) > 0
    assert raw.parse().id.startswith("chatcmpl-")


def test_stream_without_include_usage_does_not_speak_of_usage(lab: Lab) -> None:
    request_id = lab.new_id()
    body = json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": True}
    ).encode()
    data, _ = lab.exchange(
        raw_request("/openai/v1/chat/completions", body, lab.headers(request_id))
    )
    assert b"usage" not in data
    assert b"data: [DONE]" in data
    truth = lab.truth(request_id)
    assert truth.is_billed
    assert not truth.usage_delivered


def test_stream_with_include_usage_ends_in_a_chunk_of_usage_alone(
    lab: Lab, openai_client: openai.OpenAI, user_message: list[Any]
) -> None:
    request_id = lab.new_id()
    stream = openai_client.chat.completions.create(
        model="gpt-4o",
        messages=user_message,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=lab.headers(request_id, size="input=40;output=12"),
    )
    chunks = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks[:-1])
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 12
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert lab.truth(request_id).usage_delivered


def test_streamed_text_is_the_text_of_its_tokens(
    openai_client: openai.OpenAI, user_message: list[Any]
) -> None:
    with openai_client.chat.completions.stream(
        model="gpt-4o",
        messages=user_message,
        extra_headers={"x-sim-size": "input=9;output=5000;events=300"},
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.delta") == 1 + 300  # the opening chunk has empty content
    text = final.choices[0].message.content
    assert text is not None
    assert len(text.split(" ")) - 1 == 5000


@pytest.mark.parametrize("mode", ["plain", "stream"])
def test_tool_calls(openai_client: openai.OpenAI, user_message: list[Any], mode: str) -> None:
    if mode == "stream":
        with openai_client.chat.completions.stream(
            model="gpt-4o", messages=user_message, tools=[CHAT_TOOL]
        ) as stream:
            final: Any = stream.get_final_completion()
    else:
        final = openai_client.chat.completions.create(
            model="gpt-4o", messages=user_message, tools=[CHAT_TOOL]
        )
    choice = final.choices[0]
    assert choice.finish_reason == "tool_calls"
    call = choice.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments).keys() == {"city", "days"}
    after = openai_client.chat.completions.create(
        model="gpt-4o",
        tools=[CHAT_TOOL],
        messages=[
            *user_message,
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": call.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
    )
    assert after.choices[0].finish_reason == "stop"


def test_several_choices_share_the_output(
    lab: Lab, openai_client: openai.OpenAI, user_message: list[Any]
) -> None:
    answer = openai_client.chat.completions.create(
        model="gpt-4o",
        messages=user_message,
        n=3,
        extra_headers=lab.headers(lab.new_id(), size="input=9;output=31"),
    )
    words = [len((choice.message.content or "").split(" ")) - 1 for choice in answer.choices]
    assert words == [11, 10, 10]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 31


def test_the_output_limit_is_kept(openai_client: openai.OpenAI, user_message: list[Any]) -> None:
    answer = openai_client.chat.completions.create(
        model="gpt-4o", messages=user_message, max_completion_tokens=5
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_repeated_long_prompt_is_read_from_the_cache(openai_client: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "system", "content": "rules " * 2000},
        {"role": "user", "content": "a"},
    ]
    cached = []
    for question in ("a", "b"):
        messages[1]["content"] = question
        usage = openai_client.chat.completions.create(model="gpt-4o", messages=messages).usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        cached.append(usage.prompt_tokens_details.cached_tokens)
    assert cached[0] == 0
    assert cached[1] is not None
    assert cached[1] >= 1024
    assert cached[1] % 128 == 0


def test_async_client_streams(lab: Lab, user_message: list[Any]) -> None:
    async def run() -> int:
        async with (
            openai.AsyncOpenAI(base_url=lab.openai_url, api_key="sk-sim-test") as client,
            await client.chat.completions.create(
                model="gpt-4o", messages=user_message, stream=True
            ) as stream,
        ):
            return len([chunk async for chunk in stream])

    assert asyncio.run(run()) > 5


def test_responses_plain_and_fetched_again(openai_client: openai.OpenAI) -> None:
    made = openai_client.responses.create(
        model="gpt-5",
        input="hello",
        metadata={"tenant_id": "acme"},
        extra_headers={"x-sim-size": "input=7;output=30;reasoning=10"},
    )
    assert made.status == "completed"
    assert [item.type for item in made.output] == ["reasoning", "message"]
    assert made.usage is not None
    assert made.usage.output_tokens_details.reasoning_tokens == 10
    assert made.metadata == {"tenant_id": "acme"}
    assert openai_client.responses.retrieve(made.id).output_text == made.output_text
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.retrieve("resp_unknown")


def test_responses_stream_has_the_whole_sequence(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(
        model="gpt-5", input="hello", extra_headers={"x-sim-size": "input=7;output=6;reasoning=2"}
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
    ]
    assert kinds[4:6] == ["response.output_item.added", "response.content_part.added"]
    assert kinds[6:-4] == ["response.output_text.delta"] * 4
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text
    assert final.usage is not None
    assert final.usage.total_tokens == 13


@pytest.mark.parametrize("mode", ["plain", "stream"])
def test_responses_call_tools(openai_client: openai.OpenAI, mode: str) -> None:
    tool: Any = CHAT_TOOL["function"] | {"type": "function", "strict": False}
    if mode == "stream":
        with openai_client.responses.stream(model="gpt-4o", input="x", tools=[tool]) as stream:
            output: Any = stream.get_final_response().output
    else:
        output = openai_client.responses.create(model="gpt-4o", input="x", tools=[tool]).output
    assert [item.type for item in output] == ["function_call"]
    assert json.loads(output[0].arguments) == {"city": "value", "days": 7}


def test_completions(openai_client: openai.OpenAI) -> None:
    plain = openai_client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x")
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 16
    assert plain.choices[0].finish_reason == "length"
    stream = openai_client.completions.create(
        model="gpt-3.5-turbo-instruct",
        prompt="x",
        max_tokens=40,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1])
    assert chunks[-1].usage is not None


def test_embeddings_as_numbers_and_as_base64(lab: Lab, openai_client: openai.OpenAI) -> None:
    request_id = lab.new_id()
    answer = openai_client.embeddings.create(
        model="text-embedding-3-small",
        input=["one", "two"],
        dimensions=256,
        extra_headers=lab.headers(request_id, size="input=77"),
    )
    assert [len(item.embedding) for item in answer.data] == [256, 256]
    assert sum(x * x for x in answer.data[0].embedding) == pytest.approx(1)
    assert answer.usage.total_tokens == 77
    assert lab.truth(request_id).quantities.uncached_input == 77
    for form in ("float", "base64"):
        body = json.dumps(
            {"model": "text-embedding-3-small", "input": "x", "encoding_format": form}
        ).encode()
        data, _ = lab.exchange(raw_request("/openai/v1/embeddings", body))
        vector = json.loads(data.partition(b"\r\n\r\n")[2])["data"][0]["embedding"]
        if form == "base64":
            vector = struct.unpack("<1536f", b64decode(vector))
        assert len(vector) == 1536


def test_other_paths(lab: Lab, openai_client: openai.OpenAI) -> None:
    assert "gpt-4o" in {model.id for model in openai_client.models.list()}
    assert openai_client.models.retrieve("gpt-4o").id == "gpt-4o"
    request_id = lab.new_id()
    moderation = openai_client.moderations.create(
        input="fine", extra_headers=lab.headers(request_id)
    )
    assert not moderation.results[0].flagged
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert (truth.ended.outcome, truth.is_billed) == ("ok", False)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "no-such-model"}, openai.NotFoundError),
        ({"model": "text-embedding-3-small"}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
        ({"messages": [{"role": "wizard", "content": "x"}]}, openai.BadRequestError),
        ({"stream_options": {"include_usage": True}}, openai.BadRequestError),
        ({"max_tokens": 0}, openai.BadRequestError),
        ({"metadata": {"tags": ["a"]}}, openai.BadRequestError),
        ({"tools": [], "tool_choice": {"type": "function", "function": {"name": "f"}}},
         openai.BadRequestError),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_in_the_shape_of_the_provider(
    lab: Lab,
    openai_client: openai.OpenAI,
    user_message: list[Any],
    body: dict[str, Any],
    error: type[openai.APIStatusError],
) -> None:
    request_id = lab.new_id()
    whole: Any = {"model": "gpt-4o", "messages": user_message} | body
    with pytest.raises(error) as caught:
        openai_client.chat.completions.create(**whole, extra_headers=lab.headers(request_id))
    assert isinstance(caught.value.body, dict)
    assert caught.value.body.keys() == {"message", "type", "param", "code"}
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert (truth.ended.outcome, truth.is_billed) == ("error", False)


def test_a_too_long_prompt_is_refused(
    openai_client: openai.OpenAI, user_message: list[Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(
            model="gpt-4o", messages=user_message, extra_headers={"x-sim-size": "input=200000"}
        )
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("key", ["tb-virtual-key", "sk-other"])
def test_a_foreign_key_is_refused_and_counted_as_a_leak(
    lab: Lab, user_message: list[Any], key: str
) -> None:
    request_id = lab.new_id()
    with (
        openai.OpenAI(base_url=lab.openai_url, api_key=key) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(
            model="gpt-4o", messages=user_message, extra_headers=lab.headers(request_id)
        )
    truth = lab.truth(request_id)
    assert truth.received.leaks == ("credential",)
    assert key not in str(truth)
