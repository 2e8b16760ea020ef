"""Traces and rules for tests: spans with what a test is about, and all else as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.audit.facts import CallFact, SpanFact
from tollbook.audit.rules.base import JoinRule, WholeRule
from tollbook.audit.rules.further import rules
from tollbook.audit.settings import AuditSettings
from tollbook.audit.trace import Trace
from tollbook.call import SpanKind
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.findings import Hit

TRACE = "0af7651916cd43dd8448eb211c80319c"
AT_NS = 1_790_000_000_000_000_000
"""In September 2026."""
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


def used(given: int = 100, out: int = 20, cached: int = 0) -> Kinds:
    """Return the usage of a call."""
    return Kinds(
        uncached_input_tokens=given - cached, cache_read_tokens=cached, visible_output_tokens=out
    )


def span(number: int, parent: int | None = None, **fields: Any) -> SpanFact:
    """Return a span; numbers are ids, and the time goes up with them."""
    told: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "parent_span_id": None if parent is None else f"{parent:016x}",
        "name": f"span {number}",
        "what": SpanKind.OTHER,
        "kind": 1,
        "service": "shop",
        "scope": "shop.web",
        "started_at_ns": AT_NS + number * 1_000_000,
        **fields,
    }
    if told["started_at_ns"]:
        told.setdefault("ended_at_ns", told["started_at_ns"] + 500_000_000)
    return SpanFact(**told)


def call(number: int, parent: int | None = None, *, of: Any = None, **fields: Any) -> SpanFact:
    """Return a call that is as it should be; ``of`` changes what it tells of itself."""
    kinds = used()
    told: dict[str, Any] = {
        "operation": "chat",
        "provider": "openai",
        "model_requested": "gpt-4o-mini",
        "model_actual": "gpt-4o-mini-2024-07-18",
        "kinds": kinds,
        "counts": {"input": 100, "output": 20, "total": 120},
        "response_id": f"chatcmpl-{number:08d}",
        "cost_pico": 27_000_000,
    }
    made = CallFact(**{**told, **(of or {})})
    given: dict[str, Any] = {
        "what": SpanKind.MODEL,
        "kind": CLIENT,
        "name": "chat gpt-4o-mini",
        "scope": "opentelemetry.instrumentation.openai_v2",
        "owner": {"tenant_id": "acme"},
        "call": made,
    }
    return span(number, parent, **{**given, **fields})


def agent(number: int, parent: int | None = None, *, of: Any = None, **fields: Any) -> SpanFact:
    """Return a span that sums up."""
    told = {"operation": "invoke_agent", "is_call": False, **(of or {})}
    return call(number, parent, of=told, **{"what": SpanKind.AGENT, "kind": 1, **fields})


def found(
    *traces: Sequence[SpanFact], settings: AuditSettings | None = None, rule: str | None = None
) -> list[Hit]:
    """Return what all further rules find in some traces, or one of them."""
    hits: list[Hit] = []
    made = rules(settings or AuditSettings())
    groups: dict[tuple[str, str], list[SpanFact]] = {}
    for spans in traces:
        trace = Trace(list(spans))
        for one in made:
            if isinstance(one, JoinRule):
                for key, about in one.keys(trace):
                    groups.setdefault((one.name, key), []).append(about)
            elif isinstance(one, WholeRule):
                one.observe(trace)
            else:
                hits += one.check(trace)
    for one in made:
        if isinstance(one, JoinRule):
            for (name, key), group in groups.items():
                if name == one.name:
                    hits += one.check_group(key, sorted(group, key=lambda s: s.started_at_ns))
        elif isinstance(one, WholeRule):
            hits += one.finish()
    return [hit for hit in hits if rule is None or hit.rule == rule]
