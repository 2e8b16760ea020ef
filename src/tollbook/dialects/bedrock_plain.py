"""Read Bedrock answers that are one JSON document, and their heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.answer_json import has_output_count, json_text, short_text, text_chars
from tollbook.dialects.anthropic_plain import service_tier_of
from tollbook.dialects.base import Metered
from tollbook.dialects.bedrock_text import text_in
from tollbook.dialects.bedrock_usage import HEADER_PREFIX
from tollbook.dialects.surrogates import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNT_HEADERS: Final = tuple(
    (HEADER_PREFIX + what + "-token-count").encode()
    for what in ("input", "output", "cache-read-input", "cache-write-input")
)
_TIER_HEADER: Final = HEADER_PREFIX.encode() + b"service-tier"
_LATENCY_HEADER: Final = HEADER_PREFIX.encode() + b"performanceconfig-latency"
_COUNT_DIGITS_MAX: Final = 12
_encode = msgspec.json.Encoder().encode


class _Result(Struct, gc=False):
    tokenCount: Any = None  # noqa: N815 -- Titan's name


class _Typed(Struct, gc=False):
    type: Any = None


class _Latency(Struct, gc=False):
    latency: Any = None


class _Router(Struct, gc=False):
    invokedModelId: Any = None  # noqa: N815 -- converse's name


class _Trace(Struct, gc=False):
    promptRouter: _Router | None = None  # noqa: N815 -- converse's name


class _Meta(Struct, gc=False):
    billed_units: Raw = Raw()


class _Body(Struct, gc=False):
    id: Any = None
    model: Any = None
    usage: Raw = Raw()
    # converse
    serviceTier: _Typed | None = None  # noqa: N815
    performanceConfig: _Latency | None = None  # noqa: N815
    trace: _Trace | None = None
    # Counts beside the text: Titan, Llama, Cohere, images
    inputTextTokenCount: Any = None  # noqa: N815
    results: list[_Result] | None = None
    prompt_token_count: Any = None
    generation_token_count: Any = None
    meta: _Meta | None = None
    images: list[Raw] | None = None
    artifacts: list[Raw] | None = None
    embedding: Raw = Raw()
    embeddings: Raw = Raw()


class _Loose(Struct, gc=False):
    """The same without types, for answers that have other ones."""

    id: Any = None
    model: Any = None
    usage: Raw = Raw()


class _Error(Struct, gc=False):
    type: Any = msgspec.field(name="__type", default=None)


_decode = msgspec.json.Decoder(_Body).decode
_decode_loose = msgspec.json.Decoder(_Loose).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def read_bedrock_answer(headers: Mapping[bytes, bytes], body: bytes) -> Metered:
    """Return what a successful answer says, body and head. Never raises.

    The counts in the head are kept as one more usage object, under their own names.
    """
    body = json_text(body)
    evidence = counts_in(headers)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_loosely(headers, body, evidence)
    usage = bytes(read.usage)
    objects = [usage] if usage.startswith(b"{") else []
    beside = _counts_beside(read)
    if beside:
        objects.append(_encode(beside))
    if read.meta is not None and bytes(read.meta.billed_units).startswith(b"{"):
        objects.append(bytes(read.meta.billed_units))
    tier = _tier_of(read, usage, headers)
    router = read.trace.promptRouter if read.trace is not None else None
    return Metered(
        usage=(*objects, *evidence),
        usage_complete=bool(objects or evidence),
        provider_response_id=short_text(read.id),
        model_actual=short_text(router.invokedModelId) if router else short_text(read.model),
        service_tier=tier,
        output_chars=0 if _has_output(objects, evidence) else _text_length(body),
    )


def read_bedrock_error(headers: Mapping[bytes, bytes], body: bytes) -> Metered:
    """Return the type of an error, from ``x-amzn-errortype`` or the body's ``__type``."""
    name: object = headers.get(b"x-amzn-errortype", b"").decode("latin-1")
    if not name:
        try:
            name = _decode_error(body).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            name = None
    return Metered(error_type=error_name(name))


