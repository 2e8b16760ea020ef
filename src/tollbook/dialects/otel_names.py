"""Under which attributes OpenTelemetry instrumentations tell how much was used.

Each has names of its own, and older versions had others; a span that uses several of them says the
same thing several times. The names of one quantity stand in the order in which they are believed:
what was billed before what was consumed (GenAI conventions, client inference, "billable tokens"),
today's convention before deprecated names and other tools' own.

Sources: OpenTelemetry GenAI (semantic-conventions-genai), OpenLLMetry (semconv-ai 0.5),
OpenInference (semantic-conventions 0.1.42), OpenLIT 1.45, pydantic-ai 2, LiteLLM 1.106, the AI SDK
5 and 6, and Anthropic's own client 2.12.
"""

from __future__ import annotations

from typing import Final

_GEN_AI: Final = "gen_ai.usage."
_AGGREGATED: Final = "gen_ai.aggregated_usage."
"""Sums over an agent's run (pydantic-ai); the run is then charged where its calls are not seen."""

COUNTS: Final[dict[str, tuple[str, ...]]] = {
    "input": (
        "gen_ai.usage.billed_units.input_tokens",
        "gen_ai.usage.billed_input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "gen_ai.aggregated_usage.input_tokens",
    ),
    "output": (
        "gen_ai.usage.billed_units.output_tokens",
        "gen_ai.usage.billed_output_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "gen_ai.aggregated_usage.output_tokens",
    ),
    "total": (
        "gen_ai.usage.total_tokens",
        "llm.usage.total_tokens",
        "llm.token_count.total",
        "ai.usage.totalTokens",
        "ai.usage.tokens",  # of embeddings
    ),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens_details.cached_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.usage.cache_read_input_tokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_write_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "llm.usage.cache_creation_input_tokens",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.aggregated_usage.cache_write.input_tokens",
        "gen_ai.aggregated_usage.cache_creation.input_tokens",
    ),
    "cache_write_5m": (
        "gen_ai.usage.cache_write.5m.input_tokens",
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
        "gen_ai.usage.cache_creation.ephemeral_5m_input_tokens",
        "gen_ai.usage.details.ephemeral_5m_input_tokens",
    ),
    "cache_write_1h": (
        "gen_ai.usage.cache_write.1h.input_tokens",
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens",
        "gen_ai.usage.details.ephemeral_1h_input_tokens",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_tokens_details.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
        "gen_ai.aggregated_usage.reasoning.output_tokens",
        "gen_ai.aggregated_usage.details.reasoning_tokens",
    ),
    "input_audio": (
        "gen_ai.usage.audio.input_tokens",
        "gen_ai.usage.prompt_tokens_details.audio_tokens",
        "gen_ai.usage.details.input_audio_tokens",
        "llm.token_count.prompt_details.audio",
    ),
    "cache_read_audio": (
        "gen_ai.usage.audio.cache_read.input_tokens",
        "gen_ai.usage.details.cache_audio_read_tokens",
    ),
    "output_audio": (
        "gen_ai.usage.audio.output_tokens",
        "gen_ai.usage.completion_tokens_details.audio_tokens",
        "gen_ai.usage.details.output_audio_tokens",
        "llm.token_count.completion_details.audio",
    ),
    "input_image": ("gen_ai.usage.image.input_tokens",),
    "cache_read_image": ("gen_ai.usage.image.cache_read.input_tokens",),
    "output_image": ("gen_ai.usage.image.output_tokens",),
    "search_units": (
        "gen_ai.usage.billed_units.search_units",
        "gen_ai.usage.search_units",
        "gen_ai.usage.details.search_units",
    ),
    "web_searches": (
        "gen_ai.usage.web_search_requests",
        "gen_ai.usage.server_tool_use.web_search_requests",
        "gen_ai.usage.details.web_search_requests",
    ),
}
"""Quantity to the attributes that may tell it."""

RAW_USAGE: Final = "tollbook.usage.raw"
RAW_DIALECT: Final = "tollbook.dialect"
ANSWER_USAGE: Final = "output.value.usage"
"""Of the answer that OpenInference keeps whole; the rest of it is not kept."""
RAW_ELSEWHERE: Final = ("gen_ai.usage.raw", ANSWER_USAGE)
"""The provider's own usage object as JSON text (Logfire); whose it is, its members tell."""
PROVIDER_METADATA: Final = "ai.response.providerMetadata"
LANGFUSE_USAGE: Final = "langfuse.observation.usage_details"
LANGFUSE_COST: Final = "langfuse.observation.cost_details"
LITELLM_USAGE: Final = "metadata.usage_object"

COSTS: Final = (
    "litellm.cost.total",
    "gen_ai.cost.total_cost",
    "gen_ai.usage.cost",
    "operation.cost",
    "llm.cost.total",
)
"""What a tool has worked out from prices of its own, in USD."""
SPEC_COST: Final = "gen_ai.usage.cost.amount"
SPEC_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
SPEC_COST_SOURCE: Final = "gen_ai.usage.cost.source"
"""As proposed to the GenAI conventions; the source is ``provider`` or ``local``."""

SERVICE_TIERS: Final = (
    "tollbook.service_tier",
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
    "gen_ai.usage.service_tier",
    "anthropic.response.service_tier",
)
"""As served. What was asked for (``gen_ai.openai.request.service_tier``) need not be."""

_NAMES: Final = frozenset(
    [name for names in COUNTS.values() for name in names]
    + [RAW_USAGE, RAW_DIALECT, *RAW_ELSEWHERE, PROVIDER_METADATA, LANGFUSE_USAGE]
    + [LANGFUSE_COST, LITELLM_USAGE]
    + [*COSTS, SPEC_COST, SPEC_COST_CURRENCY, SPEC_COST_SOURCE, *SERVICE_TIERS]
)
_PREFIXES: Final = (
    _GEN_AI, _AGGREGATED, "gen_ai.cost.", "llm.token_count.", "llm.usage.", "llm.cost.",
    "ai.usage.", "litellm.cost.", "anthropic.usage.",
)  # fmt: skip
_COUNT_NAMES: Final = frozenset(name for names in COUNTS.values() for name in names)
_HOLDERS: Final = frozenset({RAW_USAGE, *RAW_ELSEWHERE, LANGFUSE_USAGE})


def is_usage(name: str) -> bool:
    """Whether an attribute is kept, so that a call can be measured again from the evidence."""
    return name in _NAMES or name.startswith(_PREFIXES)


def is_count(name: str) -> bool:
    """Whether an attribute tells of tokens or searches, as against what they cost."""
    return name in _COUNT_NAMES or name in _HOLDERS
