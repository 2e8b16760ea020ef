"""The official Anthropic client, metered in process: streams, helpers, the tool runner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anthropic
import pytest
from anthropic import beta_tool
from opentelemetry.sdk.trace import TracerProvider
from tests.sdk_harness.harness_kit import CLAUDE, KEY, MESSAGES

import tollbook
from tollbook.call import Status
from tollbook.sdk.harness import faults, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sdk_harness.harness_kit import Providers, Seen


@pytest.fixture
def client(providers: Providers, seen: Seen) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=providers.url("anthropic"), api_key=KEY) as made:
        yield wrap(made, sink=seen)
    assert faults.counts == {}


def test_plain_streamed_and_counted(
    client: anthropic.Anthropic, providers: Providers, seen: Seen
) -> None:
    with tollbook.tenant("acme"):
        message = client.messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES)
        with client.messages.stream(model=CLAUDE, max_tokens=200, messages=MESSAGES) as stream:
            final = stream.get_final_message()
        events = list(
            client.messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES, stream=True)
        )
        client.messages.count_tokens(model=CLAUDE, messages=MESSAGES)

    pairs = seen.settled()
    assert events
    assert [pair.closed.provider_response_id for pair in pairs][:2] == [message.id, final.id]
    assert [pair.closed.status for pair in pairs] == [Status.OK] * 3
    assert {(pair.opened.provider, pair.tenant) for pair in pairs} == {("anthropic", "acme")}
    providers.assert_tied_out(*pairs)


def test_raw_responses_and_streams_left_early(client: anthropic.Anthropic, seen: Seen) -> None:
    raw = client.messages.with_raw_response.create(model=CLAUDE, max_tokens=9, messages=MESSAGES)
    slow = {"x-sim-fault": "slow_stream;delay_ms=5"}
    with client.messages.stream(
        model=CLAUDE, max_tokens=200, messages=MESSAGES, extra_headers=slow
    ) as stream:
        next(iter(stream.text_stream))
    dropped = client.messages.create(
        model=CLAUDE, max_tokens=200, messages=MESSAGES, stream=True, extra_headers=slow
    )
    next(dropped)
    del dropped

    first, second, third = seen.settled()
    assert raw.parse().usage.output_tokens
    assert first.closed.status == Status.OK
    assert (second.closed.status, second.closed.usage_complete) == (Status.CANCELLED, False)
    assert second.closed.usage, "what message_start said is kept"
    assert third.closed.status == Status.CANCELLED


def test_a_tool_runner_makes_a_call_each_turn(
    client: anthropic.Anthropic, providers: Providers, seen: Seen
) -> None:
    asked: list[str | None] = []

    @beta_tool
    def look_up(query: str) -> str:
        """Look something up.

        Args:
            query: what to look for.
        """
        asked.append(tollbook.current().tenant_id)
        return f"nothing about {query}"

    with tollbook.tenant("acme"), tollbook.agent_run("run-1"):
        runner = client.beta.messages.tool_runner(
            model=CLAUDE, max_tokens=200, messages=MESSAGES, tools=[look_up], max_iterations=3,
            extra_headers={"x-sim-usage": "tool_calls=1"},
        )  # fmt: skip
        turns = list(runner)

    pairs = seen.settled()
    assert len(pairs) == len(turns)
    assert {(pair.tenant, pair.opened.identity.agent_run_id) for pair in pairs} == {
        ("acme", "run-1")
    }
    assert set(asked) <= {"acme"}
    providers.assert_tied_out(*pairs)


def test_the_span_in_force_is_the_parent(client: anthropic.Anthropic, seen: Seen) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        client.messages.create(model=CLAUDE, max_tokens=9, messages=MESSAGES)
    context = span.get_span_context()
    opened = seen.only().opened
    assert opened.trace_id == f"{context.trace_id:032x}"
    assert opened.parent_span_id == f"{context.span_id:016x}"
    assert opened.span_id not in {None, opened.parent_span_id}


def test_asynchronous_streams_of_tenants_in_turns(providers: Providers, seen: Seen) -> None:
    async def main() -> None:
        made = anthropic.AsyncAnthropic(base_url=providers.url("anthropic"), api_key=KEY)
        async with wrap(made, sink=seen) as client:
            streams = []
            for tenant in ("a", "b", "c"):
                with tollbook.tenant(tenant):
                    streams.append(
                        await client.messages.create(
                            model=CLAUDE, max_tokens=200, messages=MESSAGES, stream=True
                        )
                    )
            left = list(streams)
            while left:
                for stream in list(left):
                    if await anext(aiter(stream), None) is None:
                        left.remove(stream)
                    assert tollbook.current().tenant_id is None

    asyncio.run(main())
    pairs = seen.settled()
    assert sorted(pair.tenant or "" for pair in pairs) == ["a", "b", "c"]
    assert {pair.closed.status for pair in pairs} == {Status.OK}
    providers.assert_tied_out(*pairs)


def test_overload_then_an_answer(client: anthropic.Anthropic, seen: Seen) -> None:
    client.messages.create(
        model=CLAUDE, max_tokens=9, messages=MESSAGES,
        extra_headers={
            "x-sim-fault": "overloaded;times=1;retry_after_ms=10",
            "x-sim-request-id": "overloaded-1",
        },
    )  # fmt: skip
    first, second = seen.settled()
    assert (first.closed.http_status, first.closed.error_type) == (529, "overloaded_error")
    assert (second.opened.attempt, second.opened.retry_of) == (2, first.opened.call_id)
