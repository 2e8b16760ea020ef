"""A trace that is too large to look at as a whole: parts of it, each with what is above its spans.

Without the spans above, the calls of a later part would seem to have no owner and no parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.facts import decode_fact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import SpanFact

SPANS_MAX: Final = 20_000
"""Of one trace that are looked at together."""
_ABOVE_MAX: Final = 20_000
"""Spans of other parts that are added to one."""


def parts_of(records: Sequence[bytes], spans_max: int = SPANS_MAX) -> Iterator[list[SpanFact]]:
    """Yield the spans of a trace, all at once or in parts.

    A part also has the spans of other parts that are above its own, so that it is known whose they
    are; these are no calls there, since they are counted in their own part.

    Args:
        records: spans as they were encoded.
        spans_max: so many are looked at together.
    """
    if len(records) <= spans_max:
        yield [decode_fact(one) for one in records]
        return
    known: dict[str, tuple[str | None, int]] = {}
    for at, record in enumerate(records):
        fact = decode_fact(record)
        known.setdefault(fact.span_id, (fact.parent_span_id, at))
    for start in range(0, len(records), spans_max):
        facts = [decode_fact(one) for one in records[start : start + spans_max]]
        above = _above(facts, known)
        yield [replace(decode_fact(records[at]), call=None) for at in above] + facts


def _above(facts: Sequence[SpanFact], known: dict[str, tuple[str | None, int]]) -> list[int]:
    """Return the places of spans that are above those of a part and not in it."""
    inside = {one.span_id for one in facts}
    found: dict[str, int] = {}
    for one in facts:
        parent = one.parent_span_id
        while parent is not None and parent in known and len(found) < _ABOVE_MAX:
            if parent in inside or parent in found:
                break  # what is above it is asked for in its own turn
            above, found[parent] = known[parent]
            parent = above
    return list(found.values())
