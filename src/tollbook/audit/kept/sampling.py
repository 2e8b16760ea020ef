"""Of how many traces one was kept, where a span says so.

OpenTelemetry's consistent probability sampling writes a rejection threshold into ``tracestate``;
Honeycomb has ``SampleRate`` (one in so many), Jaeger ``sampler.type`` and ``sampler.param``,
Datadog the rates of its rule, agent and limiter (``_dd.rule_psr``, ``_dd.agent_psr``,
``_dd.limit_psr``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL_PPM: Final = 1_000_000
_ONE_IN: Final = ("SampleRate", "sample_rate")
_SHARES: Final = ("_dd.rule_psr", "_dd.agent_psr", "sampling.ratio", "otel.sampling.rate")
_threshold = re.compile(r"(?:^|[,;=])(?:ot=)?(?:[^,]*;)?th:([0-9a-f]{1,14})").search
_TRACESTATE_MAX_CHARS: Final = 1024


def kept_share_ppm(
    tracestate: str, attributes: Mapping[str, Any], *, has_attributes: bool
) -> int | None:
    """Return how many of a million traces were kept, None where nothing says so.

    Args:
        tracestate: of the span.
        attributes: of the span.
        has_attributes: whether one of them is about sampling.
    """
    if tracestate:
        found = _threshold(tracestate[:_TRACESTATE_MAX_CHARS])
        if found is not None:
            rejected = int(found[1].ljust(14, "0"), 16)
            return max(1, ALL_PPM - rejected * ALL_PPM // 2**56)
    return _told(attributes) if has_attributes else None


def _told(attributes: Mapping[str, Any]) -> int | None:
    for name in _ONE_IN:
        one_in = _number(attributes.get(name))
        if one_in is not None and 1 <= one_in <= ALL_PPM:
            return max(1, int(ALL_PPM / one_in))
    if attributes.get("sampler.type") == "probabilistic":
        return _ppm(attributes.get("sampler.param"))
    limit = _ppm(attributes.get("_dd.limit_psr"))
    for name in _SHARES:
        share = _ppm(attributes.get(name))
        if share is not None:
            return share if limit is None else max(1, share * limit // ALL_PPM)
    return limit


def _ppm(value: object) -> int | None:
    number = _number(value)
    if number is None or not 0 < number <= 1:
        return None
    return max(1, int(number * ALL_PPM + 0.5))


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= 32:  # noqa: PLR2004 -- digits
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(value, (int, float)) and -1 < value <= ALL_PPM:
        return float(value)
    return None
