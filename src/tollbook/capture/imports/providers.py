"""Names of providers and of operations in other tools' logs, as ours."""

from __future__ import annotations

from typing import Final

from tollbook.capture.otlp.providers import KNOWN_HOSTS, UNKNOWN, provider_of

_OPERATIONS: Final = {
    "completion": "chat",
    "acompletion": "chat",
    "chat_completion": "chat",
    "chat": "chat",
    "generate_content": "generate_content",
    "agenerate_content": "generate_content",
    "agenerate_content_stream": "generate_content",
    "text_completion": "text_completion",
    "atext_completion": "text_completion",
    "responses": "responses",
    "aresponses": "responses",
    "anthropic_messages": "chat",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "embeddings": "embeddings",
    "rerank": "rerank",
    "arerank": "rerank",
    "moderation": "moderation",
    "amoderation": "moderation",
    "image_generation": "image",
    "aimage_generation": "image",
    "speech": "speech",
    "aspeech": "speech",
    "transcription": "transcription",
    "atranscription": "transcription",
}
_PATHS: Final = (
    ("embed", "embeddings"),
    ("rerank", "rerank"),
    ("responses", "responses"),
    ("moderation", "moderation"),
    ("images", "image"),
    ("audio/speech", "speech"),
    ("audio/trans", "transcription"),
)


def operation_named(text: str | None) -> str:
    """Return our name of an operation; chat where it is not told or not known."""
    return _OPERATIONS.get((text or "").lower(), "chat")


def operation_at(path: str | None) -> str:
    """Return the operation that a URL's path is of; chat where nothing tells."""
    lowered = (path or "").lower()
    return next((name for part, name in _PATHS if part in lowered), "chat")


def provider_named_in(
    name: str | None, base_url: str | None, model: str | None, default: str | None
) -> tuple[str, list[str]]:
    """Return our name of a provider, and what is to be said of how it was found.

    Args:
        name: as the log has it.
        base_url: what was called, if the log knows.
        model: of which a name may tell the provider.
        default: of a row where nothing tells.
    """
    told = {"gen_ai.provider.name": name, "gen_ai.request.api_base": base_url}
    attributes = {key: value for key, value in told.items() if value}
    found, note = provider_of(attributes, model, KNOWN_HOSTS)
    if default is not None and (found == UNKNOWN or not attributes):
        return default, []
    return found, [] if note is None else [note.replace("the span", "the row")]


def without_provider(model: str | None, provider: str, name: str | None) -> str | None:
    """Return a model's name without the provider before it (``openai/gpt-5`` is ``gpt-5``)."""
    if model is None:
        return None
    prefix, slash, rest = model.partition("/")
    return rest if slash and prefix in {provider, name} else model
