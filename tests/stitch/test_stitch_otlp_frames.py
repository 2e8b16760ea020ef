"""Spans as they are received, beside what the gateway saw of the same calls."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from tests.stitch.stitch_kit import MS, hexid

from tollbook.capture.otlp.mapping import frames_of
from tollbook.capture.otlp.spans import Span

W = Any
R1 = "chatcmpl-0123456789abcdef0123"


def span(world: W, name: str, parent: str | None, **attributes: Any) -> list[Any]:
    at_ns = world.tick()
    told = Span(
        trace_id=hexid("t", 32), span_id=hexid(name),
        parent_span_id=None if parent is None else hexid(parent), name=name,
        started_at_ns=at_ns, ended_at_ns=at_ns + 10 * MS,
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
    )  # fmt: skip
    return frames_of(told, at_ns + 20 * MS)


def usage(tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {"gen_ai__usage__input_tokens": tokens_in, "gen_ai__usage__output_tokens": tokens_out}


@pytest.mark.parametrize("order", list(permutations(range(4)))[::3])
def test_agent_chat_http_gateway(world: W, order: tuple[int, ...]) -> None:
    chat = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "openai",
            "gen_ai__request__model": "m-1"}  # fmt: skip
    told = [
        [span(world, "request", None, tenant__id="acme"),
         span(world, "agent", "request", gen_ai__operation__name="invoke_agent",
              **usage(3000, 300))],
        span(world, "seen", "agent", gen_ai__response__id=R1, **chat, **usage(1000, 100)),
        span(world, "direct", "agent", **chat, **usage(2000, 200)),
        [span(world, "http", "seen", http__request__method="POST"),
         world.seen(None, "g", trace="t", parent="http", response_id=R1)],
    ]  # fmt: skip
    for at in order:
        world.write(told[at])
    assert world.sums() == [("acme", 2, 3000, 300, "0.0084")]
    observed = {row[0] for row in world.in_force("observed_by")}
    assert observed == {'["gateway","otlp"]', '["otlp"]'}
    assert sorted(world.states().values()) == ["charged", "stitched", "wrapper"]
    world.clean()


def test_a_chain_that_repeats_the_usage_of_the_call_within(world: W) -> None:
    world.write(
        span(world, "chain", None, openinference__span__kind="CHAIN",
             llm__token_count__prompt=1000, llm__token_count__completion=100, tenant__id="acme"),
        span(world, "llm", "chain", openinference__span__kind="LLM", llm__provider="openai",
             llm__model_name="m-1", llm__token_count__prompt=1000,
             llm__token_count__completion=100),
    )  # fmt: skip
    assert world.sums() == [("acme", 1, 1000, 100, "0.0028")]
    world.clean()
