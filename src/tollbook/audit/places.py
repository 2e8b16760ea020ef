"""Names of inputs on what was found: facts carry their number only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tollbook.audit.findings import Finding, SpanRef


def with_places(findings: Iterable[Finding], sources: Sequence[str]) -> Iterator[Finding]:
    """Yield findings whose spans name the input that they were read from.

    Args:
        findings: their spans have the number of an input as source.
        sources: names of the inputs, in the order of their numbers.
    """
    names = {str(number): name for number, name in enumerate(sources)}

    def named(span: SpanRef) -> SpanRef:
        return replace(span, source=names.get(span.source, span.source))

    for one in findings:
        hop = one.hop
        if hop is not None:
            seen = None if hop.last_seen is None else named(hop.last_seen)
            hop = replace(hop, last_seen=seen, first_missing=named(hop.first_missing))
        yield replace(one, hop=hop, evidence=tuple(map(named, one.evidence)))
