"""What spans of each convention tell of usage, as disjoint kinds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.otlp_mapping.kit import a_chat, call_of, measured_of, told

from tollbook.call import UsageSource

U = "gen_ai.usage."


@pytest.mark.parametrize(
    "names",
    [
        (U + "input_tokens", U + "output_tokens", U + "cache_read.input_tokens"),
        (U + "prompt_tokens", U + "completion_tokens", U + "cache_read_input_tokens"),
        ("llm.usage.prompt_tokens", "llm.usage.completion_tokens",
         "llm.usage.cache_read_input_tokens"),
        ("llm.token_count.prompt", "llm.token_count.completion",
         "llm.token_count.prompt_details.cache_read"),
        ("ai.usage.inputTokens", "ai.usage.outputTokens", "ai.usage.cachedInputTokens"),
        ("ai.usage.promptTokens", "ai.usage.completionTokens",
         "ai.usage.inputTokenDetails.cacheReadTokens"),
        (U + "input_tokens", U + "output_tokens", U + "prompt_tokens_details.cached_tokens"),
        (U + "input_tokens", U + "output_tokens", U + "details.cache_read_tokens"),
    ],
)  # fmt: skip
def test_each_convention_names_input_output_and_cache(names: tuple[str, str, str]) -> None:
    measured = measured_of(a_chat() | dict(zip(names, (100, 20, 60), strict=True)))
    assert measured.source is UsageSource.REPORTED
    assert told(measured) == {
        "uncached_input_tokens": 40, "cache_read_tokens": 60, "visible_output_tokens": 20,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["cache_write.input_tokens", "cache_creation.input_tokens",
                                  "cache_creation_input_tokens"])  # fmt: skip
def test_cache_writes_are_within_the_input(name: str) -> None:
    attributes = a_chat(gen_ai__provider__name="anthropic")
    measured = measured_of(
        attributes | {U + "input_tokens": 100, U + "output_tokens": 1, U + name: 30}
    )
    assert told(measured)["cache_write_5m_tokens"] == 30
    assert told(measured)["uncached_input_tokens"] == 70
    assert any("five minutes" in one for one in measured.problems)


def test_names_of_today_go_before_deprecated_ones() -> None:
    attributes = {U + "input_tokens": 7, U + "prompt_tokens": 9, U + "output_tokens": 1}
    assert told(measured_of(a_chat() | attributes))["uncached_input_tokens"] == 7


def test_billed_tokens_go_before_those_used() -> None:
    attributes = {
        U + "billed_units.input_tokens": 5, U + "billed_units.output_tokens": 2,
        U + "input_tokens": 500, U + "output_tokens": 200,
    }  # fmt: skip
    measured = measured_of(a_chat() | attributes)
    assert told(measured) == {"uncached_input_tokens": 5, "visible_output_tokens": 2}


def test_billed_units_of_cohere_in_the_details_go_before_those_used() -> None:
    attributes = a_chat(gen_ai__provider__name="cohere") | {
        U + "input_tokens": 500, U + "output_tokens": 30,
        U + "details.input_tokens": 5, U + "details.output_tokens": 2,
    }  # fmt: skip
    measured = measured_of(attributes)
    assert told(measured) == {"uncached_input_tokens": 5, "visible_output_tokens": 2}


CLAUDE = {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-haiku-4-5"}


@pytest.mark.parametrize(
    ("scope", "attributes", "uncached", "why"),
    [
        # more cache than input: beside it, whoever says so
        ("any", {U + "input_tokens": 10, U + "cache_read.input_tokens": 40}, 10, "more of them"),
        # the total counts both
        ("any", {U + "input_tokens": 50, U + "cache_read.input_tokens": 40, U + "output_tokens": 5,
                 U + "total_tokens": 95}, 50, "the total counts both"),
        # known to pass Anthropic's own count on
        ("openlit.instrumentation.anthropic", {U + "input_tokens": 50,
         U + "cache_read.input_tokens": 40}, 50, "OpenLIT"),
        ("ai", {"ai.usage.inputTokens": 50, "ai.usage.cachedInputTokens": 40}, 50, "AI SDK"),
        ("ai", {"ai.usage.inputTokens": 50, "ai.usage.inputTokenDetails.cacheReadTokens": 40}, 10,
         "as OpenTelemetry has it"),
        ("opentelemetry.instrumentation.anthropic", {U + "input_tokens": 50,
         U + "cache_read.input_tokens": 40}, 10, "as OpenTelemetry has it"),
    ],
)  # fmt: skip
def test_whether_input_includes_the_cache(
    scope: str, attributes: dict[str, Any], uncached: int, why: str
) -> None:
    measured = measured_of(
        a_chat() | CLAUDE | {U + "output_tokens": 5} | attributes, scope_name=scope
    )
    assert told(measured)["uncached_input_tokens"] == uncached
    assert told(measured)["cache_read_tokens"] == 40
    assert any(why in one for one in measured.problems)


def test_openlit_passes_on_only_what_anthropic_counts_beside_the_input() -> None:
    attributes = a_chat() | {U + "input_tokens": 50, U + "cache_read.input_tokens": 40}
    measured = measured_of(attributes, scope_name="openlit.instrumentation.openai")
    assert told(measured)["uncached_input_tokens"] == 10


@pytest.mark.parametrize(
    ("attributes", "visible"),
    [
        ({U + "output_tokens": 100, U + "reasoning.output_tokens": 80}, 20),
        ({U + "output_tokens": 100, "gen_ai.usage.reasoning_tokens": 80}, 20),
        ({U + "output_tokens": 20, U + "reasoning.output_tokens": 80}, 20),  # more than the output
        ({U + "output_tokens": 90, U + "reasoning.output_tokens": 80, U + "total_tokens": 180}, 90),
    ],
)
def test_reasoning_is_within_the_output_unless_the_numbers_say_otherwise(
    attributes: dict[str, Any], visible: int
) -> None:
    kinds = told(measured_of(a_chat() | {U + "input_tokens": 10} | attributes))
    assert (kinds["visible_output_tokens"], kinds["reasoning_tokens"]) == (visible, 80)


def test_audio_and_images() -> None:
    attributes = {
        U + "input_tokens": 100, U + "output_tokens": 50, U + "cache_read.input_tokens": 30,
        U + "audio.input_tokens": 40, U + "audio.cache_read.input_tokens": 10,
        U + "image.input_tokens": 20, U + "audio.output_tokens": 15,
    }  # fmt: skip
    assert told(measured_of(a_chat() | attributes)) == {
        "uncached_input_tokens": 20, "cache_read_tokens": 20, "cache_read_audio_tokens": 10,
        "input_audio_tokens": 30, "input_image_tokens": 20, "visible_output_tokens": 35,
        "output_audio_tokens": 15,
    }  # fmt: skip


RAW_CLAUDE = {
    "input_tokens": 10, "output_tokens": 4, "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 5, "output_tokens_details": None,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
}  # fmt: skip
AS_CLAUDE = {
    "uncached_input_tokens": 10, "cache_read_tokens": 3, "cache_write_5m_tokens": 2,
    "cache_write_1h_tokens": 3, "visible_output_tokens": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.usage.raw": json.dumps(RAW_CLAUDE)},
        {"tollbook.usage.raw": [json.dumps(RAW_CLAUDE)], "tollbook.dialect": "anthropic"},
        {"ai.response.providerMetadata": json.dumps({"anthropic": {"usage": RAW_CLAUDE}})},
        {"langfuse.observation.usage_details": json.dumps(RAW_CLAUDE)},
        {"openinference.span.kind": "LLM", "output.mime_type": "application/json",
         "output.value": json.dumps({"id": "msg_1", "content": "secret", "usage": RAW_CLAUDE})},
    ],
)  # fmt: skip
def test_the_providers_own_usage_tells_more(attributes: dict[str, Any]) -> None:
    measured = measured_of(
        a_chat() | CLAUDE | {U + "input_tokens": 18, U + "output_tokens": 4} | attributes
    )
    assert told(measured) == AS_CLAUDE
    assert any("the provider's own usage" in one for one in measured.problems)


def test_openai_usage_with_anthropics_members_is_openais() -> None:
    raw = {"prompt_tokens": 10, "completion_tokens": 2, "cache_read_input_tokens": 4}
    measured = measured_of(a_chat() | {"gen_ai.usage.raw": json.dumps(raw)})
    assert told(measured) == {
        "uncached_input_tokens": 6, "cache_read_tokens": 4, "visible_output_tokens": 2,
    }  # fmt: skip


def test_langfuse_counts_do_not_overlap() -> None:
    details = {
        "input": 10, "input_cached_tokens": 4, "input_cache_creation_5m": 2,
        "input_cache_creation_1h": 3, "output": 7, "output_reasoning_tokens": 5, "total": 31,
    }  # fmt: skip
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "claude-haiku-4-5",
        "langfuse.observation.usage_details": json.dumps(details),
    }
    assert told(measured_of(attributes)) == {
        "uncached_input_tokens": 10, "cache_read_tokens": 4, "cache_write_5m_tokens": 2,
        "cache_write_1h_tokens": 3, "visible_output_tokens": 7, "reasoning_tokens": 5,
    }  # fmt: skip


def test_litellm_tells_the_cache_in_a_python_literal_only() -> None:
    usage = {
        "completion_tokens": 20, "prompt_tokens": 3000, "total_tokens": 3020,
        "prompt_tokens_details": {
            "cached_tokens": 100, "cache_creation_tokens": 1200,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 0,
                                             "ephemeral_1h_input_tokens": 1200},
        },
        "cache_creation_input_tokens": 1200,
    }  # fmt: skip
    attributes = {
        U + "input_tokens": 3000,
        U + "output_tokens": 20,
        "metadata.usage_object": str(usage),
    }
    assert told(measured_of(a_chat() | CLAUDE | attributes)) == {
        "uncached_input_tokens": 1700, "cache_read_tokens": 100, "cache_write_1h_tokens": 1200,
        "visible_output_tokens": 20,
    }  # fmt: skip


def test_embeddings_that_have_a_total_only() -> None:
    attributes = {"gen_ai.operation.name": "embeddings", "llm.token_count.total": 12}
    measured = measured_of(attributes)
    assert told(measured) == {"uncached_input_tokens": 12}
    assert measured.source is UsageSource.REPORTED


def test_searches_without_tokens() -> None:
    attributes = {"openinference.span.kind": "RERANKER", U + "search_units": 2}
    assert told(measured_of(attributes)) == {"search_units": 2}


@pytest.mark.parametrize("provider", ["cohere", "aws.bedrock"])
def test_reranking_by_search_units_does_not_charge_its_tokens(provider: str) -> None:
    attributes = {
        "gen_ai.operation.name": "rerank", "gen_ai.provider.name": provider,
        "gen_ai.request.model": "rerank-v3.5", U + "search_units": 2,
        U + "input_tokens": 1000, U + "output_tokens": 0,
    }  # fmt: skip
    measured = measured_of(attributes)
    assert told(measured) == {"search_units": 2}
    assert measured.source is UsageSource.REPORTED
    assert any("tokens beside them are not charged" in one for one in measured.problems)


def test_a_missing_side_is_said_and_is_not_reported() -> None:
    measured = measured_of(a_chat() | {U + "output_tokens": 5})
    assert measured.source is UsageSource.ESTIMATED
    assert any("no count of the input" in one for one in measured.problems)


def test_no_usage_is_unknown_and_not_zero() -> None:
    measured = measured_of(a_chat())
    assert measured.kinds is None
    assert measured.source is UsageSource.NONE
    assert "the span tells no usage" in measured.problems


def test_an_error_without_usage_is_not_billed() -> None:
    call = call_of(a_chat() | {"error.type": "RateLimitError"}, is_error=True)
    assert not call.closed.is_billable
    billed = call_of(a_chat() | {"error.type": "x", U + "output_tokens": 3}, is_error=True)
    assert billed.closed.is_billable


@pytest.mark.parametrize("junk", [-1, "many", True, 1.5, float("nan"), 10**15, None, [1], {"a": 1}])
def test_what_is_no_count_is_not_used(junk: Any) -> None:
    measured = measured_of(a_chat() | {U + "input_tokens": junk, U + "prompt_tokens": 9,
                                       U + "output_tokens": 1})  # fmt: skip
    assert told(measured)["uncached_input_tokens"] == 9


@pytest.mark.parametrize("count", [9, 9.0, "9"])
def test_counts_come_in_several_types(count: Any) -> None:
    measured = measured_of(a_chat() | {U + "input_tokens": count, U + "output_tokens": 1})
    assert told(measured)["uncached_input_tokens"] == 9


def test_a_sum_over_a_run_is_not_read_from_its_last_answer() -> None:
    last = {"anthropic": {"usage": RAW_CLAUDE}}
    attributes = {
        "ai.operationId": "ai.generateText", "ai.model.provider": "anthropic.messages",
        "ai.model.id": "claude-haiku-4-5", "ai.usage.inputTokens": 500, "ai.usage.outputTokens": 50,
        "ai.usage.inputTokenDetails.cacheReadTokens": 0,
        "ai.response.providerMetadata": json.dumps(last),
    }  # fmt: skip
    assert told(measured_of(attributes)) == {
        "uncached_input_tokens": 500, "visible_output_tokens": 50,
    }  # fmt: skip
