"""Whether a span's input tokens include those of the cache, which instrumentations disagree about.

OpenTelemetry says that they do ("input_tokens SHOULD include all types of input tokens"). Anthropic
and Bedrock count them beside the input, and some instrumentations pass that number on as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.dialects.otel_counts import Counts

_COUNTS_BESIDE: Final = frozenset({"anthropic", "bedrock"})
"""Providers whose own input leaves the cache out."""


class Decision(NamedTuple):
    """How the input was read, and why."""

    is_inclusive: bool
    reason: str


def cache_is_within(
    counts: Counts, scope: str, provider: str, model: str, attributes: Mapping[str, Any]
) -> Decision | None:
    """Return whether the input includes the cache's tokens, None where there are none.

    The numbers decide where they can, for an instrumentation may have changed its mind; then what
    is known of the instrumentation.

    Args:
        counts: what the span told.
        scope: name of the instrumentation scope.
        provider: our name of the provider.
        model: the model's name, by which Claude is known on other hosts.
        attributes: all that was told of usage.
    """
    cached = (counts.cache_read or 0) + (counts.cache_write or 0)
    if not cached or counts.input is None:
        return None
    if cached > counts.input:
        return Decision(is_inclusive=False, reason="there are more of them than of input")
    if counts.total is not None and counts.total == counts.input + cached + (counts.output or 0):
        return Decision(is_inclusive=False, reason="the total counts both")
    if provider in _COUNTS_BESIDE or "claude" in model:
        why = _passes_on(scope, attributes)
        if why is not None:
            return Decision(is_inclusive=False, reason=why)
    return Decision(is_inclusive=True, reason="as OpenTelemetry has it")


def _passes_on(scope: str, attributes: Mapping[str, Any]) -> str | None:
    """Return why an instrumentation passes on the provider's own number, None if it does not."""
    if scope.startswith("openlit"):
        return "OpenLIT passes Anthropic's own count on"
    if any(name.startswith("ai.usage.") for name in attributes) and not any(
        name.startswith("ai.usage.inputTokenDetails.") for name in attributes
    ):
        return "the AI SDK before version 6 passes Anthropic's own count on"
    return None
