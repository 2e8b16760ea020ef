"""The call that a span is: models, ids, usage by kind, what it cost, how often it was tried.

Usage is read as the ledger reads it (:mod:`tollbook.dialects.otel`). A span with plain counts, as
nearly all have, takes a short way to the same kinds; a test holds both ways against each other.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.facts import CallFact
from tollbook.audit.kept.keys import KEY_NAMES, api_key_id_of
from tollbook.audit.kept.usage import Usage, usage_of
from tollbook.call import UsageSource
from tollbook.capture.otlp.own import own_of
from tollbook.capture.otlp.providers import KNOWN_HOSTS, UNKNOWN, host_of, provider_of
from tollbook.capture.otlp.spans import text_of
from tollbook.dialects.otel_cost import cost_of
from tollbook.dialects.otel_names import (
    COSTS,
    LANGFUSE_COST,
    SERVICE_TIERS,
    SPEC_COST,
    SPEC_COST_SOURCE,
)
from tollbook.prices.regional import region_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tollbook.capture.otlp.operations import What
    from tollbook.capture.otlp.spans import Span

_WORD_MAX_CHARS: Final = 256
_REQUESTED: Final = (
    "gen_ai.request.model", "llm.request.model_name", "llm.model_name", "embedding.model_name",
    "reranker.model_name", "ai.model.id", "langfuse.observation.model.name", "llm.request.model",
)  # fmt: skip
_ANSWERED: Final = (
    "gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model",
)  # fmt: skip
_RESPONSE_IDS: Final = ("gen_ai.response.id", "ai.response.id", "llm.response.id")
_REQUEST_IDS: Final = (
    "tollbook.provider_request.id", "anthropic.request.id", "openai.request.id",
    "gen_ai.openai.request.id", "aws.request_id", "http.response.header.x-request-id",
    "http.response.header.x_request_id", "http.response.header.request-id",
)  # fmt: skip
_STREAMS: Final = (
    "gen_ai.request.stream", "gen_ai.request.is_stream", "gen_ai.is_streaming",
    "llm.is_streaming", "gen_ai.request.streaming", "llm.request.stream",
)  # fmt: skip
_FIRST_CHUNK: Final = (
    "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token",
    "llm.response.time_to_first_token", "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk",
)  # fmt: skip
_YES: Final = (True, "True", "true")
_BATCH_IDS: Final = (
    "gen_ai.batch.id", "gen_ai.request.batch.id", "gen_ai.request.batch_id", "openai.batch.id",
    "batch.id", "batch_id", "tollbook.batch_id",
)  # fmt: skip
_BATCHES: Final = ("gen_ai.request.is_batch", "gen_ai.request.batch", "tollbook.is_batch")
_ATTEMPTS: Final = ("gen_ai.request.attempt", "tollbook.attempt", "attempt", "retry.attempt")
_RETRIES: Final = (
    "http.request.resend_count", "http.resend_count", "http.retry_count", "gen_ai.request.retries",
    "retry_count", "litellm.attempted_retries", "metadata.attempted_retries",
    "hidden_params.additional_headers.x-litellm-attempted-retries",
    "http.response.header.x-litellm-attempted-retries",
    "http.request.header.x-stainless-retry-count",
    "http.request.header.x_stainless_retry_count",
)  # fmt: skip
_RETRY_OF: Final = ("tollbook.retry_of", "gen_ai.request.retry_of", "retry.of")
_FALLBACKS: Final = (
    "tollbook.fallback_from", "gen_ai.request.fallback_from", "litellm.fallback_from",
    "gen_ai.fallback.from_model", "fallback_from", "litellm.fallback.original_model",
)  # fmt: skip
_PRICE_VERSIONS: Final = (
    "tollbook.price_card", "gen_ai.usage.cost.price_version", "gen_ai.usage.cost.version",
    "litellm.cost.price_version", "price_version", "llm.cost.price_version",
)  # fmt: skip
_CONVERSATIONS: Final = (
    "gen_ai.conversation.id", "session.id", "langfuse.session.id", "gen_ai.session.id",
    "traceloop.association.properties.session_id", "ai.telemetry.metadata.sessionId",
)  # fmt: skip
_STATUSES: Final = ("http.response.status_code", "http.status_code")
_ATTEMPT_MAX: Final = 1000
_LATER: Final = "streaming response from"
"""Of the span that Logfire writes when a stream has ended."""
_INVOCATION: Final = "llm.invocation_parameters"


def call_of(span: Span, what: What, names: list[str]) -> CallFact:
    """Return the call that a span is.

    Args:
        span: as received.
        what: what it is.
        names: of its attributes that tell how much was used.
    """
    attributes = span.attributes
    requested = word_of(text_of(attributes, *_REQUESTED))
    answered = word_of(text_of(attributes, *_ANSWERED))
    provider, note = provider_of(attributes, answered or requested, KNOWN_HOSTS)
    host = host_of(attributes)
    error_type = _kind(text_of(attributes, "error.type") or _exception(span))
    is_failed = span.is_error or error_type is not None
    own = own_of(attributes)
    is_billable = (bool(names) or not is_failed) if own.is_billable is None else own.is_billable
    if own.is_billable is None and is_failed and not names:
        usage = Usage(source=UsageSource.NONE)
    else:
        usage = usage_of(span, what, provider, answered or requested, names)
    rare = _rare(attributes, provider, _RARE.intersection(attributes))
    if usage.reported_cost_pico is not None and usage.is_by_provider:
        rare |= {"reported_cost_pico": usage.reported_cost_pico, "cost_source": "provider"}
    return CallFact(
        operation=what.operation,
        provider=provider,
        model_requested=requested,
        model_actual=answered,
        kinds=usage.kinds,
        counts=usage.counts,
        usage_notes=usage.notes if note is None else (note, *usage.notes),
        is_stream=is_stream(attributes, span.name),
        is_error=is_failed,
        is_billable=is_billable,
        error_type=error_type,
        response_id=word_of(text_of(attributes, *_RESPONSE_IDS) or usage.response_id),
        region=_region(host) if host is not None and provider != UNKNOWN else None,
        host=host,
        is_call=what.is_inference,
        usage_source=usage.source.value,
        **rare,
    )


def _rare(attributes: Mapping[str, Any], provider: str, found: frozenset[str]) -> dict[str, Any]:
    """Return what few spans tell: stream, tier, batch, key, conversation, tries, the cost.

    Args:
        attributes: of the span.
        provider: of the call.
        found: names of such attributes that it has: only for these is a value looked for.
    """
    if not found:
        return {}
    told = {field: read(attributes) for field, names, read in _READ if not found.isdisjoint(names)}
    if told.get("batch_id") is not None or told.get("service_tier") == "batch":
        told["is_batch"] = True
    if not found.isdisjoint(_COSTS):
        told["reported_cost_pico"], told["cost_source"] = _cost(attributes, provider)
    return told


@lru_cache(maxsize=4096)
def _region(host: str) -> str | None:
    return region_of(f"https://{host}")


def session_of(attributes: Mapping[str, Any]) -> str | None:
    """Return the conversation or session that a span is of."""
    return word_of(text_of(attributes, *_CONVERSATIONS))


def is_stream(attributes: Mapping[str, Any], name: str) -> bool:
    """Whether the answer of a call came bit by bit, by whatever says so."""
    if _STREAMING.isdisjoint(attributes):
        return is_later_told(name)
    if any(attributes.get(one) in _YES for one in _STREAMS):
        return True
    if any(one in attributes for one in _FIRST_CHUNK):
        return True
    if str(attributes.get("ai.operationId", "")).endswith(".doStream"):
        return True
    parameters = attributes.get(_INVOCATION)
    if isinstance(parameters, str) and '"stream"' in parameters[: _WORD_MAX_CHARS * 64]:
        return '"stream": true' in parameters or '"stream":true' in parameters
    return is_later_told(name)


def is_later_told(name: str) -> bool:
    """Whether a span of Logfire is the one that tells of a stream when it has ended."""
    return name.startswith(_LATER)


def word_of(text: str | None) -> str | None:
    """Return a model's name, an id or a type; None for what is none."""
    if text is None or len(text) > _WORD_MAX_CHARS or not text.isprintable():
        return None
    return text


