"""Tokens that contradict each other, prices, costs and models."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit_rules.made_traces import call, found, used

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.rules.price_rules import differs


def rules(**told: Any) -> set[str]:
    return {hit.rule for hit in found([call(1, of=told)])}


def test_more_cache_than_input() -> None:
    counts = {"input": 10, "output": 5, "cache_read": 900}
    (hit,) = found([call(1, of={"counts": counts, "provider": "anthropic"})])
    assert (hit.rule, hit.mode) == ("A08", Mode.TOKEN_KINDS)
    assert rules(counts={"input": 1000, "output": 5, "cache_read": 900}) == set()
    assert rules(counts={"output": 5, "cache_read": 900, "total": 1000}) == set()


@pytest.mark.parametrize("total", [120, 120 + 7, 120 + 30, 120 + 37, 120 + 30 + 4])
def test_totals_that_count_details_beside(total: int) -> None:
    counts = {"input": 100, "output": 20, "reasoning": 7, "cache_read": 30, "cache_write": 4}
    assert rules(counts={**counts, "total": total}) == set()


def test_a_total_that_is_no_sum() -> None:
    (hit,) = found([call(1, of={"counts": {"input": 100, "output": 20, "total": 240}})])
    assert (hit.rule, hit.factor_millis) == ("A09", 500)


@given(
    given_tokens=st.integers(0, 10**9), out=st.integers(0, 10**9), beside=st.integers(0, 10**9),
    off=st.integers(1, 10**9),
)  # fmt: skip
def test_a_total_is_odd_if_no_reading_of_it_is_a_sum(
    given_tokens: int, out: int, beside: int, off: int
) -> None:
    counts = {"input": given_tokens, "output": out, "reasoning": beside}
    for total in (given_tokens + out, given_tokens + out + beside):
        assert rules(counts={**counts, "total": total}) == set()
    total = given_tokens + out + beside + off
    assert rules(counts={**counts, "total": total}) == {"A09"}


def test_passes_outside_the_counts() -> None:
    told = {"counts": {"input": 100, "output": 60}, "passes": 3, "outside_tokens": 1440}
    (hit,) = found([call(1, of=told)])
    assert (hit.rule, hit.severity, hit.factor_millis) == ("A10", Severity.ERROR, 100)
    assert rules(passes=2, outside_tokens=0) == set()


def test_a_compaction_whose_pass_nobody_told() -> None:
    assert rules(is_compacted=True, provider="anthropic") == {"A10"}
    assert rules(is_compacted=True, provider="anthropic", passes=2) == set()


def test_a_call_without_usage() -> None:
    (hit,) = found([call(1, of={"kinds": None, "counts": {}, "cost_pico": None})])
    assert (hit.rule, hit.severity) == ("A27", Severity.ERROR)
    assert rules(kinds=None, counts={}, is_stream=True, cost_pico=None) == set()
    assert rules(kinds=None, counts={}, is_error=True, cost_pico=None) == set()
    assert rules(kinds=None, counts={}, operation="moderation", cost_pico=None) == set()


@pytest.mark.parametrize(
    ("counts", "lacks"),
    [({"total": 9}, "apart"), ({"input": 9}, "the output"), ({"output": 9}, "the input")],
)
def test_a_call_with_one_side_only(counts: dict[str, int], lacks: str) -> None:
    (hit,) = found([call(1, of={"counts": counts})])
    assert hit.rule == "A27"
    assert lacks in hit.title


def test_embeddings_have_a_total_only() -> None:
    assert rules(operation="embeddings", counts={"total": 9}) == set()
    assert rules(operation="embeddings", counts={"input": 9}) == set()


def test_a_model_without_a_price() -> None:
    told = {"cost_pico": None, "price_problem": "no such model"}
    (hit,) = found([call(1, of={**told, "model_actual": "shop-7b"})])
    assert (hit.rule, hit.mode, hit.unpriced_calls) == ("A29", Mode.MODEL_UNKNOWN, 1)
    assert "shop-7b" in hit.title
    (hit,) = found([call(1, of={**told, "model_actual": None, "model_requested": None})])
    assert "name no model" in hit.title


def test_without_a_price_book_nothing_is_said_of_prices() -> None:
    assert rules(cost_pico=None) == set()


def test_doubts_of_the_price_book_are_told_once_for_all_numbers() -> None:
    hits = [
        found(
            [
                call(
                    1,
                    of={
                        "price_problem": f"the price is {days} days old",
                        "is_price_doubtful": True,
                    },
                )
            ],
        )[0]
        for days in (40, 41)
    ]
    assert hits[0].place == hits[1].place
    assert hits[0].rule == "A11"
    assert hits[0].title == "The price is 40 days old"


@pytest.mark.parametrize("model", ["mistral-large-latest", "claude-3-5-sonnet:latest", "auto"])
def test_an_alias(model: str) -> None:
    assert "A11" in rules(model_requested=model, model_actual=None)
    assert "A11" not in rules(model_requested=model, model_actual="mistral-large-2411")


def test_a_cache_write_without_its_lifetime() -> None:
    note = "how long cache writes live is not told: charged as those of five minutes"
    (hit,) = found([call(1, of={"usage_notes": (note,)})])
    assert (hit.rule, hit.severity) == ("A11", Severity.NOTE)


def test_a_kind_of_tokens_without_a_rate() -> None:
    told = {"cost_pico": None, "price_problem": "no rate for input_audio_tokens"}
    (hit,) = found([call(1, of=told)])
    assert hit.rule == "A11"
    assert "input_audio_tokens" in hit.title


def test_what_is_certain_beside_a_price_is_no_doubt() -> None:
    assert rules(price_problem="the price list has this model at openai") == set()


def test_the_answering_model_is_not_told() -> None:
    (hit,) = found([call(1, of={"model_actual": None})])
    assert (hit.rule, hit.severity) == ("A25", Severity.NOTE)
    (hit,) = found([call(1, of={"model_actual": None, "provider": "openrouter"})])
    assert hit.severity is Severity.WARNING
    assert rules(model_actual=None, is_error=True, kinds=None) == set()


def test_a_reported_cost_that_is_another() -> None:
    told = {"reported_cost_pico": 54_000_000, "cost_source": "provider"}
    (hit,) = found([call(1, of=told)])
    assert (hit.rule, hit.mode, hit.factor_millis) == ("A12", Mode.COST_MISMATCH, 2000)
    assert rules(reported_cost_pico=27_000_000, cost_source="provider") == set()


def test_a_cost_of_a_tool_without_the_version_of_its_prices() -> None:
    told = {"reported_cost_pico": 27_000_000, "cost_source": "llm.cost.total"}
    (hit,) = found([call(1, of=told)])
    assert (hit.rule, hit.severity) == ("A30", Severity.NOTE)
    assert rules(**told, price_version="2026-11-01") == set()


@given(reported=st.integers(0, 10**18), computed=st.integers(0, 10**18))
def test_costs_differ_by_more_than_half_a_percent_exactly(reported: int, computed: int) -> None:
    apart = abs(reported - computed)
    assert differs(reported, computed) == (apart > 500_000 and 200 * apart > reported)


@given(reported=st.integers(10**9, 10**18))
def test_the_border_itself_is_no_difference(reported: int) -> None:
    allowed = reported * 5 // 1000
    assert not differs(reported, reported + allowed)
    assert not differs(reported, reported - allowed)
    assert differs(reported, reported + allowed + 1)
    assert differs(reported, reported - allowed - 1)


def test_cached_tokens_that_one_instrumentation_never_tells() -> None:
    long = used(3000, 20)
    silent = [
        [call(at, scope="thin", of={"kinds": long, "counts": {"input": 3000, "output": 20}})]
        for at in range(1, 31)
    ]
    telling = [call(99, of={"kinds": used(3000, 20, cached=2048)})]
    (hit,) = found(*silent, telling)
    assert (hit.rule, hit.mode, hit.calls) == ("A26", Mode.TOKEN_KINDS, 30)
    assert hit.cost_pico == 30 * 27_000_000
    assert "thin never tells tokens read from the cache" in hit.title
    assert found(*silent) == []
    assert found(*silent[:10], telling) == []


def test_an_instrumentation_that_says_that_none_were_cached_tells() -> None:
    counts = {"input": 3000, "output": 20, "cache_read": 0}
    told = [
        [call(at, scope="thin", of={"kinds": used(3000, 20), "counts": counts})]
        for at in range(1, 31)
    ]
    assert found(*told, [call(99, of={"kinds": used(3000, 20, cached=2048)})]) == []


def test_an_instrumentation_that_is_known_not_to_tell() -> None:
    note = "the AI SDK before version 6 does not tell what was read from the cache"
    told = {"kinds": used(3000, 20), "usage_notes": (note,), "counts": {"input": 1, "output": 1}}
    assert {hit.rule for hit in found(*[[call(at, of=told)] for at in range(1, 31)])} == {"A26"}
