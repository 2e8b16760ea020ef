"""Langfuse's ``usage_details``: a JSON object of names and counts that do not overlap.

Whatever starts with ``input`` is input and whatever starts with ``output`` is output, and their
sums are the total (Langfuse, Token and cost tracking). Objects in a provider's own shape, which its
integrations pass on, are read as that provider's usage instead (:mod:`otel_raw`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.dialects.otel_counts import Counts, as_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ: Final = frozenset(
    {"input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "input_cached"}
)
_WRITTEN: Final = frozenset(
    {"input_cache_creation", "cache_creation_input_tokens", "input_cache_write"}
)
_WRITTEN_5M: Final = frozenset({"input_cache_creation_5m"})
_WRITTEN_1H: Final = frozenset({"input_cache_creation_1h"})
_REASONING: Final = frozenset({"output_reasoning_tokens", "output_reasoning"})
_INPUT_AUDIO: Final = frozenset({"input_audio_tokens", "input_audio"})
_OUTPUT_AUDIO: Final = frozenset({"output_audio_tokens", "output_audio"})


def langfuse_counts(details: Mapping[str, Any], problems: list[str]) -> Counts:
    """Return the quantities, input and output as OpenTelemetry has them: all that are of them."""
    counts = Counts()
    given = out = 0
    says_input = says_output = False
    for name, value in details.items():
        count = as_quantity(value)
        if count is None:
            if value is not None:
                problems.append("a member of usage_details is not a count; it was not used")
            continue
        if name == "total":
            counts.total = count
        elif name.startswith("input") or name in _READ or name in _WRITTEN:
            given, says_input = given + count, True
            _put_input(counts, name, count)
        elif name.startswith("output"):
            out, says_output = out + count, True
            if name in _REASONING:
                counts.reasoning = count
            elif name in _OUTPUT_AUDIO:
                counts.output_audio = count
    counts.input = given if says_input else None
    counts.output = out if says_output else None
    return counts


def _put_input(counts: Counts, name: str, count: int) -> None:
    if name in _READ:
        counts.cache_read = (counts.cache_read or 0) + count
    elif name in _WRITTEN:
        counts.cache_write = (counts.cache_write or 0) + count
    elif name in _WRITTEN_5M:
        counts.cache_write_5m = count
        counts.cache_write = (counts.cache_write or 0) + count
    elif name in _WRITTEN_1H:
        counts.cache_write_1h = count
        counts.cache_write = (counts.cache_write or 0) + count
    elif name in _INPUT_AUDIO:
        counts.input_audio = count