def _kind(text: str | None) -> str | None:
    """Return the type of an error; some write its message there, which may quote a prompt."""
    word = word_of(text)
    return "other" if word is not None and " " in word else word


def _exception(span: Span) -> str | None:
    if not span.is_error:
        return None
    for event in span.events:
        if event.name == "exception":
            return text_of(event.attributes, "exception.type")
    return None


def _status(attributes: Mapping[str, Any]) -> int | None:
    value = attributes.get(_STATUSES[0], attributes.get(_STATUSES[1]))
    is_status = isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 999  # noqa: PLR2004 -- HTTP
    return value if is_status else None


def _attempt(attributes: Mapping[str, Any]) -> int | None:
    """Return which try it was, counted from 1; None where nothing says so."""
    for names, added in ((_ATTEMPTS, 0), (_RETRIES, 1)):
        for name in names:
            number = _number(attributes.get(name))
            if number is not None:
                return number + added
    return None


def _number(value: object) -> int | None:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 4:  # noqa: PLR2004 -- digits
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _ATTEMPT_MAX:
        return value
    return None


def _first_text(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value:
            return value
    return None


def _cost(attributes: Mapping[str, Any], provider: str) -> tuple[int | None, str | None]:
    """Return the cost in pico that was told, and who worked it out."""
    names = [name for name in _COSTS if name in attributes]
    if not names:
        return None, None
    told = {name: _exact(attributes[name]) for name in (*names, *_BESIDE) if name in attributes}
    cost = cost_of(told, provider, [])
    if cost is None:
        return None, None
    is_provider = names[0] == SPEC_COST and attributes.get(SPEC_COST_SOURCE) == "provider"
    return cost, "provider" if is_provider else names[0]


def _exact(value: object) -> object:
    return Decimal(repr(value)) if isinstance(value, float) else value


_COSTS: Final = (SPEC_COST, *COSTS, LANGFUSE_COST)
_BESIDE: Final = ("gen_ai.usage.cost.currency", SPEC_COST_SOURCE)


def _reader(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], str | None]:
    return lambda attributes: word_of(text_of(attributes, *names))


