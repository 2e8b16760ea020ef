"""What OpenInference keeps of an answer as it came: its id and the provider's own usage.

``output.value`` is the whole answer as JSON, where content is captured. Only these two members are
taken; the rest is not read, and never kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_CHARS: Final = 4_000_000
_MAX_USAGE_BYTES: Final = 16_384


class _Answer(Struct, gc=False):
    id: str | None = None
    usage: Raw = Raw()


class Answer(Struct, frozen=True, gc=False):
    """What an answer says of itself; None where it does not."""

    response_id: str | None = None
    usage: str | None = None
    """The provider's usage object as JSON text."""


NO_ANSWER: Final = Answer()
_decode: Final = msgspec.json.Decoder(_Answer).decode


def answer_of(attributes: Mapping[str, Any]) -> Answer:
    """Return what the captured answer of a span says, nothing where there is none."""
    text = attributes.get("output.value")
    if (
        attributes.get("output.mime_type") != "application/json"
        or not isinstance(text, str)
        or len(text) > _MAX_CHARS
        or "openinference.span.kind" not in attributes
    ):
        return NO_ANSWER
    try:
        answer = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return NO_ANSWER
    raw = bytes(answer.usage)
    is_usage = raw.startswith(b"{") and len(raw) <= _MAX_USAGE_BYTES
    return Answer(answer.id, raw.decode() if is_usage else None)
