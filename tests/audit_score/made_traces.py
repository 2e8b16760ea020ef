"""Traces made by hand: calls that have everything, and what takes something from them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tollbook.audit.facts import CallFact, SpanFact
from tollbook.audit.trace import Trace
from tollbook.call import SpanKind
from tollbook.usage import Kinds

AT_NS = 1_790_000_000 * 10**9
S = 10**9
KINDS = Kinds(1000, visible_output_tokens=100)


def call(number: int = 1, **changes: Any) -> CallFact:
    """Return a call that lacks nothing but an owner; each number has ids of its own."""
    made = CallFact(
        operation="chat",
        provider="openai",
        model_requested="gpt-4o",
        model_actual="gpt-4o-2024-08-06",
        kinds=KINDS,
        counts={"input": 1000, "output": 100, "cache_read": 0},
        response_id=f"chatcmpl-{number}",
        host="api.openai.com",
        cost_pico=1_000_000_000,
        price_card="openai/gpt-4o, genai-prices, card 1",
        usage_source="reported",
    )
    return replace(made, **changes)


def span(number: int = 1, made: CallFact | None = None, **changes: Any) -> SpanFact:
    """Return a span of a call that lacks nothing; each number begins a second later."""
    whole: dict[str, Any] = {
        "trace_id": "t1", "span_id": f"s{number}", "parent_span_id": None, "name": "chat gpt-4o",
        "what": SpanKind.MODEL, "kind": 3, "service": "web", "scope": "openai",
        "started_at_ns": AT_NS + number * S, "ended_at_ns": AT_NS + number * S + S // 2,
        "owner": {"tenant_id": "acme"}, "call": call(number) if made is None else made,
    }  # fmt: skip
    return SpanFact(**(whole | changes))


def trace(*spans: SpanFact) -> Trace:
    """Return a trace of some spans."""
    return Trace(list(spans))
