"""Spans that only wrap calls are not charged; what is within them is."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tollbook.call import Observer
from tollbook.ledger.stitch.decide import AGGREGATE_FLAG

W = Any
SDK, OTLP = Observer.SDK, Observer.OTLP
R1 = "chatcmpl-0123456789abcdef0123"
R2 = "chatcmpl-fedcba98765432100000"
ONE = ("0.0028", 1, 1000, 100)


def total(world: W) -> tuple[Any, ...]:
    rows = world.sums()
    assert len(rows) == 1
    return rows[0][4], *rows[0][1:4]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_agent_around_two_calls(world: W, order: tuple[int, ...]) -> None:
    told = [
        world.seen(OTLP, "agent", trace="t", span="agent", tokens=(2000, 200),
                   operation="invoke_agent"),
        [world.span("t", "tool", "agent"),
         world.seen(OTLP, "one", trace="t", span="one", parent="tool")],
        world.seen(OTLP, "two", trace="t", span="two", parent="agent", response_id=R2),
    ]  # fmt: skip
    for at in order:
        world.write(told[at])
    assert total(world) == ("0.0056", 2, 2000, 200)
    assert sorted(world.states().values()) == ["charged", "charged", "wrapper"]
    world.clean()


def test_an_agent_alone_stays_charged_and_says_so(world: W) -> None:
    agent = world.seen(OTLP, trace="t", span="agent", operation="invoke_agent", tenant="a")
    world.write(agent)
    assert total(world) == ONE
    assert list(world.states().values()) == ["aggregate"]
    ((flags,),) = world.in_force("price_flags")
    assert AGGREGATE_FLAG in flags
    world.write(world.seen(None, trace="t", parent="agent", tokens=(10, 1), tenant="a"))
    assert [row[:4] for row in world.sums()] == [("a", 1, 10, 1)]
    assert list(world.states().values()) == ["wrapper"]
    world.clean()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_two_instrumentations_nested_and_the_gateway(world: W, order: tuple[int, ...]) -> None:
    told = [
        world.seen(OTLP, "outer", trace="t", span="outer", response_id=R1, tenant="a"),
        world.seen(OTLP, "inner", trace="t", span="inner", parent="outer", response_id=R1),
        [world.span("t", "http", "inner"),
         world.seen(None, "g", trace="t", parent="http", response_id=R1)],
    ]  # fmt: skip
    for at in order:
        world.write(told[at])
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    assert sorted(world.states().values()) == ["stitched", "wrapper"]
    world.clean()


def test_a_chat_span_with_one_call_of_the_gateway_is_that_call(world: W) -> None:
    """No ids at all, as of embeddings: the only call within the span, an HTTP span between."""
    world.write(world.seen(None, trace="t", parent="http", tokens=(10, 0)))
    assert [row[:2] for row in world.sums()] == [(None, 1)]
    world.write(world.seen(OTLP, trace="t", span="o", tokens=(10, 0), tenant="a"))
    assert [row[:2] for row in world.sums()] == [("a", 2)]
    world.write(world.span("t", "http", "o"))
    assert world.sums() == [("a", 1, 10, 0, "0.00002")]
    world.clean()


def test_several_calls_of_the_gateway_make_a_wrapper(world: W) -> None:
    world.write(
        world.seen(OTLP, trace="t", span="o", tokens=(2000, 200)),
        world.seen(None, trace="t", parent="o", response_id=R1, tenant="a"),
        world.seen(None, trace="t", parent="o", response_id=R2, tenant="a"),
    )
    assert world.sums() == [("a", 2, 2000, 200, "0.0056")]
    assert list(world.states().values()) == ["wrapper"]
    world.clean()


def test_siblings_are_two_calls(world: W) -> None:
    world.write(
        world.seen(OTLP, trace="t", span="o1", parent="r", tenant="a"),
        world.seen(OTLP, trace="t", span="o2", parent="r", tenant="a"),
    )
    assert [row[:2] for row in world.sums()] == [("a", 2)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_usage_in_a_child_span(world: W, order: tuple[int, ...]) -> None:
    """The call's span has the model, a child has the usage: one charge with both."""
    told = [
        world.seen(OTLP, "call", trace="t", span="call", tokens=None, tenant="a"),
        world.seen(OTLP, "usage", trace="t", span="usage", parent="call", provider="unknown",
                   model_requested=None, model_actual=None),
    ]  # fmt: skip
    for at in order:
        world.write(told[at])
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    assert world.in_force("provider", "model_actual", "identity_source") == [
        ("openai", "m-1", "trace")
    ]
    world.clean()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_child_that_tells_of_no_usage_is_covered(world: W, order: tuple[int, ...]) -> None:
    told = [
        world.seen(OTLP, "call", trace="t", span="call", tenant="a"),
        world.seen(OTLP, "inner", trace="t", span="inner", parent="call", tokens=None),
    ]
    for at in order:
        world.write(told[at])
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    assert sorted(world.states().values()) == ["charged", "covered"]
    world.clean()


def test_spans_in_a_circle_lose_nothing(world: W) -> None:
    world.write(
        world.seen(OTLP, trace="t", span="a", parent="b", tenant="a"),
        world.seen(OTLP, trace="t", span="b", parent="a", tenant="a"),
        world.seen(OTLP, trace="t", span="c", parent="c", tenant="a"),
    )
    assert [row[:2] for row in world.sums()] == [("a", 3)]
    world.clean()


def test_an_sdk_within_an_instrumentation(world: W) -> None:
    world.write(
        world.seen(OTLP, trace="t", span="o", response_id=R1),
        world.seen(SDK, trace="t", span="s", parent="o", response_id=R1, tenant="a"),
    )
    assert world.sums() == [("a", 1, 1000, 100, "0.0028")]
    assert world.in_force("observer", "observed_by") == [("sdk", '["sdk","otlp"]')]
    world.clean()
