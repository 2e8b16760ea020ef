"""What Datadog's spans say of calls to models, under the names of the GenAI conventions.

LLM Observability has a kind, a model and metrics of its own; the client integrations of APM tag
spans ``openai.request.model`` and the like. Sources: LLM Observability HTTP API reference, "Span
Kinds", ``ddtrace/llmobs/_constants.py``, and the tags of ddtrace's integrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import told
from tollbook.audit.inputs.usage_words import tokens, tokens_at
from tollbook.capture.imports.providers import operation_at

if TYPE_CHECKING:
    from tollbook.audit.inputs.foreign import Fields
    from tollbook.audit.inputs.registry import About

_KINDS: Final = {
    "llm": ("gen_ai.operation.name", "chat"),
    "embedding": ("gen_ai.operation.name", "embeddings"),
    "agent": ("gen_ai.operation.name", "invoke_agent"),
    "workflow": ("gen_ai.operation.name", "invoke_workflow"),
    "tool": ("gen_ai.operation.name", "execute_tool"),
    "retrieval": ("gen_ai.operation.name", "retrieval"),
    "task": ("traceloop.span.kind", "task"),
}
_CALLS: Final = frozenset({"llm", "embedding"})
_INTEGRATIONS: Final = (
    "openai", "anthropic", "google_genai", "google_generativeai", "vertexai", "bedrock", "cohere",
    "mistralai", "litellm", "langchain",
)  # fmt: skip
_PROVIDERS: Final = {"google_generativeai": "google_genai"}
_CLIENT_OF_MANY: Final = frozenset({"litellm", "langchain"})
_INPUT: Final = ("usage.prompt_tokens", "usage.input_tokens", "usage.prompt_token_count")
_OUTPUT: Final = ("usage.completion_tokens", "usage.output_tokens", "usage.candidates_token_count")
_CONTENT: Final = ("input", "output")
_METADATA: Final = "meta.metadata"


def kind_of(row: Fields) -> str:
    """Return the kind of a span of LLM Observability, empty for one of APM (``server``, …)."""
    kind = row.word("span_kind", "meta.kind", "meta.span.kind").lower()
    return kind if kind in _KINDS else ""


def from_observability(row: Fields, attributes: dict[str, Any], about: About) -> dict[str, Any]:
    """Return the attributes of a span of LLM Observability.

    Raises:
        RowError: a count is none.
    """
    about.read.content_dropped += sum(1 for name in _CONTENT if row.get(name) is not None)
    kind = kind_of(row)
    if kind:
        word, value = _KINDS[kind]
        attributes.setdefault(word, value)
    for name, inner in row.structure(_METADATA, "metadata").items():
        if isinstance(inner, (str, int)):
            attributes.setdefault(f"metadata.{name}", inner)
    if kind not in _CALLS:
        return attributes
    model = row.text("model_name", "meta.model_name")
    usage = tokens_at(
        row,
        input=("metrics.input_tokens", "metrics.prompt_tokens"),
        output=("metrics.output_tokens", "metrics.completion_tokens"),
        total=("metrics.total_tokens",),
        cache_read=("metrics.cache_read_input_tokens",),
        cache_write=("metrics.cache_write_input_tokens",),
        reasoning=("metrics.reasoning_output_tokens",),
    )
    return attributes | usage | told(
        gen_ai__provider__name=row.text("model_provider", "meta.model_provider"),
        # One name is told, which is the answer's where the integration knows it.
        gen_ai__request__model=model,
        gen_ai__response__model=model,
    )  # fmt: skip


def from_integration(attributes: dict[str, Any], resource: str) -> dict[str, Any]:
    """Return the attributes of a span of APM, those of a client integration also as GenAI's."""
    for name in _INTEGRATIONS:
        asked = attributes.get(f"{name}.request.model")
        if isinstance(asked, str):
            return _translated(attributes, name, asked, resource) | attributes
    return attributes


def _translated(attributes: dict[str, Any], name: str, asked: str, resource: str) -> dict[str, Any]:
    def at(*members: str) -> Any:
        paths = [f"{name}.response.{one}" for one in members]
        return next((attributes[one] for one in paths if one in attributes), None)

    endpoint = attributes.get(f"{name}.request.endpoint")
    provider = attributes.get(f"{name}.request.provider")
    if provider is None and name not in _CLIENT_OF_MANY:
        provider = _PROVIDERS.get(name, name)
    usage = tokens(
        input=_count(at(*_INPUT)),
        output=_count(at(*_OUTPUT)),
        total=_count(at("usage.total_tokens")),
        cache_read=_count(at("usage.cache_read_input_tokens")),
        cache_write=_count(at("usage.cache_write_input_tokens")),
    )
    return usage | told(
        gen_ai__operation__name=operation_at(f"{endpoint or ''} {resource}"),
        gen_ai__provider__name=provider,
        gen_ai__request__model=asked,
        gen_ai__response__model=at("model"),
        gen_ai__response__id=at("id"),
        api_key_id=attributes.get(f"{name}.user.api_key"),
    )


def _count(value: object) -> int | None:
    """Return a count; metrics of APM are floating-point numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if value >= 0 and value == int(value) else None
