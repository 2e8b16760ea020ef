"""Spans of the real instrumentation packages, held against what the providers did.

Each package watches the same calls; what it lets come to the bill is compared to the last digit.
Where a package does not tell enough, the loss is named here and in ``docs/otlp``.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.otlp_mapping.conftest import CLIENTS, ROOT
from tests.otlp_mapping.kit import told

from tollbook.call import Status
from tollbook.ledger.charge import charge_of, measure
from tollbook.prices.book import PriceBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.otlp_mapping.conftest import Ran

    from tollbook.call import Call

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tests" / "clients" / "scripts" / "otel" / "instrumented.py"
AI_SDK = SCRIPT.with_name("ai_sdk.mjs")
HOUR = "how long the cache write lives is not told: 1.25 in place of 2 times the price"
STREAM = "output is told as one token more: that of the stream's first event is added"
NO_CACHE = "cached tokens are not told"
GPT = {"chat", "chat-stream", "chat-reasoning", "chat-tools", "responses", "embeddings"}
CLAUDE = {
    "claude", "claude-cached", "claude-little-cached", "claude-hour", "claude-stream",
    "claude-create-stream",
}  # fmt: skip
AI_CASES = {
    "chat", "chat-stream", "responses", "chat-tools", "embeddings", "claude", "claude-cached",
    "claude-little-cached", "claude-hour", "claude-stream",
}  # fmt: skip

CASES: dict[str, tuple[set[str], dict[str, str], str | None]] = {
    # dialect: cases that succeed, what is lost, the tenant that its own fields carry
    "genai": (GPT | CLAUDE, {"claude-hour": HOUR}, None),
    "openllmetry": (
        GPT | CLAUDE,
        {"claude-hour": HOUR, "claude-stream": STREAM, "claude-create-stream": STREAM},
        None,
    ),
    "langchain": ({"langchain"}, {}, "acme"),
    "openinference": (GPT, {}, "acme"),
    "openinference_anthropic": (CLAUDE, {}, None),
    "openlit": (GPT | CLAUDE, {"claude-hour": HOUR}, "acme"),
    "langfuse": (GPT | {"claude-cached"}, {}, "acme"),
    "logfire": (GPT | CLAUDE, {}, "acme"),
    "pydantic_ai": ({"agent", "claude-agent"}, {"claude-agent": HOUR}, None),
    "litellm": (
        {"chat", "chat-stream", "claude", "claude-cached", "claude-little-cached", "claude-hour",
         "embeddings"},
        {}, None,
    ),
    "ai-sdk-6": (AI_CASES, {}, "acme"),
    "ai-sdk-5": (AI_CASES, {"chat": NO_CACHE, "responses": NO_CACHE}, "acme"),
}  # fmt: skip


def run(dialect: str, run_instrumented: Callable[..., Ran]) -> Ran:
    if dialect.startswith("ai-sdk"):
        directory = CLIENTS / "node_otel"  # modules are looked for beside the script
        shutil.copy(AI_SDK, directory)
        return run_instrumented("node", str(directory / AI_SDK.name), dialect[-1])
    venv = "openinference" if dialect == "openinference_anthropic" else "otel"
    return run_instrumented(str(CLIENTS / venv / "bin" / "python"), str(SCRIPT), dialect)


def cost_of(call: Call, book: PriceBook) -> str | None:
    cost = charge_of(call, book.resolve).cost
    return None if cost is None else f"{cost // 10**12}.{cost % 10**12:012d}"


@pytest.mark.parametrize("dialect", CASES)
def test_what_a_package_tells_is_what_the_provider_did(
    dialect: str, run_instrumented: Callable[..., Ran]
) -> None:
    cases, losses, tenant = CASES[dialect]
    ran = run(dialect, run_instrumented)
    book = PriceBook([], "test", {})
    assert set(ran.cases) - {"chat-error"} == cases

    for name, case in ran.cases.items():
        leaves = case.leaves
        if name == "chat-error":
            assert [one.closed.status for one in leaves] == [Status.ERROR]
            assert not leaves[0].closed.is_billable
            continue
        # The tools' case is two calls of the AI SDK: it answers with what the tool returned.
        expected = 2 if name == "chat-tools" and dialect.startswith("ai-sdk") else 1
        assert len(leaves) == expected, name
        for call in leaves:
            assert call.closed.status is Status.OK
            assert call.opened.provider == ("anthropic" if "claude" in name else "openai")
            is_equal = cost_of(call, book) == case.ended.cost_usd
            assert is_equal is (name not in losses), (name, measure(call))
            if name not in losses:
                kinds = told(measure(call))
                quantities = case.truth.quantities._asdict()
                assert kinds.get("cache_read_tokens", 0) == quantities["cache_read"]
                assert kinds["uncached_input_tokens"] == quantities["uncached_input"]
            if losses.get(name) == HOUR:
                said = "how long cache writes live is not told"
                assert any(said in one for one in measure(call).problems)
        if dialect == "openinference_anthropic" and name == "claude-cached":
            # Anthropic's client tells of itself too: below the span of the instrumentation.
            outer, inner = sorted(case.calls, key=lambda one: one.opened.started_at_ns)
            assert inner.opened.parent_span_id == outer.opened.span_id
            assert inner.closed.provider_response_id == outer.closed.provider_response_id
            assert outer.opened.identity.tenant_id == "acme"
        if tenant is not None:
            assert {call.opened.identity.tenant_id for call in leaves} == {tenant}
