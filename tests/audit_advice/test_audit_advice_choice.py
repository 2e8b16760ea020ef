"""Which advice a finding gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.audit.advice.advise import BOOK, FAMILIES, STREAM_OWNER, advise, with_advice
from tollbook.audit.criteria import BY_NAME
from tollbook.audit.findings import SIX, Advice, Finding, Hop, Mode, Severity, SpanRef
from tollbook.audit.report import AtRisk, Audit, Defensibility
from tollbook.audit.rules.catalogue import CATALOGUE

SPAN = SpanRef("a" * 32, "b" * 16, "chat")


def finding(
    mode: Mode,
    framework: str = "",
    crossing: str = "",
    *,
    rule: str = "A01",
    fix: Advice | None = None,
) -> Finding:
    return Finding(
        finding_id="f1",
        mode=mode,
        rule=rule,
        severity=Severity.ERROR,
        title="something",
        evidence=(SPAN,),
        hits=1,
        traces=1,
        calls=1,
        cost_pico=1,
        hop=Hop(None, SPAN, crossing) if crossing else None,
        framework=framework,
        fix=fix,
    )


@pytest.mark.parametrize("mode", Mode)
def test_every_mode_has_advice_for_any_framework(mode: Mode) -> None:
    found = advise(finding(mode, "a framework that nobody knows", rule="A99"))
    assert found is BOOK[mode.value, ""]


@pytest.mark.parametrize("mode", SIX)
def test_each_of_the_six_knows_four_frameworks(mode: Mode) -> None:
    known = {place for subject, place in BOOK if subject == mode.value} - {""}
    known -= {"http", "queue", "thread", "process", "gateway", "start", "hole"}
    assert len(known) >= 4


@pytest.mark.parametrize("rule", CATALOGUE)
def test_every_rule_has_advice(rule: str) -> None:
    for mode in CATALOGUE[rule].modes:
        assert advise(finding(mode, rule=rule)) is not None


def test_keys_name_modes_and_rules_that_exist() -> None:
    subjects = {subject for subject, _ in BOOK}
    modes = {mode.value for mode in Mode}
    assert subjects <= modes | {STREAM_OWNER} | set(CATALOGUE) | set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_criterion_has_advice(name: str) -> None:
    assert BOOK[name, ""].title


def test_families_lead_to_frameworks_that_are_known() -> None:
    places = {place for _, place in BOOK}
    assert set(FAMILIES.values()) <= places
    assert not set(FAMILIES) & places


@pytest.mark.parametrize(
    ("framework", "crossing", "expected"),
    [
        ("celery", "queue", "celery"),
        ("", "thread", "thread"),
        ("celery", "", "celery"),
        ("kombu", "queue", "celery"),
        ("aiokafka", "queue", "kafka"),
        ("unheard-of", "process", "process"),
        ("unheard-of", "unheard-of", ""),
    ],
)
def test_the_framework_goes_before_the_crossing(
    framework: str, crossing: str, expected: str
) -> None:
    found = advise(finding(Mode.BACKGROUND_JOBS, framework, crossing))
    assert found is BOOK["background-jobs", expected]


@pytest.mark.parametrize(
    ("mode", "framework", "crossing", "expected"),
    [
        # The client that made the call says nothing of the thread it was made in.
        (Mode.EMBEDDINGS_RETRIEVAL, "openai", "thread", ("embeddings-retrieval", "thread")),
        (Mode.EMBEDDINGS_RETRIEVAL, "openai", "start", ("embeddings-retrieval", "openai")),
        (Mode.AGENT_RECURSION, "openai", "thread", ("agent-recursion", "thread")),
        (Mode.AGENT_RECURSION, "langchain", "thread", ("agent-recursion", "langchain")),
        (Mode.BACKGROUND_JOBS, "fastapi", "queue", ("background-jobs", "queue")),
        # But the server is where a header is read.
        (Mode.HEADER_STRIPPING, "fastapi", "http", ("header-stripping", "fastapi")),
        (Mode.HEADER_STRIPPING, "traefik", "gateway", ("header-stripping", "gateway")),
        (Mode.SINGLE_KEY, "openai", "gateway", ("single-key", "openai")),
        # A stream without an owner is mended otherwise than one without usage.
        (Mode.STREAMING, "openai", "thread", ("streaming-owner", "")),
        (Mode.STREAMING, "fastapi", "thread", ("streaming-owner", "fastapi")),
    ],
)
def test_advice_is_about_where_it_was_lost(
    mode: Mode, framework: str, crossing: str, expected: tuple[str, str]
) -> None:
    assert advise(finding(mode, framework, crossing)) is BOOK[expected]


def test_streams_without_usage_are_told_how_to_ask_for_it() -> None:
    found = finding(Mode.STREAMING, "openai", "process", rule="A05")
    assert advise(found) is BOOK["streaming", "openai"]


def test_the_rule_goes_before_the_mode() -> None:
    assert advise(finding(Mode.TOKEN_KINDS, rule="A08")) is BOOK["A08", ""]
    assert advise(finding(Mode.TOKEN_KINDS, rule="A27")) is BOOK["token-kinds", ""]


@given(
    st.sampled_from(Mode),
    st.text(max_size=20) | st.sampled_from([place for _, place in BOOK]),
    st.sampled_from(["", "http", "queue", "thread", "process", "gateway", "start"]),
    st.sampled_from(sorted(CATALOGUE)),
)
def test_whatever_was_found_there_is_advice(
    mode: Mode, framework: str, crossing: str, rule: str
) -> None:
    found = advise(finding(mode, framework, crossing, rule=rule))
    assert found is not None
    assert found in BOOK.values()


def test_advice_is_added_to_all_findings_and_replaces_none() -> None:
    own = Advice("Do it", "Because.", "text", "it")
    audit = Audit(
        version="1", made_at="2026-11-22T00:00:00+00:00", inputs=(), troubles=(), spans=2,
        traces=1, calls=2, wrappers=0, first_at_ns=0, last_at_ns=0, instrumentations={},
        services={}, findings=(
            finding(Mode.STREAMING, "openai", rule="A05"), finding(Mode.RETRIES, fix=own),
        ),
        defensibility=Defensibility(
            score_millis=0, formula="", criteria=(), calls=2, defensible_calls=0, cost_pico=0,
            unpriced_calls=0, at_risk_pico=0,
            at_risk=(
                AtRisk(cause="streaming", title="", calls=1, cost_pico=0, unpriced_calls=0),
                AtRisk(cause="request_id", title="", calls=1, cost_pico=0, unpriced_calls=0),
            ),
        ),
    )  # fmt: skip
    advised = with_advice(audit)
    assert [one.fix for one in advised.findings] == [BOOK["streaming", "openai"], own]
    assert [one.fix for one in advised.defensibility.at_risk] == [None, BOOK["request_id", ""]]


@pytest.mark.parametrize("framework", ["", "openai", "langchain", "fastapi"])
def test_what_nothing_measures_is_to_be_instrumented(framework: str) -> None:
    fix = advise(finding(Mode.TOKEN_KINDS, framework, rule="A22"))
    assert fix is not None
    assert fix.title == "Instrument the client"


@pytest.mark.parametrize("framework", ["", "openai", "langchain", "fastapi"])
def test_where_a_parent_is_missing_it_is_what_is_looked_for(framework: str) -> None:
    fix = advise(finding(Mode.MISSING_TENANT, framework, "hole"))
    assert fix is BOOK["missing-tenant", "hole"]
    assert "parent" in fix.why
    assert "Nothing" not in fix.why


def test_retries_have_the_advice_on_retries_whatever_the_rule() -> None:
    assert advise(finding(Mode.RETRIES, rule="A07")) is BOOK["retries", ""]
    assert advise(finding(Mode.DOUBLE_COUNTING, rule="A07")) is BOOK["A07", ""]
