"""What a charge needs: each criterion met and not met, and what the whole of a call is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.audit_score.made_traces import AT_NS, S, call, span, trace

from tollbook.audit.criteria import (
    CACHED_FROM_TOKENS,
    CLAUDE_CACHED_FROM_TOKENS,
    NEEDED,
    WHOLE_MILLIS,
)
from tollbook.audit.findings import Mode, Severity
from tollbook.audit.scoring import ALL, CallScore, Found, score_call
from tollbook.usage import Kinds

WEIGHTS = {one.name: one.weight_millis for one in NEEDED}


def score(**changes: Any) -> CallScore:
    """Return the score of a call that lacks nothing but what is changed."""
    one = span(1, call(**changes))
    return score_call(trace(one), one, None)


def test_weights_sum_to_the_whole_and_each_has_a_reason() -> None:
    assert sum(WEIGHTS.values()) == WHOLE_MILLIS
    assert all(one.weight_millis > 0 and one.why.endswith(".") for one in NEEDED)


def test_a_call_with_everything_is_defensible() -> None:
    assert score() == ALL == CallScore(1000, (), None)


@pytest.mark.parametrize(
    ("lacks", "changes"),
    [
        ("token_kinds", {"usage_source": "estimated"}),
        ("token_kinds", {"usage_source": "none", "kinds": Kinds()}),
        ("token_kinds", {"counts": {"input": 1000}, "kinds": Kinds(1000)}),
        ("token_kinds", {"counts": {"output": 10}, "kinds": Kinds(0, visible_output_tokens=10)}),
        ("price", {"is_price_doubtful": True}),
        ("price", {"cost_pico": None, "price_card": None}),
        ("price", {"price_card": None, "price_version": "2026-11", "reported_cost_pico": None}),
        ("model_actual", {"model_actual": None}),
        ("request_id", {"response_id": None}),
        ("billing_path", {"host": None}),
        ("billing_path", {"provider": "unknown"}),
    ],
)
def test_what_is_lacking_takes_its_weight_and_names_the_cause(
    lacks: str, changes: dict[str, Any]
) -> None:
    assert score(**changes) == CallScore(1000 - WEIGHTS[lacks], (lacks,), lacks)


@pytest.mark.parametrize(
    "changes",
    [
        {"response_id": None, "request_id": "req_1"},
        {"host": None, "api_key_id": "key-a"},
        {"host": None, "region": "eu-central-1"},
        {"price_card": None, "price_version": "2026-11", "reported_cost_pico": 7},
        {"operation": "embeddings", "counts": {"input": 5}, "kinds": Kinds(5)},
        {"counts": {}, "usage_source": ""},
    ],
)
def test_each_other_way_to_have_it_counts(changes: dict[str, Any]) -> None:
    assert score(**changes) == ALL


def test_a_prompt_long_enough_to_be_cached_needs_a_count_of_what_was() -> None:
    long = Kinds(CACHED_FROM_TOKENS, visible_output_tokens=5)
    short = Kinds(CACHED_FROM_TOKENS - 1, visible_output_tokens=5)
    told = {"input": 1, "output": 5}
    assert score(kinds=long, counts=told).lacks == ("token_kinds",)
    assert score(kinds=short, counts=told) == ALL
    assert score(kinds=long, counts=told | {"cache_read": 0}) == ALL
    assert score(kinds=long, counts=told, provider="a-server-of-ones-own") == ALL
    claude = {"provider": "bedrock", "model_actual": "anthropic.claude-opus-5"}
    assert score(kinds=short, counts=told, **claude).lacks == ("token_kinds",)
    older = claude | {"model_actual": "claude-opus-4-5-20251101"}
    assert score(kinds=short, counts=told, **older) == ALL
    few = Kinds(CLAUDE_CACHED_FROM_TOKENS - 1, visible_output_tokens=5)
    assert score(kinds=few, counts=told, **claude) == ALL
    assert score(kinds=few, counts=told, provider="deepseek").lacks == ("token_kinds",)
    cached = Kinds(CACHED_FROM_TOKENS, 3, visible_output_tokens=5)
    assert score(kinds=cached, counts=told) == ALL


def test_an_owner_is_a_tenant_or_a_team_here_above_or_of_the_process() -> None:
    root = span(1, call(), owner={"team_id": "search"})
    below = span(2, call(2), owner={}, parent_span_id="s1")
    of_process = span(3, call(3), owner={}, process_owner={"tenant_id": "acme"})
    nobody = span(4, call(4), owner={"user_id": "u1"})
    whole = trace(root, below, of_process, nobody)
    assert score_call(whole, root, None) == ALL
    assert score_call(whole, below, None) == ALL
    assert score_call(whole, of_process, None) == ALL
    lacking = CallScore(1000 - WEIGHTS["owner"], ("owner",), "missing-tenant")
    assert score_call(whole, nobody, None) == lacking


def test_a_cause_takes_the_owner_and_the_dollars() -> None:
    one = span()
    got = score_call(trace(one), one, "background-jobs")
    assert got == CallScore(1000 - WEIGHTS["owner"], ("owner",), "background-jobs")


def test_a_call_without_a_time_has_no_place_in_a_bill() -> None:
    one = span(1, started_at_ns=0, ended_at_ns=0)
    assert score_call(trace(one), one, None).lacks == ("billing_path",)


def test_of_several_things_lacking_the_first_in_order_is_the_cause() -> None:
    got = score(model_actual=None, response_id=None, host=None)
    assert got.lacks == ("model_actual", "request_id", "billing_path")
    assert got.cause == "model_actual"
    assert got.score_millis == 1000 - 150 - 100 - 75


def test_a_call_that_was_not_charged_has_nothing_to_defend() -> None:
    one = span(1, call(is_billable=False, model_actual=None, cost_pico=0), owner={})
    assert score_call(trace(one), one, None) == ALL


@pytest.mark.parametrize(
    ("mode", "severity", "lacks"),
    [
        (Mode.IDENTITY_CONFLICT, Severity.ERROR, ("owner",)),
        (Mode.IDENTITY_CONFLICT, Severity.WARNING, ()),
        (Mode.IDENTITY_KIND, Severity.ERROR, ("owner",)),
        (Mode.TOKEN_KINDS, Severity.WARNING, ("token_kinds",)),
        (Mode.TOKEN_KINDS, Severity.NOTE, ()),
        (Mode.SAMPLING, Severity.ERROR, ()),
    ],
)
def test_a_finding_takes_what_only_seemed_to_be_there(
    mode: Mode, severity: Severity, lacks: tuple[str, ...]
) -> None:
    one = span()
    got = score_call(trace(one), one, None, found=[Found("f", mode, severity, False)])
    assert got.lacks == lacks
    assert got.cause == (None if not lacks else mode.value if lacks == ("owner",) else lacks[0])


def test_times_of_the_calls_made_here_are_in_order() -> None:
    assert span(2).started_at_ns - span(1).ended_at_ns == S // 2
    assert span(1).started_at_ns > AT_NS
