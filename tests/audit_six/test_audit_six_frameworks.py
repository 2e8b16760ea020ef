"""Which framework is recognised, by the scopes that instrumentations really have."""

from __future__ import annotations

import pytest
from tests.audit_six.span_kit import facts, span

from tollbook.audit.rules.frameworks import AGENTS, framework_of_scope, is_job, recognise


@pytest.mark.parametrize(
    ("scope", "framework"),
    [
        ("opentelemetry.instrumentation.celery", "celery"),
        ("opentelemetry.instrumentation.fastapi", "fastapi"),
        ("opentelemetry.instrumentation.asgi", "asgi"),
        ("opentelemetry.instrumentation.httpx", "httpx"),
        ("opentelemetry.instrumentation.requests", "requests"),
        ("opentelemetry.instrumentation.aiohttp_client", "aiohttp"),
        ("opentelemetry.instrumentation.openai_v2", "openai"),
        ("opentelemetry.instrumentation.genai.openai", "openai"),
        ("opentelemetry.instrumentation.openai.v1", "openai"),
        ("opentelemetry.instrumentation.openai_agents", "openai-agents"),
        ("opentelemetry.instrumentation.langchain", "langchain"),
        ("openinference.instrumentation.llama_index", "llamaindex"),
        ("openinference.instrumentation.crewai", "crewai"),
        ("opentelemetry.instrumentation.botocore.bedrock-runtime", "bedrock"),
        ("@opentelemetry/instrumentation-express", "express"),
        ("@opentelemetry/instrumentation-http", "http"),
        ("pydantic-ai", "pydantic-ai"),
        ("logfire.openai", "openai"),
        ("litellm", "litellm-proxy"),
        ("ai", "vercel-ai"),
        ("opentelemetry.instrumentation.confluent_kafka", "kafka"),
        ("langfuse-sdk", "langfuse"),
        ("product", ""),
        ("", ""),
    ],
)
def test_a_scope_tells_the_framework(scope: str, framework: str) -> None:
    assert framework_of_scope(scope) == framework


def test_the_first_span_that_tells_is_taken_and_others_may_not_count() -> None:
    web, agent, plain = facts(
        [
            span("t", "a", scope="opentelemetry.instrumentation.fastapi"),
            span("t", "b", scope="opentelemetry.instrumentation.langchain"),
            span("t", "c"),
        ]
    )

    assert recognise(plain, None, web, agent) == "fastapi"
    assert recognise(plain, web, agent, among=AGENTS) == "langchain"
    assert recognise(plain) == ""


def test_a_job_is_taken_from_a_queue_and_not_put_into_one() -> None:
    scope = "opentelemetry.instrumentation.celery"
    taken, put, begun, other = facts(
        [
            span("t", "a", kind="consumer"),
            span("t", "b", kind="producer", scope=scope),
            span("t", "c", kind="internal", scope=scope),
            span("t", "d", kind="internal"),
        ]
    )

    assert [is_job(one) for one in (taken, put, begun, other)] == [True, False, True, False]
