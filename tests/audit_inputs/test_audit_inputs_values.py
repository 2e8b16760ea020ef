"""Values that are odd: of owners, counts and names; each is used or told, none is dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.audit.engine import audit
from tollbook.audit.extract import Extractor
from tollbook.audit.facts import SpanFact, decode_fact, encode_fact
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.kept.owner_values import PLACEHOLDERS, WIDE, named_by
from tollbook.audit.kept.span_names import shown_name
from tollbook.audit.pricing import NoPrices
from tollbook.audit.read import Batch, Where
from tollbook.audit.settings import AuditSettings
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.audit.report import Audit

_WHERE = Where("x", 7, 100)


def _fact(extractor: Extractor | None = None, **attributes: Any) -> SpanFact:
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    span = Span(trace_id="1" * 32, span_id="2" * 16, name="chat", kind=3, attributes=named)
    return (extractor or Extractor(AuditSettings())).fact(span, 0, Batch([span], _WHERE))


def _audited(*paths: Path) -> Audit:
    return audit(open_inputs([str(one) for one in paths]), NoPrices())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Acme, Inc.", "Acme, Inc."),
        ("{42}", "{42}"),
        ("=x", "=x"),
        ("x" * 400, "x" * 128),
        ("ac\0me", "acme"),
        ("ac\ud800me", "acme"),
        ("\x1b[31m", "[31m"),
    ],
)
def test_a_tenant_that_is_no_id_is_an_owner_and_the_problem_is_told(
    text: str, expected: str
) -> None:
    extractor = Extractor(AuditSettings())
    fact = _fact(extractor, tenant__id=text)
    assert (fact.owner, fact.carriers) == ({"tenant_id": expected}, {"tenant_id": "tenant.id"})
    assert "Tollbook's own ids are narrower" in fact.problems[0]
    assert decode_fact(encode_fact(fact)) == fact
    (note,) = extractor.take_notes()
    assert note.startswith("tenant.id is no plain id")
    assert note.endswith("(1 value, first at line 7)")
    assert extractor.take_notes() == []


@pytest.mark.parametrize("text", ['{"secret": 1}', '["secret"]', '[{"a": 1}]'])
def test_a_document_is_no_owner_and_is_not_repeated(text: str) -> None:
    fact = _fact(tenant__id=text)
    assert fact.owner == {}
    assert fact.problems == (
        "tenant.id is no plain id (it looks like JSON); not used as tenant_id",
    )


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_nothing_is_no_owner_and_no_problem(text: str) -> None:
    fact = _fact(tenant__id=text)
    assert (fact.owner, fact.problems) == ({}, ())


@pytest.mark.parametrize("text", [*sorted(PLACEHOLDERS), "UNKNOWN", " None ", "N/A"])
def test_a_placeholder_is_no_owner_and_is_told(text: str) -> None:
    for field in sorted(WIDE):
        named = named_by(field, text)
        assert named.value is None
        assert "placeholder" in named.problem


def test_a_placeholder_leaves_the_word_to_another_attribute() -> None:
    fact = _fact(tenant__id="unknown", customer__id="acme", deployment="x")
    assert fact.owner == {"tenant_id": "acme"}
    assert fact.problems == ('tenant.id holds the placeholder "unknown", which names nobody',)
    assert fact.carriers == {"tenant_id": "customer.id"}
    alone = _fact(tenant__id="unknown")
    assert (alone.owner, alone.carriers) == ({}, {"tenant_id": "tenant.id"})
    assert _fact(langfuse__environment="default").owner == {"environment": "default"}


def test_a_placeholder_of_a_process_is_told() -> None:
    extractor = Extractor(AuditSettings())
    resource = {"tenant.id": "default", "deployment.environment": "default"}
    span = Span(trace_id="1" * 32, span_id="2" * 16, resource=resource)
    fact = extractor.fact(span, 0, Batch([span], _WHERE))
    assert fact.process_owner == {"environment": "default"}
    (note,) = extractor.take_notes()
    assert note.startswith('in a resource tenant.id holds the placeholder "default"')


def test_a_header_with_a_placeholder_carries_nobody() -> None:
    told: dict[str, Any] = {
        "http.request.header.x-tenant-id": ["null"],
        "baggage.tenant.id": "Acme, Inc.",
    }
    assert _fact(**told).baggage == {"tenant_id": "Acme, Inc."}


@given(st.text(), st.sampled_from(["tenant_id", "user_id", "feature"]))
def test_what_is_taken_is_short_and_printable_and_what_is_not_is_told(
    text: str, field: str
) -> None:
    named = named_by(field, text)
    if named.value is None:
        assert named.problem or not text.strip()
    else:
        assert named.value == named.value.strip()
        assert 0 < len(named.value) <= 128
        assert named.value.isprintable()


@given(st.text(st.characters(categories=("Cs", "Lu")), max_size=20))
def test_halves_of_characters_go_through_a_spill_file(text: str) -> None:
    span = Span(
        trace_id="1" * 32,
        span_id="2" * 16,
        name=text,
        kind=3,
        scope_name=text,
        attributes={"tenant.id": text, "gen_ai.operation.name": text, "gen_ai.request.model": text},
        resource={"service.name": text, "tenant.id": text},
    )
    fact = Extractor(AuditSettings()).fact(span, 0, Batch([span], _WHERE))
    assert decode_fact(encode_fact(fact)).span_id == "2" * 16


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("POST https://h/?q=SECRET", "POST https://h/"),
        ("POST https://h?q=SECRET", "POST https://h"),
        ("GET /search?q=SECRET", "GET /search"),
        ("GET https://me:SECRET@h/a", "GET https://h/a"),
        ("GET https://h/a#SECRET", "GET https://h/a"),
        ("chat gpt-4o", "chat gpt-4o"),
        ("why?", "why?"),
    ],
)
def test_the_query_of_a_url_is_not_kept_in_names(name: str, expected: str) -> None:
    assert shown_name(name) == expected
    span = Span(trace_id="1" * 32, span_id="2" * 16, name=name, resource={"service.name": name})
    fact = Extractor(AuditSettings()).fact(span, 0, Batch([span], _WHERE))
    assert (fact.name, fact.service) == (expected, expected)


@pytest.mark.parametrize(
    "told",
    ['{"doubleValue":NaN}', '{"doubleValue":"NaN"}', '{"doubleValue":1e400}', '{"intValue":"-5"}',
     '{"intValue":"%s"}' % ("9" * 400), '{"intValue":"1e5"}', '{"stringValue":"many"}'],
)  # fmt: skip
def test_a_count_that_is_none_is_told_with_its_line(tmp_path: Path, told: str) -> None:
    span = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "chat",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.usage.input_tokens", "value": "HERE"},
        ],
    }
    message = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    text = json.dumps(message).replace('"HERE"', told)
    (tmp_path / "a.jsonl").write_text("\n" + text + "\n" + text.replace("2" * 16, "3" * 16))
    made = _audited(tmp_path / "a.jsonl")
    assert made.inputs[0].notes == [
        "gen_ai.usage.input_tokens is not a count; it was not used (2 values, first at line 2)"
    ]
