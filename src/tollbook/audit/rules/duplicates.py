"""One answer told of twice: by two spans (A07), by one span twice, by fetching it again (A20)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.first_of import FirstOf
from tollbook.audit.rules.found import WHOLE, called, hit_of, tokens_of
from tollbook.audit.told import FETCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_ID_MIN_CHARS: Final = 8
"""Shorter ids are not unique: servers of one's own number their answers."""
_TOLD_MAX: Final = 12
"""An id that more spans name is no id of an answer."""


class Answers:
    """A07: several spans that are not above one another tell of one answer.

    Spans above one another are wrappers (A06). Answers with one id and different counts are
    different answers of a server that gives the same id to all.

    Source: OpenTelemetry GenAI semantic conventions, gen_ai.response.id.
    """

    name = "answers"

    def __init__(self) -> None:
        self._first = FirstOf(_TOLD_MAX + 1)

    def keys(self, trace: Trace) -> Iterator[tuple[str, SpanFact]]:
        """Yield billed calls by the id of their answer."""
        for span in trace.calls:
            call = span.call
            if call is None or call.kinds is None or is_fetched(call):
                continue
            if call.response_id is None or len(call.response_id) < _ID_MIN_CHARS:
                continue
            if self._first.takes(call.response_id):
                yield call.response_id, span

    def check_group(self, key: str, spans: Sequence[SpanFact]) -> Iterator[Hit]:
        """Yield a hit where the same counts were told more than once."""
        del key
        if not 1 < len(spans) <= _TOLD_MAX:
            return
        by_counts: dict[tuple[int, ...], list[SpanFact]] = {}
        for span in spans:
            if span.call is not None and span.call.kinds is not None:
                by_counts.setdefault(_key(span.call), []).append(span)
        for same in by_counts.values():
            if len(same) > 1:
                yield _twice(same)


def _key(call: CallFact) -> tuple[int, ...]:
    """Return what two instrumentations agree about: the caches they may count differently."""
    assert call.kinds is not None
    return (call.kinds.output_tokens, call.kinds.search_units)


def _twice(spans: list[SpanFact]) -> Hit:
    tellers = sorted({called(one) for one in spans})
    services = sorted({one.service for one in spans if one.service})
    who = " and ".join(tellers[:3])
    if len(tellers) == 1 and len(services) > 1:
        who = f"{who} in {' and '.join(services[:3])}"
    title = f"Spans of {who} tell of the same answers, and are not above one another"
    return hit_of(
        "A07",
        title,
        (*tellers, "in", *services),
        spans,
        calls=spans[1:],
        factor_millis=tokens_of(spans) * WHOLE // max(1, tokens_of(spans[:1])),
    )


class RepeatedSpans:
    """A07: the same span was exported twice, by two pipelines or by a retry of the exporter.

    Source: OpenTelemetry specification, trace API: span ids are unique within a trace.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call that is there again."""
        copies: Counter[str] = Counter()
        for again in trace.repeated:
            first = trace.by_id[again.span_id]
            if again.call is None or first.call is None or first.name != again.name:
                continue
            if again.call.kinds is None or again.call.kinds != first.call.kinds:
                continue
            copies[again.span_id] += 1
            is_overlap = again.source != first.source
            yield hit_of(
                "A07",
                "Two inputs have the same spans" if is_overlap
                else f"Spans of {called(first)} are there twice with the same ids",
                ("inputs",) if is_overlap else ("again", called(first), first.service),
                [again],
                severity=Severity.NOTE if is_overlap else Severity.ERROR,
                factor_millis=(1 + copies[again.span_id]) * WHOLE,
            )  # fmt: skip


class Fetched:
    """A20: a span that fetched a stored answer tells of its usage again.

    Source: OpenTelemetry GenAI semantic conventions, fetch_response: SHOULD NOT report usage.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such span."""
        for span in trace.spans:
            if span.call is not None and is_fetched(span.call) and span.call.kinds is not None:
                yield hit_of(
                    "A20",
                    f"{called(span)} writes usage to spans that only fetched a stored answer",
                    (called(span), span.service),
                    [span],
                    factor_millis=2 * WHOLE,
                )


def is_fetched(call: CallFact) -> bool:
    """Whether a call only fetched an answer that was made before."""
    return call.told_operation == FETCH
