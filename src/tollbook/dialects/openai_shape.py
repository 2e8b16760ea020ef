"""The members of OpenAI usage objects, and of those of servers that speak like it."""

from __future__ import annotations

from msgspec import Struct

from tollbook.dialects.counts import Count


class Cached(Struct, gc=False):
    """Cached input by modality; part of ``cached_tokens``."""

    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class InputDetails(Struct, gc=False):
    """What the input is made of; all of it part of the input."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    video_tokens: Count | None = None
    cached_tokens_details: Cached | None = None


class OutputDetails(Struct, gc=False):
    """What the output is made of; all of it part of the output."""

    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class Tools(Struct, gc=False):
    """Calls of the server's own tools, by the names that several servers have for them."""

    web_search_requests: Count | None = None  # OpenRouter
    num_requests: Count | None = None  # OpenAI Responses: tool_usage.web_search
    # xAI
    web_search_calls: Count | None = None
    x_search_calls: Count | None = None
    code_interpreter_calls: Count | None = None
    file_search_calls: Count | None = None
    document_search_calls: Count | None = None


class ImageUsage(Struct, gc=False):
    """Tokens of an image model."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Seen(Struct, gc=False, omit_defaults=True):
    """What the answer shows and its usage does not say; written by the meter, not the provider."""

    web_searches: Count | None = None
    file_searches: Count | None = None
    code_containers: Count | None = None
    images: Count | None = None
    image_model: str | None = None
    image_tokens: Count | None = None
    """Of images made by a tool, by their size and quality."""
    audio_ms: Count | None = None
    web_tool: str | None = None
    """The older version of the web search tool, which has a price of its own."""


class SeenBeside(Struct, gc=False):
    """The object that is kept among the usage objects."""

    tollbook_seen: Seen


class BilledUnits(Struct, gc=False):
    """Cohere's, through servers that speak like OpenAI otherwise."""

    search_units: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None


class Usage(Struct, gc=False):
    """One usage object; all members that any of these servers sends and that are billed."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    input_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    # The same in the singular: transcriptions and speech of OpenAI, Writer
    input_token_details: InputDetails | None = None
    prompt_token_details: InputDetails | None = None
    output_token_details: OutputDetails | None = None
    completion_token_details: OutputDetails | None = None
    # Other names for cached_tokens: DeepSeek, Moonshot, Mistral, Databricks and Snowflake
    prompt_cache_hit_tokens: Count | None = None
    cached_tokens: Count | None = None
    num_cached_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    server_tool_use: Tools | None = None
    server_tool_use_details: Tools | None = None
    server_side_tool_usage_details: Tools | None = None
    num_sources_used: Count | None = None  # xAI's live search
    # Perplexity
    reasoning_tokens: Count | None = None
    citation_tokens: Count | None = None
    num_search_queries: Count | None = None
    search_context_size: str | None = None
    # Audio by its length: OpenAI, Mistral
    seconds: float | None = None
    prompt_audio_seconds: float | None = None
    billed_units: BilledUnits | None = None
    # Members of tool_usage, which the Responses API has beside its usage
    web_search: Tools | None = None
    image_gen: ImageUsage | None = None
    tollbook_seen: Seen | None = None
