"""Streams that ended well and told no usage (A05): their cost is not known, owner or not.

OpenAI and Azure tell the usage of a stream only where they are asked to
(``stream_options.include_usage``); 35 % and 84 % of recorded streams had none. A stream that the
reader leaves early has none either, and a span that is closed when the stream begins cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.rules.hops import draw, hit_at
from tollbook.audit.rules.lost import Break, where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.rules.hops import Drawn
    from tollbook.audit.trace import Trace


def streams_without_usage(trace: Trace, drawn: Drawn) -> Iterator[Hit]:
    """Yield each stream that told no usage, with the span that tells it instead, if one does."""
    for span in trace.calls:
        call = span.call
        if call is None or call.kinds is not None or not call.is_stream:
            continue
        if call.is_error or not call.is_billable:
            continue
        told = _told_elsewhere(trace, span)
        if told is None:
            first = trace.closed_early.get(span.span_id, span)
            title = f"streams of {where(span)} end without their usage: {first.name}"
            one = Break(Mode.STREAMING, "within", None, first, title, Severity.ERROR, "A05")
        else:
            title = f"the usage of {span.name} in {where(span)} is on another span: {told.name}"
            one = Break(Mode.STREAMING, "within", told, span, title, Severity.WARNING, "A05")
        yield hit_at(one, [span], is_cause=False, drawn=draw(trace, one, [span], drawn))


def _told_elsewhere(trace: Trace, span: SpanFact) -> SpanFact | None:
    """Return the span above or beside a stream that tells its usage."""
    assert span.call is not None
    response_id = span.call.response_id
    for above in trace.ancestors(span):
        if above.call is not None and above.call.kinds is not None:
            return above
    if response_id is None:
        return None
    for other in trace.calls:
        if (
            other is not span
            and other.call is not None
            and other.call.kinds is not None
            and other.call.response_id == response_id
        ):
            return other
    return None
