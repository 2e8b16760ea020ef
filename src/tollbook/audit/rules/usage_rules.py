"""Counts that contradict themselves (A08, A09), leave passes out (A10) or are missing (A27)."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Severity
from tollbook.audit.rules.duplicates import is_fetched
from tollbook.audit.rules.found import WHOLE, called, hit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tollbook.audit.facts import CallFact, SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_TALKS: Final = frozenset({"chat", "text_completion", "generate_content", "responses"})
_BESIDE: Final = ("cache_read", "cache_write", "reasoning", "input_audio", "output_audio")
"""What totals of some providers count beside input and output."""


class Counts:
    """A08 and A09: counts of one call that cannot all be true.

    A08: more cached tokens than input, which by the conventions includes them. A09: a total that is
    not input and output, whichever of the details are taken as beside these.

    Source: OpenTelemetry GenAI semantic conventions, gen_ai.usage.input_tokens; over recorded
    answers of all providers the total is such a sum (1,118 of 1,119 of Gemini's, all of OpenAI's).
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call whose counts contradict each other."""
        for span in trace.calls:
            if span.call is None:
                continue
            counts = span.call.counts
            cached = counts.get("cache_read", 0) + counts.get("cache_write", 0)
            if cached > counts.get("input", cached):
                yield hit_of(
                    "A08",
                    f"{called(span)} leaves the cache's tokens out of the input of"
                    f" {span.call.provider}",
                    (called(span), span.scope_version, span.call.provider),
                    [span],
                )
            elif _is_odd_total(counts):
                yield hit_of(
                    "A09",
                    f"Totals that {called(span)} tells of {span.call.provider} are not the sum of"
                    " input and output",
                    (called(span), span.scope_version, span.call.provider),
                    [span],
                    factor_millis=_factor(counts),
                )


def _is_odd_total(counts: Mapping[str, int]) -> bool:
    total, given, out = counts.get("total"), counts.get("input"), counts.get("output")
    if total is None or given is None or out is None:
        return False
    beside = [counts[name] for name in _BESIDE if counts.get(name)]
    return not any(
        total == given + out + sum(some)
        for many in range(len(beside) + 1)
        for some in combinations(beside, many)
    )


def _factor(counts: Mapping[str, int]) -> int | None:
    parts = counts["input"] + counts["output"]
    return parts * WHOLE // counts["total"] if counts["total"] else None


class Passes:
    """A10: the provider made further passes that the span's counts leave out.

    Source: Anthropic documentation, compaction and advisor tool: the top level of ``usage`` leaves
    these passes out and ``usage.iterations`` lists all; each is billed at its own model.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each call with passes that are not counted."""
        for span in trace.calls:
            call = span.call
            if call is None:
                continue
            if call.outside_tokens:
                told = call.counts.get("input", 0) + call.counts.get("output", 0)
                yield hit_of(
                    "A10",
                    f"Counts of {called(span)} leave out passes of {call.provider}"
                    " (compaction, advisors)",
                    ("passes", called(span), call.provider),
                    [span],
                    factor_millis=told * WHOLE // (told + call.outside_tokens),
                )
            elif call.is_compacted and call.provider == "anthropic" and not call.passes:
                yield hit_of(
                    "A10",
                    f"Contexts were compacted, and {called(span)} does not tell of the pass that"
                    " did it",
                    ("compacted", called(span), call.provider),
                    [span],
                    severity=Severity.WARNING,
                )


class Missing:
    """A27: a call that ended well tells of no usage, of a total only, or of one side only.

    Streams without usage are A05. Operations that are billed by other units are left out.

    Source: OpenTelemetry GenAI semantic conventions, gen_ai.usage.input_tokens, .output_tokens.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such call."""
        for span in trace.calls:
            call = span.call
            if call is None or call.is_error or not call.is_billable or is_fetched(call):
                continue
            lacks = _lacks(call)
            if lacks is not None:
                yield _missing(span, call, lacks)


def _lacks(call: CallFact) -> str | None:
    """Return what a call does not tell, None where that is enough."""
    talks = call.operation in _TALKS
    if call.kinds is None:
        is_measured = talks or call.operation == "embeddings"
        return "any usage" if is_measured and not call.is_stream else None
    counts = call.counts
    if not talks or not counts:
        return None
    if "total" in counts and "input" not in counts and "output" not in counts:
        return "input and output apart"
    if "output" not in counts and "total" not in counts:
        return "the output"
    return "the input" if "input" not in counts and "total" not in counts else None


def _missing(span: SpanFact, call: CallFact, lacks: str) -> Hit:
    return hit_of(
        "A27",
        f"{called(span)} does not tell {lacks} of {call.operation} calls to {call.provider}",
        (lacks, called(span), span.scope_version, call.provider, call.operation),
        [span],
        severity=Severity.ERROR if lacks == "any usage" else Severity.WARNING,
    )
