"""Whatever strangers send as spans, a run's tree loses no call, counts none twice, and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.call import SpanKind
from tollbook.money import pico_from_usd
from tollbook.reports.runs_rows import CallRow, SpanRow, Sums
from tollbook.reports.runs_shape import tree_lines
from tollbook.reports.runs_tree import CALL, Node, Tree, build_tree

AT = datetime(2026, 11, 21, tzinfo=UTC)
_ids = st.sampled_from(["a", "b", "c", "d", "e", "f", "g"])
_traces = st.sampled_from(["t1", "t1", "t1", "t2"])
_runs = st.sampled_from([None, None, "r", "r", "other"])


def _span(**fields: Any) -> SpanRow:
    defaults: dict[str, Any] = {
        "trace_id": "t1", "span_id": "a", "parent_span_id": None, "name": "n", "kind": "agent",
        "is_error": False, "started_at": AT, "ended_at": AT, "identity": {}, "call_id": None,
    }  # fmt: skip
    return SpanRow(**(defaults | fields))


def _call(**fields: Any) -> CallRow:
    defaults: dict[str, Any] = {
        "call_id": "1", "called_at": AT, "tenant_id": "acme", "agent_run_id": None,
        "request_id": None, "workflow_step": None, "trace_id": None, "span_id": None,
        "parent_span_id": None, "provider": "openai", "operation": "chat", "model": "m",
        "status": "ok", "usage_source": "reported", "price_state": "priced", "retry_of": None,
        "duration_ns": 1, "sources": {}, "has_conflict": False, "cost": 1, "is_cost_known": True,
        "input_tokens": 1, "output_tokens": 1,
    }  # fmt: skip
    return CallRow(**(defaults | fields))


_spans = st.lists(
    st.builds(
        lambda trace, own, parent, kind, run, call, at: _span(
            trace_id=trace, span_id=own, parent_span_id=parent, kind=str(kind),
            identity={} if run is None else {"agent_run_id": run}, call_id=call,
            started_at=AT + timedelta(seconds=at),
        ),
        _traces, _ids, st.none() | _ids | st.just("unseen"), st.sampled_from(SpanKind), _runs,
        st.sampled_from([None, None, "0", "1", "2"]), st.integers(0, 5),
    ),
    max_size=10, unique_by=lambda one: one.key,
)  # fmt: skip
_calls = st.lists(
    st.builds(
        lambda trace, own, parent, run, step, cost, status, retry: {
            "trace_id": trace, "span_id": own, "parent_span_id": parent, "agent_run_id": run,
            "workflow_step": step, "cost": cost or 0, "is_cost_known": cost is not None,
            "status": status, "retry_of": retry,
        },
        st.none() | _traces, st.none() | _ids, st.none() | _ids | st.just("unseen"), _runs,
        st.sampled_from([None, "plan", "act/look", "/", "act"]),
        st.none() | st.integers(-5, 10**14), st.sampled_from(["ok", "error"]),
        st.sampled_from([None, "x"]),
    ),
    max_size=12,
).map(lambda told: [_call(call_id=str(at), **one) for at, one in enumerate(told)])  # fmt: skip


def _nodes(root: Node) -> list[Node]:
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].children
    return found


def _sum(calls: list[CallRow]) -> Sums:
    total = Sums()
    for call in calls:
        total = total.plus(call.sums())
    return total


@settings(deadline=None, max_examples=400)
@given(_spans, _calls, st.dictionaries(st.sampled_from("012"), st.sampled_from([*"3456", None])))
def test_each_call_is_in_one_place_and_own_sums_are_the_whole(
    spans: list[SpanRow], calls: list[CallRow], charged_as: dict[str, str | None]
) -> None:
    tree = build_tree("r", "agent_run_id", calls, spans, charged_as)
    nodes = _nodes(tree.root)
    placed = [node.call.call_id for node in nodes if node.call is not None]
    assert sorted(placed) == sorted(one.call_id for one in tree.calls)
    assert tree.root.subtree == _sum(tree.calls)
    owns = [node.own for node in nodes if node.kind != CALL]
    assert sum(one.cost for one in owns) == tree.root.subtree.cost
    assert sum(one.calls for one in owns) == len(tree.calls)
    for node in nodes:
        below = [child.subtree.cost for child in node.children if child.kind != CALL]
        assert node.subtree.cost == node.own.cost + sum(below)
        if node.kind == CALL:
            assert not node.children
    named = {one.call_id for one in calls if one.agent_run_id == "r"}
    assert named <= set(placed)
    _check_the_others(tree, calls)


def _check_the_others(tree: Tree, calls: list[CallRow]) -> None:
    """What is in the tree without naming the run is told, what is not in it as well."""
    mine = {one.call_id for one in tree.calls}
    unnamed = [one for one in calls if one.agent_run_id is None]
    assert tree.inherited == {one.call_id for one in unnamed} & mine
    assert tree.unclaimed == _sum([one for one in unnamed if one.call_id not in mine])
    other = [one for one in tree.calls if one.agent_run_id == "other"]
    assert sum(sums.cost for sums in tree.sub_runs.values()) == _sum(other).cost


@settings(deadline=None, max_examples=200)
@given(_spans, _calls, st.integers(1, 12))
def test_what_is_not_shown_is_summed(
    spans: list[SpanRow], calls: list[CallRow], limit: int
) -> None:
    tree = build_tree("t1", "trace_id", calls, spans, {})
    rows = tree_lines(tree.root, limit)
    shown = [row for row in rows if row["kind"] != "rest"]
    assert len(shown) == min(limit, len(_nodes(tree.root)))
    assert [row["node"] for row in rows] == list(range(len(rows)))
    assert all(row["parent"] is None or row["parent"] < row["node"] for row in rows)
    owns = [row["own_cost_usd"] for row in rows if row["kind"] != CALL]
    assert sum(pico_from_usd(one) for one in owns if one is not None) == tree.root.subtree.cost


@settings(deadline=None, max_examples=200)
@given(_spans, _calls)
def test_of_a_trace_every_call_and_every_visible_span_is_in_the_tree(
    spans: list[SpanRow], calls: list[CallRow]
) -> None:
    tree = build_tree("t1", "trace_id", calls, spans, {})
    assert {one.call_id for one in tree.calls} >= {
        one.call_id for one in calls if one.trace_id == "t1"
    }
    keys = [node.span.key for node in _nodes(tree.root) if node.span is not None]
    assert len(keys) == len(set(keys))
    hidden = (SpanKind.OTHER, SpanKind.MODEL)
    assert set(keys) >= {
        one.key for one in spans if one.trace_id == "t1" and one.kind not in hidden
    }


def test_spans_that_are_their_own_ancestors_are_opened_at_the_first() -> None:
    spans = [
        _span(span_id="b", parent_span_id="a", name="second", started_at=AT + timedelta(1)),
        _span(span_id="a", parent_span_id="b", name="first"),
        _span(span_id="c", parent_span_id="c", name="self"),
    ]
    tree = build_tree("t1", "trace_id", [_call(trace_id="t1", parent_span_id="b")], spans, {})
    assert [(one.name, one.marks) for one in tree.root.children] == [
        ("first", ["its own ancestor"]), ("self", ["its own ancestor"]),
    ]  # fmt: skip
    assert tree.root.children[0].children[0].name == "second"
    assert tree.root.children[0].subtree.calls == 1


def test_a_very_deep_trace_is_no_deeper_than_it_is() -> None:
    depth = 20_000
    spans = [
        _span(span_id=str(at), parent_span_id=str(at - 1) if at else None) for at in range(depth)
    ]
    calls = [_call(trace_id="t1", parent_span_id=str(depth - 1), cost=7)]
    tree = build_tree("t1", "trace_id", calls, spans, {})
    assert tree.root.subtree.cost == 7
    assert len(tree_lines(tree.root, 10)) == 11


def test_a_gateways_call_within_a_clients_span_is_one_place_unless_it_was_retried() -> None:
    model = _span(span_id="m", kind="model", name="chat m")
    once = build_tree("t1", "trace_id", [_call(trace_id="t1", parent_span_id="m")], [model], {})
    assert [one.kind for one in _nodes(once.root)] == ["run", "call"]
    calls = [_call(call_id=str(at), trace_id="t1", parent_span_id="m") for at in range(2)]
    twice = build_tree("t1", "trace_id", calls, [model], {})
    assert sorted(one.kind for one in _nodes(twice.root)) == ["call", "call", "model", "run"]
    never = build_tree("t1", "trace_id", [], [model], {})
    assert never.root.children[0].marks == ["no call booked for it"]


def test_a_call_that_others_saw_takes_the_place_of_their_span() -> None:
    spans = [_span(), _span(span_id="m", parent_span_id="a", kind="model", call_id="seen")]
    tree = build_tree(
        "r", "agent_run_id", [_call(call_id="booked", agent_run_id="r", trace_id="t1")], spans,
        {"seen": "booked"},
    )  # fmt: skip
    (agent,) = tree.root.children
    assert [one.kind for one in agent.children] == ["call"]


def test_two_spans_of_one_call_are_the_outer_one_and_a_wrapper_is_a_place() -> None:
    spans = [
        _span(name="agent"),
        _span(span_id="w", parent_span_id="a", kind="model", name="wrapper", call_id="w"),
        _span(span_id="o", parent_span_id="w", kind="model", name="outer", call_id="o"),
        _span(span_id="i", parent_span_id="o", kind="model", name="inner", call_id="i"),
    ]
    calls = [_call(call_id="i", trace_id="t1", span_id="i", parent_span_id="o")]
    charged_as = {"o": "i", "w": None}
    for order in (spans, spans[::-1]):
        tree = build_tree("t1", "trace_id", calls, order, charged_as)
        names = [one.name for one in _nodes(tree.root)]
        assert names == ["t1", "agent", "wrapper", "chat m"]


def test_a_run_that_a_call_has_of_its_trace_is_said_so() -> None:
    call = _call(agent_run_id="r", sources={"agent_run_id": "trace"})
    tree = build_tree("r", "agent_run_id", [call], [], {})
    assert tree.inherited == {"1"}
    assert tree.root.children[0].marks == ["run of its trace"]


def test_a_run_within_a_run_is_in_its_tree_and_told_beside_it() -> None:
    spans = [
        _span(identity={"agent_run_id": "r"}),
        _span(span_id="b", parent_span_id="a", identity={"agent_run_id": "other"}),
    ]
    calls = [
        _call(call_id="1", trace_id="t1", parent_span_id="b", agent_run_id="other", cost=5),
        _call(call_id="2", trace_id="t1", parent_span_id="a", agent_run_id="r", cost=2),
    ]
    tree = build_tree("r", "agent_run_id", calls, spans, {})
    assert tree.root.subtree.cost == 7
    assert tree.sub_runs == {"other": _sum(calls[:1])}
    inner = build_tree("other", "agent_run_id", calls, spans, {})
    assert inner.root.subtree.cost == 5
