"""Traces of which only some were kept (A14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.rules.found import WHOLE, hit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_ALL_PPM: Final = 1_000_000


class Sampled:
    """A14: one trace of so many was kept, so sums are too low by that factor.

    Sums that are scaled up again are estimates: right on the average of many traces, and no charge
    for a tenant with few.

    Source: OpenTelemetry specification, tracestate: probability sampling; Honeycomb, Datadog and
    Jaeger document their sample rates.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each share of a trace's calls that was kept."""
        by_share: dict[int, list[SpanFact]] = {}
        whole = min(
            (one.kept_share_ppm for one in trace.spans if one.kept_share_ppm is not None),
            default=_ALL_PPM,
        )
        for span in trace.calls:
            share = span.kept_share_ppm or whole
            if share < _ALL_PPM:
                by_share.setdefault(share, []).append(span)
        for share, calls in by_share.items():
            yield hit_of(
                "A14",
                f"About {in_percent(share)} of the traces were kept: sums would be"
                f" {times(share)} times as high, as an estimate",
                (str(share),),
                calls,
                calls=calls,
                factor_millis=share * WHOLE // _ALL_PPM,
            )


def in_percent(share_ppm: int) -> str:
    """Return a share in percent, with a digit behind the point where it is small."""
    if share_ppm >= _ALL_PPM // 10:
        return f"{(share_ppm + 5000) // 10_000} %"
    return f"{share_ppm // 10_000}.{share_ppm % 10_000 // 100:02d} %"


def times(share_ppm: int) -> str:
    """Return by how much sums would have to be scaled up, to one digit behind the point."""
    tenths = (_ALL_PPM * 10 + share_ppm // 2) // share_ppm
    return f"{tenths // 10}.{tenths % 10}"
