"""LiteLLM's ``metadata.usage_object``: its usage as Python writes a dict, the cache's counts in it.

Beside it LiteLLM's spans have input and output only. The object is in OpenAI's shape with the
members of Anthropic's added, and its prompt includes the cache, whatever the provider (LiteLLM,
``Usage``).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from tollbook.dialects.otel_counts import Counts, as_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_CHARS: Final = 8192
"""A literal is parsed by the interpreter's own parser: no more than any usage ever was."""


def python_literal(text: object) -> dict[Any, Any] | None:
    """Return the dict that a text is as Python writes it, None where it is none. Never raises."""
    if not isinstance(text, str) or len(text) > _MAX_CHARS or not text.startswith("{'"):
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def litellm_counts(text: object) -> Counts | None:
    """Return the quantities of a usage object, None where the text is none. Never raises."""
    usage = python_literal(text)
    if usage is None or "prompt_tokens" not in usage:
        return None
    given = _below(usage, "prompt_tokens_details")
    out = _below(usage, "completion_tokens_details")
    lifetimes = _below(given, "cache_creation_token_details")
    return Counts(
        input=as_quantity(usage["prompt_tokens"]),
        output=as_quantity(usage.get("completion_tokens")),
        total=as_quantity(usage.get("total_tokens")),
        cache_read=_first(given.get("cached_tokens"), usage.get("cache_read_input_tokens")),
        cache_write=_first(
            usage.get("cache_creation_input_tokens"),
            given.get("cache_creation_tokens"),
            given.get("cache_write_tokens"),
        ),
        cache_write_5m=as_quantity(lifetimes.get("ephemeral_5m_input_tokens")),
        cache_write_1h=as_quantity(lifetimes.get("ephemeral_1h_input_tokens")),
        reasoning=as_quantity(out.get("reasoning_tokens")),
        input_audio=as_quantity(given.get("audio_tokens")),
        output_audio=as_quantity(out.get("audio_tokens")),
    )


def _below(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = members.get(name)
    return found if isinstance(found, dict) else {}


def _first(*values: object) -> int | None:
    for value in values:
        count = as_quantity(value)
        if count is not None:
            return count
    return None
