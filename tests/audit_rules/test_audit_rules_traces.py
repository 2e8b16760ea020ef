"""Sampling, clocks, holes, metrics; and counting without end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit_rules.made_traces import AT_NS, CLIENT, SERVER, agent, call, found, span

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.read import InputRead
from tollbook.audit.rules.conflicts import Conversations
from tollbook.audit.rules.distinct import Distinct
from tollbook.audit.rules.first_of import FirstOf
from tollbook.audit.rules.hosts import bare_host, is_public, is_trusted, provider_at
from tollbook.audit.rules.metrics_only import metrics_only
from tollbook.audit.rules.sampling import in_percent, times
from tollbook.audit.trace import Trace

SECOND = 1_000_000_000


def test_sums_of_sampled_traces_are_estimates() -> None:
    (hit,) = found([span(1, kept_share_ppm=250_000), call(2, 1), call(3, 1)])
    assert (hit.rule, hit.mode, hit.severity) == ("A14", Mode.SAMPLING, Severity.WARNING)
    assert hit.title.startswith("About 25 % of the traces were kept: sums would be 4.0 times")
    assert (hit.calls, hit.factor_millis) == (2, 250)


def test_all_traces_kept_is_no_sampling() -> None:
    assert found([span(1, kept_share_ppm=1_000_000), call(2, 1)]) == []


@given(share=st.integers(1, 999_999))
def test_a_share_and_what_it_is_scaled_by_fit_together(share: int) -> None:
    tenths = int(times(share).replace(".", ""))
    assert abs(tenths * share - 10_000_000) <= share // 2 + 1
    assert in_percent(share).endswith(" %")


def test_a_share_below_one_percent_has_digits() -> None:
    assert in_percent(1234) == "0.12 %"
    assert in_percent(10_000) == "1.00 %"
    assert in_percent(333_333) == "33 %"


def test_clocks_of_two_services() -> None:
    parent = span(1, kind=CLIENT, service="edge", started_at_ns=AT_NS + 5 * SECOND,
                  ended_at_ns=AT_NS + 6 * SECOND)  # fmt: skip
    child = span(2, 1, kind=SERVER, service="agent", started_at_ns=AT_NS)
    (hit,) = found([parent, child, call(3, 2, service="agent")])
    assert (hit.rule, hit.severity, hit.calls) == ("A28", Severity.WARNING, 1)
    within = span(2, 1, kind=SERVER, service="edge", started_at_ns=AT_NS)
    assert found([parent, within, call(3, 2, service="edge")]) == []


def test_a_server_that_begins_after_its_client_ended() -> None:
    parent = span(1, kind=CLIENT, service="edge", ended_at_ns=AT_NS + SECOND)
    late = span(2, 1, kind=SERVER, service="agent", started_at_ns=AT_NS + 3 * SECOND)
    assert {hit.rule for hit in found([parent, late, call(5000, 2, service="agent")])} == {"A28"}
    job = span(2, 1, kind=5, service="agent", started_at_ns=AT_NS + 3 * SECOND)
    assert found([parent, job, call(5000, 2, service="agent")]) == []


def test_small_differences_are_none() -> None:
    parent = span(1, service="edge", started_at_ns=AT_NS + 20_000_000)
    assert found([parent, call(2, 1, started_at_ns=AT_NS)]) == []


def test_spans_that_end_before_they_begin() -> None:
    (hit,) = found([call(1, started_at_ns=AT_NS, ended_at_ns=AT_NS - 1)])
    assert (hit.rule, hit.mode) == ("A28", Mode.CLOCK_SKEW)
    assert found([call(1, started_at_ns=AT_NS, ended_at_ns=0)]) == []


@pytest.mark.parametrize("at_ns", [1, 2**62])
def test_times_out_of_our_days(at_ns: int) -> None:
    (hit,) = found([call(1, started_at_ns=at_ns, ended_at_ns=at_ns)])
    assert hit.rule == "A28"
    assert "not of our days" in hit.title


def test_a_hole_above_calls_without_a_tenant() -> None:
    spans = [span(2, 1, name="step"), call(3, 2, owner={})]
    (hit,) = found(spans, rule="A31")
    assert (hit.mode, hit.calls) == (Mode.TRACE_DAMAGE, 1)
    assert found([span(2, 1), call(3, 2)]) == []
    assert found([span(2, 1, kind=SERVER), call(3, 2, owner={})], rule="A31") == []
    assert found([call(2, 1, owner={}, has_trace=False)], rule="A31") == []


def test_a_circle() -> None:
    hits = found([span(1, 2), call(2, 1)], rule="A31")
    assert len(hits) == 1
    assert "above themselves" in hits[0].title


def test_one_id_for_two_spans() -> None:
    (hit,) = found([call(1), span(1, scope="other")], rule="A31")
    assert "gave one id to different spans" in hit.title


def test_metrics_and_no_call() -> None:
    read = InputRead(source="metrics.json", usage_points=7)
    (hit,) = metrics_only([read], 0)
    assert (hit.rule, hit.mode, hit.calls) == ("A16", Mode.METRICS_ONLY, 0)
    assert list(metrics_only([read], 1)) == []
    assert list(metrics_only([InputRead(source="traces.json")], 0)) == []


@given(st.lists(st.text(max_size=8), max_size=300))
def test_few_values_are_counted_exactly(values: list[str]) -> None:
    counted = Distinct()
    news = [counted.add(value) for value in values]
    assert counted.number == len(set(values)) == sum(news)
    assert counted.is_exact


@pytest.mark.parametrize("number", [2049, 20_000, 60_000])
def test_many_values_are_counted_within_five_percent(number: int) -> None:
    counted = Distinct()
    for _ in range(2):
        for at in range(number):
            counted.add(f"tenant-{at}")
    assert not counted.is_exact
    assert abs(counted.number - number) * 20 <= number


def test_whose_a_host_is() -> None:
    assert provider_at("api.anthropic.com") == "anthropic"
    assert provider_at("bedrock-runtime.eu-west-1.amazonaws.com") == "bedrock"
    assert provider_at("example.com") is None
    assert is_public("example.com")
    assert is_public("2001:4860:4860::8888")
    assert not is_public("192.168.0.1")
    assert not is_public("db")
    assert is_trusted("a.example.com", ["*.example.com"])
    assert not is_trusted("notexample.com", ["example.com"])
    assert not is_trusted("example.com", [""])
    assert bare_host("example.com:443") == "example.com"
    assert bare_host("::1") == "::1"


def test_of_a_key_that_everything_has_the_first_are_taken() -> None:
    first = FirstOf(3)
    assert [first.takes("same") for _ in range(5)] == [True, True, True, False, False]
    assert first.takes("other")


def test_a_conversation_that_all_calls_have_does_not_bring_all_together() -> None:
    rule = Conversations()
    trace = Trace([call(at, of={"conversation_id": "always"}) for at in range(1, 3000)])
    assert len(list(rule.keys(trace))) == 1000


def test_a_chain_of_contradictions_is_told_a_bounded_number_of_times() -> None:
    chain = [
        agent(at, at - 1 if at > 1 else None, owner={"tenant_id": f"t{at % 2}"},
              service=f"s{at % 2}", ended_at_ns=AT_NS - 1)
        for at in range(1, 2000)
    ]  # fmt: skip
    hits = found(chain)
    for rule in ("A03", "A28"):
        assert len([hit for hit in hits if hit.rule == rule]) == 100
