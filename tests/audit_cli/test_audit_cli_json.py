"""The public JSON: what stands in it, that its schema holds, that it can be read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from msgspec.structs import replace

from tollbook.audit.findings import (
    Advice,
    Bar,
    Finding,
    Hop,
    Mode,
    Severity,
    Sketch,
    SpanRef,
)
from tollbook.audit.outputs.as_json import (
    FORMAT,
    NoAuditError,
    audit_of,
    document,
    json_text,
    read_audit,
)
from tollbook.audit.outputs.schema import schema, schema_text
from tollbook.audit.read import InputRead, Trouble, Where
from tollbook.audit.report import AtRisk, Audit, Criterion, Defensibility

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs" / "audit.schema.json"
VALIDATOR = Draft202012Validator(schema())

text = st.text(max_size=12)
count = st.integers(0, 10**9)
pico = st.integers(0, 10**20)
span = st.builds(
    SpanRef, text, text, text, text, text, text, line=st.none() | st.integers(1, 10**6)
)
bar = st.builds(
    Bar, text, text, text, count, count, count, st.none() | text, st.booleans(),
    st.sampled_from(["", "last-seen", "first-missing", "affected"]),
)  # fmt: skip
finding = st.builds(
    Finding,
    finding_id=text,
    mode=st.sampled_from(Mode),
    rule=text,
    severity=st.sampled_from(Severity),
    title=text,
    evidence=st.lists(span, max_size=3).map(tuple),
    hits=count,
    traces=count,
    calls=count,
    cost_pico=pico,
    unpriced_calls=count,
    hop=st.none() | st.builds(Hop, st.none() | span, span, text),
    is_cause=st.booleans(),
    framework=text,
    factor_millis=st.none() | st.integers(0, 10**6),
    sketch=st.none() | st.builds(Sketch, text, st.lists(bar, max_size=2).map(tuple), count),
    fix=st.none() | st.builds(Advice, text, text, text, text, text, text, text),
    score_after=st.none() | st.integers(0, 1000),
)
totals = st.builds(
    Defensibility,
    score_millis=st.integers(0, 1000),
    formula=text,
    criteria=st.lists(
        st.builds(
            Criterion, name=text, title=text, weight_millis=st.integers(0, 1000), calls=count,
            cost_pico=pico,
        ),
        max_size=2,
    ).map(tuple),
    calls=count,
    defensible_calls=count,
    cost_pico=pico,
    unpriced_calls=count,
    at_risk_pico=pico,
    at_risk=st.lists(
        st.builds(
            AtRisk, cause=text, title=text, calls=count, cost_pico=pico, unpriced_calls=count,
            fix=st.none() | st.builds(Advice, text, text, text, text),
        ),
        max_size=2,
    ).map(tuple),
)  # fmt: skip
audits = st.builds(
    Audit,
    version=text,
    made_at=text,
    inputs=st.lists(
        st.builds(InputRead, source=text, size_bytes=st.none() | count), max_size=2
    ).map(tuple),
    troubles=st.lists(
        st.builds(
            Trouble, st.builds(Where, text, st.none() | st.integers(1, 9), st.none() | count), text,
            st.none() | count,
        ),
        max_size=2,
    ).map(tuple),
    spans=count,
    traces=count,
    calls=count,
    wrappers=count,
    first_at_ns=count,
    last_at_ns=count,
    instrumentations=st.dictionaries(st.sampled_from(["a_pico", "b_millis", "c"]), count),
    services=st.dictionaries(text, count, max_size=2),
    findings=st.lists(finding, max_size=2).map(tuple),
    defensibility=totals,
    ignored=st.lists(text, max_size=2).map(tuple),
    privacy=text,
    prices=text,
)  # fmt: skip


def _same_calls(audit: Audit) -> Audit:
    return replace(audit, calls=audit.defensibility.calls)


@given(audits.map(_same_calls))
def test_what_was_written_in_full_is_read_back(audit: Audit) -> None:
    assert audit_of(json_text(audit, full=True).encode(), "f.json") == audit


@given(audits.map(_same_calls))
def test_without_full_only_sketches_are_left_out(audit: Audit) -> None:
    bare = replace(audit, findings=tuple(replace(one, sketch=None) for one in audit.findings))
    assert audit_of(json_text(audit).encode(), "f.json") == bare


@given(audits, st.booleans())
def test_every_document_is_as_its_schema_says(audit: Audit, full: bool) -> None:  # noqa: FBT001
    VALIDATOR.validate(json.loads(json_text(audit, full=full)))


def test_the_schema_in_the_documentation_is_the_one_of_the_code() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()
    Draft202012Validator.check_schema(schema())


def test_the_schema_refuses_other_documents(traces: Path, run: Callable[..., Any]) -> None:
    told = json.loads(run(traces, "--format", "json").out)
    VALIDATOR.validate(told)
    for name, value in (("cost_usd", 1.5), ("score", 101), ("calls", "2"), ("currency", "EUR")):
        assert not VALIDATOR.is_valid({**told, name: value}), name
    del told["findings"]
    assert not VALIDATOR.is_valid(told)


def test_the_promised_names_stand_in_the_document(traces: Path, run: Callable[..., Any]) -> None:
    answer = run(traces, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    told = json.loads(answer.out)
    assert told["calls"] == 2
    assert {"findings", "score", "defensible_calls", "calls"} <= set(told)
    (job,) = [one for one in told["findings"] if one["mode"] == "background-jobs"]
    assert {"severity", "evidence", "hop", "calls", "cost_usd", "fix"} <= set(job)
    assert job["severity"] == "error"
    assert f"{302:016x}" in job["evidence"]
    assert job["calls"] == 1
    assert job["cost_usd"] == "0.000270000000"
    assert job["hop"]["last_seen"]["span_id"] == f"{202:016x}"
    assert job["hop"]["first_missing"]["span_id"] == f"{301:016x}"
    assert job["spans"][0]["source"] == str(traces)
    assert "celery" in job["fix"]["snippet"]
    assert job["sketch"] is None


def test_with_full_there_are_sketches(traces: Path, run: Callable[..., Any]) -> None:
    told = json.loads(run(traces, "--format", "json", "--full").out)
    (job,) = [one for one in told["findings"] if one["mode"] == "background-jobs"]
    marks = {one["mark"] for one in job["sketch"]["bars"]}
    assert "first-missing" in marks


def test_money_and_scores_are_as_documented() -> None:
    totals_ = Defensibility(
        score_millis=412, formula="", criteria=(), calls=0, defensible_calls=0,
        cost_pico=123_000_000, unpriced_calls=0, at_risk_pico=1, at_risk=(),
    )  # fmt: skip
    audit = Audit(
        version="1", made_at="", inputs=(), troubles=(), spans=0, traces=0, calls=0, wrappers=0,
        first_at_ns=0, last_at_ns=0, instrumentations={}, services={}, findings=(),
        defensibility=totals_,
    )  # fmt: skip
    told = document(audit)
    assert (told["score"], told["cost_usd"], told["at_risk_usd"], told["currency"]) == (
        41.2, "0.000123000000", "0.000000000001", "USD",
    )  # fmt: skip
    assert list(told)[:3] == ["format", "currency", "score"]


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"findings": []}',
        b'{"format": "tollbook-audit-1"}',
        b'{"format": "tollbook-audit-1", "findings": [1]}',
        b"[" * 100_000,
        b'{"format": "tollbook-audit-2", "findings": []}',
    ],
)
def test_what_is_no_audit_is_refused_by_name(told: bytes) -> None:
    with pytest.raises(NoAuditError, match=r"^old\.json: ") as refused:
        audit_of(told, "old.json")
    assert "\n" not in refused.value.message
    assert "$" not in refused.value.message
    assert "_millis" not in refused.value.message
    assert "--format json --output FILE" in refused.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | text,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["findings", "score", "criteria", "hop", "cost_usd", "where"]),
                inner,
            )
        ),
        max_leaves=8,
    )
)
def test_whatever_stands_in_a_document_one_error_is_raised_at_most(inner: Any) -> None:
    told = {
        "format": FORMAT,
        "findings": inner,
        "score": inner,
        "criteria": inner,
        "troubles": inner,
    }
    with pytest.raises(NoAuditError):
        audit_of(msgspec.json.encode(told), "old.json")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoAuditError, match="missing"):
        read_audit(str(tmp_path / "missing.json"))
