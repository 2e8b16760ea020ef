"""Sums: wrappers, agents, duplicates, retries, fetched answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.audit_rules.made_traces import SERVER, TRACE, agent, call, found, span, used

from tollbook.audit.findings import Mode, Severity

OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_clean_trace_has_no_finding() -> None:
    root = span(1, kind=SERVER, owner={"tenant_id": "acme"})
    assert found([root, call(2, 1), call(3, 1)]) == []


def test_an_agent_that_repeats_its_calls_doubles_the_sum() -> None:
    spans = [agent(1, of={"kinds": used(200, 40), "response_id": None}), call(2, 1), call(3, 1)]
    (hit,) = found(spans)
    assert (hit.rule, hit.mode, hit.factor_millis) == ("A06", Mode.DOUBLE_COUNTING, 2000)
    assert hit.severity is Severity.WARNING
    assert (hit.calls, hit.cost_pico) == (2, 54_000_000)


def test_a_call_above_a_call_is_two_instrumentations() -> None:
    outer = call(1, scope="openinference.instrumentation.langchain")
    (hit,) = found([outer, call(2, 1)])
    assert (hit.rule, hit.severity, hit.factor_millis) == ("A06", Severity.ERROR, 2000)
    assert "langchain and opentelemetry" in hit.title


def test_sums_under_names_of_their_own_cannot_be_mistaken() -> None:
    spans = [agent(1, of={"is_aggregate": True, "response_id": None}), call(2, 1)]
    assert found(spans) == []


@given(
    wrappers=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=5),
    leaves=st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)), min_size=1, max_size=6
    ),
)
def test_the_factor_is_wrappers_and_calls_by_calls(
    wrappers: list[tuple[int, int]], leaves: list[tuple[int, int]]
) -> None:
    spans = [
        agent(at, at - 1 if at > 1 else None, of={"kinds": used(*one)})
        for at, one in enumerate(wrappers, 1)
    ]
    last = len(spans) or None
    spans += [call(100 + at, last, of={"kinds": used(*one)}) for at, one in enumerate(leaves)]
    hits = found(spans, rule="A06")
    told = [sum(one) for one in wrappers if sum(one)]
    if not told:
        assert hits == []
        return
    calls = sum(sum(one) for one in leaves)
    (hit,) = hits
    assert hit.factor_millis == (sum(told) + calls) * 1000 // calls


def test_an_agent_that_knows_of_more_than_its_calls_has_lost_some() -> None:
    spans = [agent(1, of={"kinds": used(300, 60)}), call(2, 1), call(3, 1)]
    (hit,) = found(spans, rule="A13")
    assert hit.mode is Mode.TRACE_DAMAGE
    assert hit.factor_millis == 1500


def test_an_agent_that_knows_of_less_is_none_of_our_business() -> None:
    spans = [agent(1, of={"kinds": used(100, 20)}), call(2, 1), call(3, 1)]
    assert found(spans, rule="A13") == []


def test_calls_of_unknown_usage_are_no_lost_ones() -> None:
    silent = call(3, 1, of={"kinds": None, "is_stream": True, "counts": {}})
    spans = [agent(1, of={"kinds": used(200, 40)}), call(2, 1), silent]
    assert found(spans, rule="A13") == []


def test_sdk_and_gateway_without_a_common_parent_count_an_answer_twice() -> None:
    at_gateway = call(2, scope="litellm", service="gateway", trace_id=OTHER)
    at_sdk = call(2, service="shop")
    (hit,) = found([at_sdk], [at_gateway])
    assert (hit.rule, hit.mode, hit.factor_millis) == ("A07", Mode.DOUBLE_COUNTING, 2000)
    assert "litellm" in hit.title
    assert (hit.calls, hit.cost_pico) == (1, 27_000_000)


def test_a_server_that_gives_all_answers_one_id_tells_of_different_answers() -> None:
    same = {"response_id": "chatcmpl-local", "kinds": used(100, 21)}
    assert found([call(1, of={"response_id": "chatcmpl-local"})], [call(2, of=same)]) == []
    many = [[call(at, of={"response_id": "chatcmpl-local"})] for at in range(1, 20)]
    assert found(*many) == []


def test_short_ids_are_not_unique() -> None:
    assert found([call(1, of={"response_id": "0"}), call(2, of={"response_id": "0"})]) == []


def test_one_span_that_was_exported_twice() -> None:
    (hit,) = found([call(1), call(1)])
    assert (hit.rule, hit.severity, hit.factor_millis) == ("A07", Severity.ERROR, 2000)


def test_the_same_spans_in_two_files_are_a_remark() -> None:
    (hit,) = found([call(1), call(1, source=1)])
    assert (hit.rule, hit.severity) == ("A07", Severity.NOTE)


def test_a_fetched_answer_is_not_paid_for_again() -> None:
    told = {"operation": "other", "told_operation": "fetch_response", "is_call": False}
    (hit,) = found([call(1, of=told)])
    assert (hit.rule, hit.factor_millis) == ("A20", 2000)
    assert found([call(1, of={**told, "kinds": None})]) == []


def test_an_attempt_with_tokens_beside_its_retry() -> None:
    failed = call(2, 1, of={"is_error": True}, ended_at_ns=0)
    (hit,) = found([span(1), failed, call(600, 1)])
    assert (hit.rule, hit.mode, hit.severity) == ("A07", Mode.RETRIES, Severity.WARNING)
    assert hit.span == failed.ref


def test_an_attempt_that_the_provider_refused_costs_nothing() -> None:
    failed = call(2, 1, of={"is_error": True, "http_status": 429})
    (hit,) = found([span(1), failed])
    assert (hit.rule, hit.severity) == ("A07", Severity.ERROR)


def test_an_attempt_without_tokens_is_a_clean_retry() -> None:
    failed = call(2, 1, of={"is_error": True, "kinds": None, "is_billable": False})
    assert found([span(1), failed, call(600, 1)]) == []


def test_a_call_that_broke_off_is_billed() -> None:
    (hit,) = found([call(1, of={"is_error": True, "error_type": "timeout"})])
    assert (hit.rule, hit.mode) == ("A19", Mode.RETRIES)


def test_a_marked_retry_of_a_call_that_had_succeeded() -> None:
    again = call(3, 1, of={"retry_of": "chatcmpl-00000002"})
    (hit,) = found([span(1), call(2, 1), again])
    assert (hit.rule, hit.mode) == ("A07", Mode.RETRIES)
    assert hit.span == f"{TRACE}:{2:016x}"