def error_name(name: object) -> str | None:
    """Return an exception's own name: without namespace (``…#Name``) and URL (``Name:…``)."""
    if not isinstance(name, str):
        return None
    name = name.partition(":")[0].rpartition("#")[2].strip()
    return name if name.isalnum() and len(name) <= 128 else None  # noqa: PLR2004 -- as other types


def counts_in(headers: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """Return the token counts of a response head as one JSON object, nothing where it has none."""
    found: dict[str, int] = {}
    for name in COUNT_HEADERS:
        value = headers.get(name)
        if value is not None and value.isdigit() and len(value) <= _COUNT_DIGITS_MAX:
            found[name.decode()] = int(value)
    return (_encode(found),) if found else ()


def tier_in(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the tier and latency that a response head names, as words joined by ``+``."""
    tier = headers.get(_TIER_HEADER, b"").decode("latin-1")
    return tier_words(tier, headers.get(_LATENCY_HEADER, b"").decode("latin-1"))


def tier_words(tier: object, latency: object) -> str | None:
    """Return what the price depends on: the service tier, and ``optimized`` latency."""
    words = [short_text(tier) or ""]
    if latency == "optimized":
        words.append("optimized")
    return "+".join(word for word in words if word) or None


def _tier_of(read: _Body, usage: bytes, headers: Mapping[bytes, bytes]) -> str | None:
    if read.serviceTier is not None or read.performanceConfig is not None:
        tier = read.serviceTier.type if read.serviceTier is not None else None
        latency = read.performanceConfig.latency if read.performanceConfig is not None else None
        return tier_words(tier, latency)
    told = tier_in(headers)
    return told if told is not None or not usage else service_tier_of(usage)


def _counts_beside(read: _Body) -> dict[str, int | bool]:
    """Return counts that stand beside the text, without the text.

    Behind an application inference profile only the answer tells embeddings, which have no output.
    """
    found = {
        "inputTextTokenCount": read.inputTextTokenCount,
        "prompt_token_count": read.prompt_token_count,
        "generation_token_count": read.generation_token_count,
    }
    if read.inputTextTokenCount is not None and read.results:
        found["tokenCount"] = sum(
            each.tokenCount for each in read.results if type(each.tokenCount) is int
        )
    if read.images is not None or read.artifacts is not None:
        found["images"] = len(read.images or ()) + len(read.artifacts or ())
    counts: dict[str, int | bool] = {
        name: count for name, count in found.items() if type(count) is int
    }
    if read.embedding or read.embeddings:
        counts["embeddings"] = True
    return counts


def _has_output(objects: list[bytes], evidence: tuple[bytes, ...]) -> bool:
    """Whether output is counted, so that its text need not be measured."""
    return any(b"output-token-count" in raw for raw in evidence) or any(
        b'"outputTokens"' in raw
        or b'"generation_token_count"' in raw
        or b'"tokenCount"' in raw
        or b'"images"' in raw
        or has_output_count(raw)
        for raw in objects
    )


def _text_length(body: bytes) -> int:
    return text_chars(body) or text_in(body)


def _read_loosely(
    headers: Mapping[bytes, bytes], body: bytes, evidence: tuple[bytes, ...]
) -> Metered:
    try:
        read = _decode_loose(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = without_lone_surrogates(body)
        if mended is not None:
            return read_bedrock_answer(headers, mended)
        # Cohere embeddings and images may be a list, or the body was cut: the head still counts.
        return Metered(
            usage=evidence, usage_complete=bool(evidence), output_chars=_text_length(body)
        )
    usage = bytes(read.usage)
    objects = (usage,) if usage.startswith(b"{") else ()
    return Metered(
        usage=(*objects, *evidence),
        usage_complete=bool(objects or evidence),
        provider_response_id=short_text(read.id),
        model_actual=short_text(read.model),
        service_tier=tier_in(headers),
        output_chars=0 if _has_output(list(objects), evidence) else _text_length(body),
    )
