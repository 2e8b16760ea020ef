"""Recorded usage as the extractors of genai-prices read it, beside our own reading.

genai-prices describes for each provider where its counts stand. The same usage object goes through
that description and through our dialect; this module says where the two differ, and why.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from genai_prices.data import providers
from tools.recorded_usage import Recording, recordings

from tollbook.call import Metering

if TYPE_CHECKING:
    from genai_prices.types import Provider

    from tollbook.usage import Kinds

_PROVIDERS: Final = {
    "anthropic": "anthropic", "azure_ai": "azure", "azure_openai": "azure", "bedrock": "aws",
    "cerebras": "cerebras", "cohere": "cohere", "databricks": "databricks", "deepseek": "deepseek",
    "gemini": "google", "groq": "groq", "huggingface": "huggingface_together",
    "mistral": "mistral", "openai": "openai", "openrouter": "openrouter",
    "perplexity": "perplexity", "together": "together", "vertex": "google", "xai": "x-ai",
    "zai": "zai",
}  # fmt: skip
"""Ours to theirs. Servers that they do not know, and speak like OpenAI, are read as OpenAI."""


class Extracted(NamedTuple):
    """One recording, read twice: what differs as ``name: (ours, theirs)``."""

    recording: Recording
    flavor: str
    error: str | None
    unequal: dict[str, tuple[int, int]]


ARGUMENTS: Final = {
    "no extractor": "genai-prices does not describe this API (Bedrock `InvokeModel` bodies of other"
    " makers, Gemini interactions and rerank, transcripts and images by OpenAI's newer names,"
    " Ollama's own API, Responses of DeepSeek): it raises where we read the API's own counts",
    "no output": "the call made no output, so the provider leaves its count out (embeddings and"
    " rerank that tell a total only, empty completions): it raises, to us what was not made is zero"
    " and what was not told is estimated",
    "enum": "Vertex's client writes modalities as numbers of the enumeration: it raises, we read"
    " them",
    "cached over input": "more tokens are told as read from the cache than were sent: it takes"
    " both, so that input less cache is negative; we cut the cache to the input and say so",
    "cached images": "image tokens and cached tokens overlap: it does not read image tokens here,"
    " we bill the images that are not cached as images",
    "hidden thinking": "OpenAI's shape at Gemini leaves the thinking out of `completion_tokens` and"
    " the total has it: it bills the visible tokens alone, Google bills both",
    "dropped candidates": "the last chunk of a stream leaves out candidates of an earlier one, and"
    " its total does so too: merged field by field the two exceed the total, we follow the total",
    "embedding details": "embeddings name their details `promptTokenDetails`, in the singular: it"
    " reads the images among them as text",
    "num_cached_tokens": "Mistral tells cache reads as `num_cached_tokens`, outside the details: it"
    " bills them as fresh input",
    "audio by length": "Mistral bills transcripts by the length of the audio, which the usage"
    " tells; the token counts beside it are no second bill",
    "reasoning": "Cohere tells reasoning among `tokens`, not among what it bills: part of the same"
    " output for both of us, and we name it",
    "image output": "an image endpoint's output is an image: it reads text where the details do not"
    " say so",
    "cost only": "no count at all, only the cost in the provider's ticks: it raises, we keep the"
    " provider's figure",
}
"""Why our reading is the one that is billed, for each kind of difference."""
_FLAVORS: Final = {"responses": "responses", "embeddings": "embeddings", "image": "images"}
_BY_ID: Final = {one.id: one for one in providers}
_NAMES: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache read": "cache_read_tokens",
    "cache write": "cache_write_tokens",
    "audio in": "input_audio_tokens",
    "audio out": "output_audio_tokens",
    "image in": "input_image_tokens",
    "image out": "output_image_tokens",
    "reasoning": "output_reasoning_tokens",
}


@cache
def extracted() -> tuple[Extracted, ...]:
    """Return every metered recording, read twice."""
    return tuple(_extract(one) for one in recordings() if one.metering is Metering.METERED)


def _extract(one: Recording) -> Extracted:
    kinds = one.measured.kinds
    assert kinds is not None
    provider, flavor, body = _asked(one)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            usage = provider.extract_usage(body, api_flavor=flavor)[1]
    except (ValueError, TypeError, AttributeError) as error:
        return Extracted(one, f"{provider.id} {flavor}", f"{error}", {})
    ours = _ours(kinds)
    theirs = {name: int(getattr(usage, field, 0) or 0) for name, field in _NAMES.items()}
    unequal = {name: (ours[name], theirs[name]) for name in _NAMES if ours[name] != theirs[name]}
    return Extracted(one, f"{provider.id} {flavor}", None, unequal)


def argument(one: Extracted) -> str | None:
    """Return the key of :data:`ARGUMENTS` for a difference, None where there is none.

    Raises:
        KeyError: a difference that nobody has argued yet.
    """
    if not one.unequal and one.error is None:
        return None
    last, provider = one.recording.last, one.flavor.partition(" ")[0]
    if one.error is not None:
        if set(last) == {"cost_in_usd_ticks"}:
            return "cost only"
        if "'int' object" in one.error:
            return "enum"
        counts = {"output_tokens", "outputTokens", "outputTokenCount", "total_output_tokens"}
        is_told = bool(counts & set(last)) or provider == "aws" or one.recording.dialect == "ollama"
        return "no extractor" if is_told or "search_units" in last else "no output"
    return _UNEQUAL[provider, ", ".join(one.unequal)]


_UNEQUAL: Final = {
    ("azure", "cache read"): "cached over input",
    ("azure", "image in"): "cached images",
    ("google", "output, reasoning"): "hidden thinking",
    ("google", "output"): "dropped candidates",
    ("google", "image in"): "embedding details",
    ("mistral", "cache read"): "num_cached_tokens",
    ("mistral", "input, output"): "audio by length",
    ("cohere", "reasoning"): "reasoning",
    ("openrouter", "image out"): "image output",
}


def _asked(one: Recording) -> tuple[Provider, str, dict[str, Any]]:
    """Return whose extractor reads a recording, which one, and the answer as it wants it."""
    name, last = one.provider.partition(":")[0], one.last
    provider = _BY_ID[_PROVIDERS.get(name, "openai")]
    flavors = [each.api_flavor for each in provider.extractors or ()]
    if one.dialect == "anthropic":
        return _BY_ID["anthropic"], "default", _answer("usage", one.usages[0] | last)
    if one.dialect == "gemini" and one.operation != "chat":
        return _BY_ID["google"], "default", _answer("usageMetadata", last)
    if provider.id == "aws":
        flavor = "anthropic" if "input_tokens" in last else "default"
        return provider, flavor, _answer("usage", last)
    if provider.id == "cohere":
        usage = last if "billed_units" in last else {"billed_units": last}
        if one.operation == "embeddings":
            return provider, "embeddings", _answer("meta", usage)
        return provider, "default", _answer("usage", usage)
    if not flavors:
        provider, flavors = _BY_ID["openai"], ["chat", "responses", "embeddings", "images"]
    flavor = _FLAVORS.get(one.operation, "chat")
    if flavor not in flavors:
        flavor = "chat" if "chat" in flavors else "default"
    return provider, flavor, _answer("usage", last)


def _answer(root: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "modelVersion": "m", root: usage}


def _ours(kinds: Kinds) -> dict[str, int]:
    return {
        "input": kinds.input_tokens,
        "output": kinds.output_tokens,
        "cache read": kinds.cache_read_tokens
        + kinds.cache_read_audio_tokens
        + kinds.cache_read_image_tokens,
        "cache write": kinds.cache_write_5m_tokens + kinds.cache_write_1h_tokens,
        "audio in": kinds.input_audio_tokens + kinds.cache_read_audio_tokens,
        "audio out": kinds.output_audio_tokens,
        "image in": kinds.input_image_tokens + kinds.cache_read_image_tokens,
        "image out": kinds.output_image_tokens,
        "reasoning": kinds.reasoning_tokens,
    }