_READ: Final[tuple[tuple[str, frozenset[str], Callable[[Mapping[str, Any]], Any]], ...]] = (
    ("service_tier", frozenset(SERVICE_TIERS), _reader(tuple(SERVICE_TIERS))),
    ("batch_id", frozenset(_BATCH_IDS), _reader(_BATCH_IDS)),
    (
        "is_batch",
        frozenset(_BATCHES),
        lambda attributes: any(attributes.get(name) in _YES for name in _BATCHES),
    ),
    ("api_key_id", frozenset(KEY_NAMES), api_key_id_of),
    ("conversation_id", frozenset(_CONVERSATIONS), _reader(_CONVERSATIONS)),
    ("attempt", frozenset((*_ATTEMPTS, *_RETRIES)), _attempt),
    ("retry_of", frozenset(_RETRY_OF), _reader(_RETRY_OF)),
    ("fallback_from", frozenset(_FALLBACKS), _reader(_FALLBACKS)),
    ("price_version", frozenset(_PRICE_VERSIONS), _reader(_PRICE_VERSIONS)),
    (
        "request_id",
        frozenset(_REQUEST_IDS),
        lambda attributes: word_of(_first_text(attributes, _REQUEST_IDS)),
    ),
    ("http_status", frozenset(_STATUSES), _status),
)
_STREAMING: Final = frozenset((*_STREAMS, *_FIRST_CHUNK, "ai.operationId", _INVOCATION))
_RARE: Final = frozenset(_COSTS).union(*[names for _, names, _ in _READ])
