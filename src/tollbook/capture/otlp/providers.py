"""Which provider a span means: instrumentations have names of their own for the same one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tollbook.capture.otlp.spans import text_of
from tollbook.config.known_providers import KNOWN_PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN: Final = "unknown"
_NAMES: Final[dict[str, str]] = {
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "amazon-bedrock": "bedrock",
    "amazon_bedrock": "bedrock",
    "aws": "bedrock",
    "azure.ai.openai": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.inference": "azure",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azure_ai": "azure",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "google": "gemini",
    "google-gla": "gemini",
    "google_ai_studio": "gemini",
    "google_genai": "gemini",
    "google.generative-ai": "gemini",
    "gcp.vertex_ai": "vertex",
    "vertex_ai": "vertex",
    "vertexai": "vertex",
    "google-vertex": "vertex",
    "google.vertex": "vertex",
    "google_vertexai": "vertex",
    "x_ai": "xai",
    "x-ai": "xai",
    "grok": "xai",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot_ai": "moonshot",
    "moonshotai": "moonshot",
    "together_ai": "together",
    "togetherai": "together",
    "together-ai": "together",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "voyageai": "voyage",
    "voyage_ai": "voyage",
    "jina_ai": "jina",
    "jinaai": "jina",
    "cohere_chat": "cohere",
    "text-completion-openai": "openai",
    "hugging_face": "huggingface",
    "ibm.watsonx.ai": "watsonx",
}
"""Names to ours; whatever is not here is taken as it is."""
_ATTRIBUTES: Final = (
    "tollbook.provider",
    "gen_ai.provider.name",
    "llm.provider",
    "gen_ai.system",
    "ai.model.provider",
    "llm.system",
    "litellm.provider",
    "llm.vendor",
)
"""In the order in which they are believed."""
_MODELS: Final = (
    (re.compile(r"(gpt-|o[134](-|$)|chatgpt-|text-embedding-|tts-|whisper-)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"(command-|embed-(english|multilingual)|rerank-)"), "cohere"),
    (re.compile(r"(mistral-|ministral-|codestral-|magistral-|pixtral-)"), "mistral"),
    (re.compile(r"grok-"), "xai"),
    (re.compile(r"deepseek-(chat|reasoner|v\d)"), "deepseek"),
    (re.compile(r"sonar"), "perplexity"),
    (re.compile(r"voyage-"), "voyage"),
    (re.compile(r"jina-"), "jina"),
)  # fmt: skip
"""Names that a provider gives to its own models only."""
_AZURE_HOSTS: Final = (
    ".openai.azure.com",
    ".services.ai.azure.com",
    ".cognitiveservices.azure.com",
)
_is_bedrock_host = re.compile(r"bedrock-(runtime|mantle)(-fips)?\.[a-z0-9-]+\..+").fullmatch
_is_vertex_host = re.compile(r"([a-z0-9-]+-)?aiplatform(\.[a-z.]+)?\.googleapis\.com").fullmatch
_is_name = re.compile(r"[a-z0-9][a-z0-9._/-]{0,63}").fullmatch
KNOWN_HOSTS: Final[dict[str, str]] = {
    host: one.name
    for one in KNOWN_PROVIDERS
    if one.api_key_env is not None and (host := urlsplit(one.base_url).hostname)
} | {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}
"""Hosts of providers to their names; others can be given to :func:`provider_of`."""


def host_of(attributes: Mapping[str, Any]) -> str | None:
    """Return the host that was called, as a span tells it."""
    address = text_of(
        attributes,
        "server.address",
        "gen_ai.openai.api_base",
        "openai.api_base",
        "llm.openai.api_base",
        "gen_ai.request.api_base",
        "hidden_params.api_base",
    )
    if address is None:
        return None
    return _host_in(address)


@lru_cache(maxsize=1024)  # few addresses, on very many spans
def _host_in(address: str) -> str | None:
    try:
        return urlsplit(address if "//" in address else "//" + address).hostname
    except ValueError:
        return None


def provider_of(
    attributes: Mapping[str, Any], model: str | None, hosts: Mapping[str, str]
) -> tuple[str, str | None]:
    """Return our name of the provider, and what is to be said of how it was found.

    Instrumentations name the client library ("openai") wherever it was pointed to, so a host that
    is known goes first. A model's name tells where nothing else does.

    Args:
        attributes: of the span.
        model: the model asked for or answered.
        hosts: hosts to the names of providers.
    """
    host = host_of(attributes)
    if host is not None and "tollbook.provider" not in attributes:
        known = hosts.get(host) or _at_cloud(host)
        if known is not None:
            return known, None
    for name in _ATTRIBUTES:
        text = text_of(attributes, name)
        if text is not None:
            found = provider_named(text)
            if found is not None:
                return found, None
    prefix, slash, rest = (model or "").lower().partition("/")
    if slash:
        found = provider_named(prefix)
        if found in set(hosts.values()) | {"azure", "vertex", "bedrock"}:
            return found or UNKNOWN, f"the provider is told by the model's name only: {found}"
    for pattern, provider in _MODELS:
        if pattern.match(rest if slash else prefix):
            return provider, f"the provider is guessed from the model's name: {provider}"
    return UNKNOWN, "the span does not name the provider"


def provider_named(text: str) -> str | None:
    """Return our name of a provider that goes by many, None for what is no name."""
    lowered = text.strip().lower()
    if lowered in _NAMES:
        return _NAMES[lowered]
    if _is_name(lowered) is None:
        return None
    # The AI SDK adds which of its APIs is used: openai.responses, anthropic.messages, azure.chat
    head, dot, tail = lowered.rpartition(".")
    if dot and tail in _APIS:
        return _NAMES.get(head, head)
    return lowered


_APIS: Final = frozenset(
    {"chat", "responses", "completion", "embedding", "embeddings", "messages", "image",
     "textembedding", "text-embedding", "reranking", "transcription", "speech"}
)  # fmt: skip


def _at_cloud(host: str) -> str | None:
    if host.endswith(_AZURE_HOSTS):
        return "azure"
    if _is_bedrock_host(host):
        return "bedrock"
    return "vertex" if _is_vertex_host(host) else None
