"""Attempts that failed: counted beside the one that succeeded (A07), or billed (A19)."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.repeats import unmarked_retries
from tollbook.audit.rules.found import called, hit_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_SIBLINGS_MAX: Final = 200
_FAILED: Final = 400
"""HTTP: an answer with this status or a higher one holds no answer of a model."""


class Attempts:
    """A07 and A19: calls that failed and tell of tokens.

    With a later call of the same kind under the same parent that succeeded it is an attempt and its
    retry, and both are in every sum (A07). Without one, the tokens were made before the call broke
    off, and reports of successful calls leave them out (A19). A provider that answered with an
    error status bills nothing, so tokens beside one are no cost. A call that follows a failed one
    without tokens and does not say that it repeats it is a note: sums are right, and nothing tells
    a second charge from a retry.

    Source: providers bill the tokens that were made before a stream was broken off, and nothing for
    answers with an error status.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each failed call with tokens, and each retry that is marked as one."""
        for span in trace.calls:
            call = span.call
            if call is None or call.kinds is None or not tokens_of([span]):
                continue
            if not call.is_error:
                yield from _marked(trace, span)
                continue
            retry = _retry_of(trace, span)
            is_free = call.http_status is not None and call.http_status >= _FAILED
            if retry is not None or is_free:
                yield _counted(span, retry, is_free=is_free)
            else:
                yield hit_of(
                    "A19",
                    f"Calls of {called(span)} failed after the provider had made tokens",
                    (called(span), span.service, call.error_type or ""),
                    [span],
                )
        if any(one.is_error for one in trace.calls):
            yield from _unmarked(trace)


def _counted(span: SpanFact, retry: SpanFact | None, *, is_free: bool) -> Hit:
    how = "that the provider refused" if is_free else "and those that repeat them"
    return hit_of(
        "A07",
        f"{called(span)} tells of tokens for attempts {how}",
        ("attempt", "refused" if is_free else "repeated", called(span), span.service),
        [span] if retry is None else [span, retry],
        calls=[span],
        mode=Mode.RETRIES,
        severity=Severity.ERROR if is_free else Severity.WARNING,
    )


def _unmarked(trace: Trace) -> Iterator[Hit]:
    """Yield a note where a call follows a failed one without tokens, and says nothing of it."""
    for failed, again in unmarked_retries(trace):
        if tokens_of([failed]):
            continue  # told above
        yield hit_of(
            "A07",
            f"Calls of {called(again)} follow failed ones and do not say that they repeat them",
            ("attempt", "unmarked", called(again), again.service),
            [again, failed],
            calls=[again],
            mode=Mode.RETRIES,
            severity=Severity.NOTE,
        )


def _retry_of(trace: Trace, failed: SpanFact) -> SpanFact | None:
    """Return the call that repeats one that failed: a later sibling that asks the same model."""
    parent = trace.parent(failed)
    if parent is None:
        return None
    siblings = trace.children.get(parent.span_id, [])
    later = bisect_left(siblings, failed.ended_at_ns, key=lambda one: one.started_at_ns)
    for one in siblings[later : later + _SIBLINGS_MAX]:
        if one is failed or one.call is None or one.call.is_error:
            continue
        if _asks(one) == _asks(failed):
            return one
    return None


def _asks(span: SpanFact) -> tuple[str | None, ...]:
    assert span.call is not None
    call = span.call
    return call.operation, call.provider, call.model_requested, span.scope


def _marked(trace: Trace, span: SpanFact) -> Iterator[Hit]:
    """Yield a hit where a call says which one it repeats, and that one succeeded too."""
    call = span.call
    if call is None or call.retry_of is None:
        return
    parent = trace.parent(span)
    siblings = trace.children.get(parent.span_id, []) if parent is not None else trace.calls
    for one in siblings[:_SIBLINGS_MAX]:
        if one.call is None or one.call.kinds is None or one is span or one.call.is_error:
            continue
        if call.retry_of in {one.span_id, one.call.response_id, one.call.request_id}:
            yield hit_of(
                "A07",
                f"Calls of {called(span)} repeat calls that had succeeded",
                ("attempt", "succeeded", called(span), span.service),
                [one, span],
                calls=[one],
                mode=Mode.RETRIES,
                severity=Severity.WARNING,
            )
            return
