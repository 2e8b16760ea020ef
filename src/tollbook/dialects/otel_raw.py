"""The provider's own usage object, where a span carries it: it tells more than any convention.

It has what the conventions have no name for: how long a cache write lives, the tier, searches.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.dialects.otel_names import (
    LANGFUSE_USAGE,
    PROVIDER_METADATA,
    RAW_DIALECT,
    RAW_ELSEWHERE,
    RAW_USAGE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_OBJECTS: Final = 16
_TELLING: Final = (
    ("gemini", frozenset({"promptTokenCount", "candidatesTokenCount"})),
    ("cohere", frozenset({"billed_units"})),
    ("bedrock", frozenset({"inputTokens"})),
    ("openai", frozenset({"prompt_tokens"})),
    ("anthropic", frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})),
    ("openai", frozenset({"input_tokens_details", "output_tokens_details"})),
)
"""Members that tell, in order: Anthropic's usage has details of its output too, and objects with
``prompt_tokens`` that have its members as well are in OpenAI's shape."""
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class RawUsage(NamedTuple):
    """Usage objects of a provider, and the dialect that reads them."""

    dialect: str
    objects: tuple[bytes, ...]
    where: str


def json_object(text: object) -> dict[str, Any] | None:
    """Return the object that a text holds as JSON, floats as Decimal; None if it holds none."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str) or not text.startswith("{"):
        return None
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
        return None
    return value if isinstance(value, dict) else None


def raw_usage(attributes: Mapping[str, Any]) -> RawUsage | None:
    """Return the provider's own usage that a span carries, None where it has none.

    ``tollbook.usage.raw`` is JSON text, or a list of texts of a stream, beside
    ``tollbook.dialect``; elsewhere the members tell whose usage it is.
    """
    raw = attributes.get(RAW_USAGE)
    dialect = attributes.get(RAW_DIALECT)
    if raw is not None and isinstance(dialect, str):
        texts = raw if isinstance(raw, list) else [raw]
        objects = [one.encode() for one in texts if _is_object(one)]
        if objects:
            return RawUsage(dialect, tuple(objects[:_MAX_OBJECTS]), RAW_USAGE)
    for name in RAW_ELSEWHERE:
        found = _as_told(json_object(attributes.get(name)), name)
        if found is not None:
            return found
    metadata = json_object(attributes.get(PROVIDER_METADATA))
    if metadata is not None:
        for value in metadata.values():
            if isinstance(value, dict):
                for member in ("usage", "usageMetadata"):
                    found = _as_told(value.get(member), PROVIDER_METADATA)
                    if found is not None:
                        return found
    details = json_object(attributes.get(LANGFUSE_USAGE))
    return _as_told(details, LANGFUSE_USAGE)


def _is_object(text: object) -> bool:
    return isinstance(text, str) and text.startswith("{") and text.isascii() | _encodes(text)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _as_told(usage: object, where: str) -> RawUsage | None:
    """Return a usage object with the dialect that its members are of."""
    if not isinstance(usage, dict):
        return None
    dialect = _dialect_of(usage)
    if dialect is None:
        return None
    try:
        return RawUsage(dialect, (_encode(usage),), where)
    except (TypeError, ValueError, msgspec.EncodeError, RecursionError):
        return None


def _dialect_of(usage: dict[str, Any]) -> str | None:
    for dialect, members in _TELLING:
        if not members.isdisjoint(usage):
            return dialect if dialect != "anthropic" or "input_tokens" in usage else None
    return None
