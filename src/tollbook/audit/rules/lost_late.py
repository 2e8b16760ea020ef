"""Batches without an owner (A21), and requests to providers that nobody measured (A22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.rules.found import above, called, hit_of
from tollbook.audit.rules.hosts import bare_host, provider_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_CLIENT: Final = 3


class Batches:
    """A21: calls of a batch without a tenant or a team.

    Where on the way it was lost is told by the six; that a batch needs its owner in fields of its
    own is told here.

    Source: OpenAI Batch API (``metadata``, ``custom_id``); Anthropic Message Batches
    (``custom_id``): the only fields that come back with an answer.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such call."""
        for span in trace.calls:
            call = span.call
            if call is None or not (call.is_batch or call.batch_id):
                continue
            if trace.payer_of(span) is None:
                yield hit_of(
                    "A21",
                    f"Calls of batches of {call.provider} in {span.service or 'a service'} have no"
                    " tenant",
                    (call.provider, span.service, called(span)),
                    [span],
                )


class Unmeasured:
    """A22: a request went to a provider's host, and no span of a call is above it.

    Some instrumentations end up beside the request that their call made (OpenLLMetry and the
    official client of Anthropic); a call under the same parent at the same time is one that does.

    Reading requests (GET: lists of models, stored answers) are left out.

    Source: OpenTelemetry semantic conventions, HTTP client spans: server.address, name is method.
    """

    def check(self, trace: Trace) -> Iterator[Hit]:
        """Yield a hit for each such request."""
        for span in trace.spans:
            if span.kind != _CLIENT or span.call is not None or span.peer is None:
                continue
            if span.protocol != "http" or not span.name.upper().startswith(("POST", "HTTP POST")):
                continue
            provider = provider_at(bare_host(span.peer))
            if provider is None or any(one.call is not None for one in above(trace, span)):
                continue
            if any(_is_at_once(one, span) for one in _beside(trace, span)):
                continue
            yield hit_of(
                "A22",
                f"{span.service or called(span)} calls {provider}, and no instrumentation measures"
                " it",
                (span.service, provider, called(span)),
                [span],
                calls=[],
                counted=(1, None),
            )


def _beside(trace: Trace, span: SpanFact) -> Sequence[SpanFact]:
    parent = trace.parent(span)
    return () if parent is None else trace.children[parent.span_id]


def _is_at_once(call: SpanFact, request: SpanFact) -> bool:
    """Whether a call was under way while a request was."""
    return (
        call.call is not None
        and call.started_at_ns <= request.ended_at_ns
        and request.started_at_ns <= call.ended_at_ns
    )
