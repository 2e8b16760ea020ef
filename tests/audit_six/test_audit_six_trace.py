"""Which spans of a trace are billed: the innermost that tell of usage, as the ledger has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.audit_six.span_kit import call, server, span, trace_of

if TYPE_CHECKING:
    from tollbook.capture.otlp.spans import Span


def agent(key: str, parent: str | None) -> Span:
    return span(
        "t", key, parent, gen_ai__operation__name="invoke_agent",
        gen_ai__usage__input_tokens=40, gen_ai__usage__output_tokens=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("parents", "billed"),
    [
        ({"a": None}, {"a"}),
        ({"a": None, "b": "a"}, {"b"}),
        ({"a": None, "b": "a", "c": "a"}, {"b", "c"}),
        ({"a": None, "b": "a", "c": "b"}, {"c"}),
    ],
)
def test_of_agents_that_sum_up_the_innermost_stand(
    parents: dict[str, str | None], billed: set[str]
) -> None:
    made = trace_of([agent(key, parent) for key, parent in parents.items()])
    assert {one.name for one in made.calls} == billed
    assert {one.name for one in made.wrappers} == parents.keys() - billed


def test_a_call_stands_for_all_that_sum_it_up() -> None:
    made = trace_of([server("t", "in"), agent("a", "in"), agent("b", "a"), call("t", "c", "b")])
    assert [one.span_id for one in made.calls] == [trace_of([call("t", "c")]).calls[0].span_id]
    assert len(made.wrappers) == 2
