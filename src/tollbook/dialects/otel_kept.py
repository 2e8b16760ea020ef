"""Which of a span's attributes of usage are kept: numbers and words, never texts.

Tools put more into them than usage: the AI SDK's provider metadata holds web searches, quotations
of the answer and its tokens one by one, and names below ``gen_ai.usage.`` are free to anybody. What
is kept is the evidence that a call is measured from, and no prompt or answer may be on disk.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.dialects.otel_litellm import python_literal
from tollbook.dialects.otel_names import LITELLM_USAGE, PROVIDER_METADATA, is_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_DEPTH: Final = 8
_MAX_LIST: Final = 64
_METADATA_USAGE: Final = ("usage", "usageMetadata")
_is_word = re.compile(r"[\w.,:/+@$%-]{0,64}").fullmatch
"""A tier, a currency, a model, a number written as text; a text has spaces or is longer."""
_is_name = re.compile(r"[\w.:/@-]{1,128}").fullmatch
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_NOTHING: Final = object()


def usage_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of usage of a span by name in order, without any texts.

    Documents (JSON as text) are kept as they came where they hold nothing else; else they are
    written anew with what is left.
    """
    kept: dict[str, Any] = {}
    for name in sorted(attributes):
        if is_usage(name) and _is_name(name):
            value = attributes[name]
            if not isinstance(value, (int, float)):
                value = _kept(name, value)
            if value is not _NOTHING:
                kept[name] = value
    return kept


def _kept(name: str, value: object) -> Any:
    if isinstance(value, str):
        return value if _is_word(value) else _document(name, value)
    if isinstance(value, list):
        documents = (_kept(name, one) for one in value[:_MAX_LIST])
        return [one for one in documents if one is not _NOTHING]
    return _without_texts(value)


def _document(name: str, text: str) -> Any:
    if name == LITELLM_USAGE and (literal := python_literal(text)) is not None:
        return repr(_without_texts(literal))
    if text[:1] not in ("{", "["):
        return _NOTHING
    try:
        document = _decode(text)
        left = _usage_of(document) if name == PROVIDER_METADATA else _without_texts(document)
        return text if left == document else _encode(left).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, UnicodeError, RecursionError,
            ArithmeticError):  # fmt: skip
        return _NOTHING


def _usage_of(document: object) -> dict[str, Any]:
    """Return what providers' metadata says of usage; the rest of it is about the answer."""
    if not isinstance(document, dict):
        return {}
    return {
        provider: {
            member: _without_texts(told[member]) for member in _METADATA_USAGE if member in told
        }
        for provider, told in document.items()
        if isinstance(told, dict) and _is_name(provider)
    }


def _without_texts(value: object, depth: int = 0) -> Any:
    if value is None or isinstance(value, (int, float, Decimal)):
        return value
    if depth < _MAX_DEPTH and isinstance(value, dict):
        left = {
            name: _without_texts(one, depth + 1)
            for name, one in value.items()
            if isinstance(name, str) and _is_name(name)
        }
        return {name: one for name, one in left.items() if one is not _NOTHING}
    if depth < _MAX_DEPTH and isinstance(value, list):
        return [
            left
            for one in value
            if (left := _without_texts(one, depth + 1)) is not _NOTHING
        ]  # fmt: skip
    return value if isinstance(value, str) and _is_word(value) else _NOTHING
