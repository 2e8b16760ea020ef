"""Usage that metrics tell and no span does (A16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.findings import Hit, Severity
from tollbook.audit.rules.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.read import InputRead


def metrics_only(inputs: Sequence[InputRead], calls: int) -> Iterator[Hit]:
    """Yield a hit where inputs hold points of usage metrics and no call (A16).

    Not a rule of spans, so it is asked for with what was read. With calls beside them, metrics tell
    what spans tell, and are not read.

    Source: OpenTelemetry GenAI semantic conventions, metrics: they have no request and no trace.

    Args:
        inputs: what was read.
        calls: how many calls there were among the spans.
    """
    points = sum(one.usage_points for one in inputs)
    if not points or calls:
        return
    entry = CATALOGUE["A16"]
    sources = [one.source for one in inputs if one.usage_points]
    yield Hit(
        mode=entry.mode,
        rule=entry.rule,
        severity=Severity.ERROR,
        title=f"Usage is told by {points} point{'' if points == 1 else 's'} of metrics and by no"
        " span",
        place=("metrics",),
        span=sources[0],
        evidence=(),
        calls=0,
    )
