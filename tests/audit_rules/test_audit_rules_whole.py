"""From spans as they are received to findings, with prices: what further rules say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tollbook.audit.engine import audit
from tollbook.audit.pricing import ListPricer
from tollbook.audit.read import Batch, InputRead, Where
from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.audit.settings import DEFAULT, AuditSettings
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.report import Audit

AT_NS = 1_790_000_000_000_000_000
SCOPE = "opentelemetry.instrumentation.genai.openai"


class Spans:
    """An input of spans that were made here."""

    def __init__(self, spans: list[Span], *, usage_points: int = 0) -> None:
        self.read = InputRead(source="made", usage_points=usage_points)
        self._spans = spans

    def __iter__(self) -> Iterator[Batch]:
        """Yield all of them."""
        self.read.spans = len(self._spans)
        yield Batch(self._spans, Where("made", 1))


def span(number: int, parent: int | None = None, trace: int = 1, **fields: Any) -> Span:
    told: dict[str, Any] = {
        "trace_id": f"{trace:032x}",
        "span_id": f"{number:016x}",
        "parent_span_id": None if parent is None else f"{parent:016x}",
        "name": f"step {number}",
        "kind": 1,
        "started_at_ns": AT_NS + number * 10**6,
        "ended_at_ns": AT_NS + number * 10**6 + 10**9,
        "resource": {"service.name": "shop"},
    }
    return Span(**{**told, **fields})


def call(
    number: int, parent: int | None = None, trace: int = 1, *, told: Any = None, **more: Any
) -> Span:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{trace:04d}-{number:04d}",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "server.address": "api.openai.com",
        "tenant.id": "acme",
    }
    attributes |= told or {}
    made = {name: value for name, value in attributes.items() if value is not None}
    fields: dict[str, Any] = {
        "name": "chat gpt-4o-mini", "kind": 3, "scope_name": SCOPE, "attributes": made,
    }  # fmt: skip
    return span(number, parent, trace, **{**fields, **more})


def root(**attributes: Any) -> Span:
    told = {name.replace("__", "."): value for name, value in attributes.items()}
    return span(1, kind=2, name="POST /ask", attributes={"tenant.id": "acme", **told})


def audited(*spans: Span, settings: AuditSettings = DEFAULT, usage_points: int = 0) -> Audit:
    return audit([Spans(list(spans), usage_points=usage_points)], ListPricer(), settings)


def rules(*spans: Span) -> set[str]:
    return {one.rule for one in audited(*spans).findings}


def test_clean_spans_have_no_finding() -> None:
    assert rules(root(), call(2, 1), call(3, 1)) == set()


FETCHED = {"gen_ai.operation.name": "fetch_response", "gen_ai.response.id": "resp_00000001"}
PASSES = {
    "gen_ai.provider.name": "anthropic",
    "server.address": "api.anthropic.com",
    "gen_ai.request.model": "claude-sonnet-4-5",
    "gen_ai.response.model": "claude-sonnet-4-5-20250929",
    "gen_ai.usage.raw": msgspec.json.encode(
        {
            "input_tokens": 1000,
            "output_tokens": 100,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "iterations": [
                {"type": "compaction", "input_tokens": 90_000, "output_tokens": 3000},
                {"type": "message", "input_tokens": 1000, "output_tokens": 100},
            ],
        }
    ).decode(),
}
ALIAS = {
    "gen_ai.provider.name": "mistral_ai", "server.address": "api.mistral.ai",
    "gen_ai.request.model": "mistral-large-latest", "gen_ai.response.model": None,
}  # fmt: skip
SENT = {"http.request.header.baggage": ["tenant.id=acme"], "http.request.method": "POST"}


@pytest.mark.parametrize(
    ("rule", "spans"),
    [
        ("A03", [root(), call(2, 1, told={"tenant.id": "globex"})]),
        ("A04", [root(**{"http.request.header.x-tenant-id": ["acme"]}), call(2, 1)]),
        ("A06", [root(), call(2, 1, scope_name="openinference.instrumentation.langchain"),
                 call(3, 2)]),
        ("A07", [call(2, told={"gen_ai.response.id": "chatcmpl-one"}),
                 call(3, trace=2, told={"gen_ai.response.id": "chatcmpl-one"})]),
        ("A08", [call(1, told={"gen_ai.usage.cache_read.input_tokens": 5000})]),
        ("A09", [call(1, told={"gen_ai.usage.total_tokens": 4000})]),
        ("A10", [call(1, told=PASSES)]),
        ("A11", [call(1, told=ALIAS)]),
        ("A12", [call(1, told={"gen_ai.usage.cost.amount": 0.42,
                               "gen_ai.usage.cost.source": "provider"})]),
        ("A13", [span(1, attributes={"gen_ai.operation.name": "invoke_agent",
                                     "gen_ai.usage.input_tokens": 9000,
                                     "gen_ai.usage.output_tokens": 900, "tenant.id": "acme"}),
                 call(2, 1)]),
        ("A14", [span(1, tracestate="ot=th:c", attributes={"tenant.id": "acme"}), call(2, 1)]),
        ("A15", [root(), call(2, 1, told=SENT)]),
        ("A17", [call(1, told={"gen_ai.conversation.id": "talk-77", "tenant.id": "talk-77"})]),
        ("A19", [call(1, is_error=True)]),
        ("A20", [call(1, told=FETCHED)]),
        ("A21", [call(1, told={"tenant.id": None, "gen_ai.batch.id": "batch_17"})]),
        ("A22", [root(), span(2, 1, kind=3, name="POST", scope_name="httpx", attributes={
            "http.request.method": "POST", "url.full": "https://api.openai.com/v1/responses"})]),
        ("A24", [call(1, told={"tenant.id": "jane@example.com"})]),
        ("A25", [call(1, told={"gen_ai.response.model": None})]),
        ("A27", [call(1, told={"gen_ai.usage.input_tokens": None,
                               "gen_ai.usage.output_tokens": None})]),
        ("A28", [call(1, ended_at_ns=AT_NS - 10**9)]),
        ("A29", [call(1, told={"gen_ai.request.model": "shop-7b",
                               "gen_ai.response.model": "shop-7b"})]),
        ("A30", [call(1, told={"gen_ai.usage.cost": 0.00021})]),
        ("A31", [span(2, 1, name="step"), call(3, 2, told={"tenant.id": None})]),
        ("A32", [root(), call(2, 1, resource={"service.name": "agent",
                                              "deployment.environment.name": "staging"})]),
    ],
)  # fmt: skip
def test_what_is_planted_is_found(rule: str, spans: list[Span]) -> None:
    if rule == "A32":
        spans[0].resource["deployment.environment.name"] = "production"
    told = audited(*spans)
    found = {one.rule: one for one in told.findings}
    assert rule in found, sorted(found)
    assert found[rule].mode in CATALOGUE[rule].modes
    assert found[rule].evidence
    # No rule beside it but those that the same spans mean too
    beside = {"A01", "A02", "A25", "A29", "A11", "A06"} | {rule}
    assert set(found) <= beside


def test_a_fetched_answer_costs_nothing_here_either() -> None:
    told = audited(call(1), call(2, told=FETCHED))
    assert told.defensibility.cost_pico == audited(call(1)).defensibility.cost_pico > 0


def test_metrics_without_spans() -> None:
    (one,) = audited(usage_points=12).findings
    assert (one.rule, one.calls) == ("A16", 0)
    assert not audited(call(1), usage_points=12).findings


def test_a_rule_that_is_ignored_says_nothing() -> None:
    spans = [call(1, told={"gen_ai.usage.total_tokens": 4000})]
    assert not audited(*spans, settings=AuditSettings(ignore=("A09",))).findings


def test_severities_are_at_most_those_of_the_catalogue() -> None:
    order = ["note", "warning", "error"]
    spans = [
        root(),
        call(2, 1, told={"tenant.id": "globex"}),
        call(3, 1, is_error=True, told={"gen_ai.usage.cost": 1.0}),
        call(4, 1, told={"gen_ai.response.model": None, "gen_ai.usage.total_tokens": 4000}),
    ]
    findings = audited(*spans).findings
    assert len(findings) >= 4
    for one in findings:
        assert order.index(one.severity) <= order.index(CATALOGUE[one.rule].severity)
