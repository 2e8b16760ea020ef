"""A run whose calls were seen by the gateway, an SDK and a tracer at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.runs_kit import TRACE, outline, span_id

from tollbook.call import Observer, SpanKind
from tollbook.layers import Section

if TYPE_CHECKING:
    from tests.runs.runs_kit import RunWorld

    from tollbook.call import CallOpened

RUN = {"tenant_id": "acme", "agent_run_id": "r-1"}
WEIGHTS = (int(Section.SYSTEM), 3, int(Section.USER_INPUT), 1)


def _seen_by_a_tracer(runs: RunWorld, number: int, parent: int, response_id: str) -> CallOpened:
    """A chat span as the receiver books it: a span and a call with the same id."""
    one = runs.made(
        parent, {}, observer=Observer.OTLP, span_id=span_id(number), input_chars=0,
        closed={"provider_response_id": response_id, "model_actual": "m-1"},
    )  # fmt: skip
    runs.span(number, parent, "chat m-1", SpanKind.MODEL, call_id=one.call_id)
    return one


def test_each_call_is_in_the_tree_once_whoever_saw_it(runs: RunWorld) -> None:
    runs.span(1, None, "agent", SpanKind.AGENT, identity=RUN)
    runs.span(2, 1, "search", SpanKind.TOOL)
    _seen_by_a_tracer(runs, 3, 2, "resp-1")
    _seen_by_a_tracer(runs, 4, 1, "resp-2")
    runs.made(3, {}, closed={"provider_response_id": "resp-1", "model_actual": "m-1"})
    runs.book()
    report = runs.run("r-1")
    assert outline(report) == [
        "r-1 0.004",
        "  agent 0.004",
        "    search 0.002",
        "      chat m-1 0.002 [run of its trace]",
        "    chat m-1 0.002 [run of its trace]",
    ]
    assert report.totals["calls"] == 2
    assert report.inherited["calls"] == 2
    assert runs.verify().findings == ()


def test_layers_of_an_observer_are_those_of_the_one_charge(runs: RunWorld) -> None:
    """The gateway knows the usage, the SDK what the request was made of."""
    said = {"provider_response_id": "resp-1", "model_actual": "m-1"}
    runs.made(None, RUN, closed=said)
    runs.made(
        None, RUN, observer=Observer.SDK, layers=WEIGHTS, prefix_hash="cd" * 8, prefix_chars=3,
        closed=said | {"usage": (), "usage_complete": False},
    )  # fmt: skip
    runs.book()
    ((calls, prompt, user, unsplit, prefix),) = runs.rows(
        "SELECT sum(calls), sum(prompt_layer_tokens), sum(user_layer_tokens),"
        " sum(unsplit_layer_tokens), max(prefix_hash) FILTER (kind = 'charge') FROM entries"
    )
    assert (calls, prompt, user, unsplit, prefix) == (1, 750, 250, 0, "cd" * 8)
    assert runs.verify().findings == ()


def test_a_run_of_a_trace_is_found_by_trace_after_its_calls_got_their_owner(
    runs: RunWorld,
) -> None:
    runs.made(1, {})
    runs.book()
    runs.span(1, None, "agent", SpanKind.AGENT, identity=RUN)
    runs.book()
    assert outline(runs.run(TRACE)) == [
        f"{TRACE} 0.002", "  agent 0.002", "    chat m-1 0.002",
    ]  # fmt: skip
    assert runs.run("r-1").totals["cost_usd"] == "0.002000000000"
