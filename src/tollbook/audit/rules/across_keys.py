"""Which spans of different traces may be the two sides of one hop, and the keys they meet under.

A trace that never says who pays may have begun where another one lost its context: a job, a
request whose ``traceparent`` was stripped, a thread. Its calls and its topmost span go under a key,
and so do spans of other traces that may be the other side:

* ``l:`` the span that a job links to,
* ``q:`` the queue, and when,
* ``h:`` the path of a request (a proxy has another host), else the host, and when,
* ``t:`` the service, and when: spans that were waiting at that time, for a thread of the same
  process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.kept.beginnings import side_of
from tollbook.audit.kept.hops import label_of
from tollbook.audit.rules.frameworks import is_job
from tollbook.audit.rules.hosts import bare_host, provider_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.kept.beginnings import Beginnings
    from tollbook.audit.rules.lost import Lost, View
    from tollbook.audit.trace import Trace

CALL: Final = "call"
ENTRY: Final = "entry"
NAMED: Final = "named"
NAMELESS: Final = "nameless"
"""A producer that does not know either whose job it is."""

_S: Final = 10**9
_MS: Final = 10**6
QUEUE_NS: Final = 60 * _S
REQUEST_NS: Final = 2 * _S
THREAD_NS: Final = 5 * _S
_SERVER, _CLIENT, _PRODUCER = 2, 3, 4
_IN_PROCESS: Final = frozenset({0, 1, 2, 5})
_BUCKETS_MAX: Final = 12
_GAPS_MAX: Final = 4
_CHILDREN_MAX: Final = 256


def entry_keys(lost: Lost) -> str:
    """Return the key under which the other side of a trace's beginning is looked for."""
    entry = lost.entry
    started_ns = entry.started_at_ns
    if entry.links:
        return f"l:{entry.links[0]}"
    if is_job(entry):
        return f"q:{entry.peer or entry.messaging or entry.service}:{started_ns // QUEUE_NS}"
    if entry.kind == _SERVER:
        return f"h:{side_of(entry)}:{started_ns // REQUEST_NS}"
    return f"t:{entry.service}:{started_ns // THREAD_NS}"


def lost_facts(lost: Lost) -> SpanFact:
    """Return a call as it goes under the key of its entry, which takes the place of its parent."""
    return replace(lost.call, parent_span_id=lost.entry.span_id, role=CALL)


def other_sides(view: View, beginnings: Beginnings | None = None) -> Iterator[tuple[str, SpanFact]]:
    """Yield spans that know who pays, under all keys where they may be looked for.

    Args:
        view: of a trace.
        beginnings: what there is without identity; of other kinds no other side is looked for.
    """
    trace = view.trace
    jobs = beginnings is None or beginnings.has_jobs
    requests = beginnings is None or beginnings.has_requests
    services = None if beginnings is None else beginnings.services
    linked = None if beginnings is None else beginnings.linked
    if not (jobs or requests or services or linked):
        return
    for span in trace.spans:
        if linked and span.ref in linked:
            yield f"l:{span.ref}", _side(trace, span)
        if span.kind == _PRODUCER or (span.messaging is not None and span.kind == _CLIENT):
            if jobs:
                yield from _producer(trace, span)
        elif span.kind == _CLIENT:
            if requests and span.protocol == "http" and span.call is None:
                yield from _client(trace, span, beginnings)
        elif (
            span.kind in _IN_PROCESS
            and span.call is None
            and not span.links
            and (services is None or span.service in services)
        ):
            yield from _waiting(trace, span)


def _side(trace: Trace, span: SpanFact) -> SpanFact:
    return replace(span, role=NAMELESS if trace.payer_of(span) is None else NAMED)


def _producer(trace: Trace, span: SpanFact) -> Iterator[tuple[str, SpanFact]]:
    fact = _side(trace, span)
    side = span.peer or span.messaging or span.service
    bucket = span.started_at_ns // QUEUE_NS
    yield f"q:{side}:{bucket}", fact
    yield f"q:{side}:{bucket + 1}", fact


def _client(
    trace: Trace, span: SpanFact, beginnings: Beginnings | None
) -> Iterator[tuple[str, SpanFact]]:
    """A request that nothing of this trace answered, and that was none to a provider."""
    sides = {span.path_hash, label_of(span.peer or "")} - {""}
    if beginnings is not None:
        sides = {one for one in sides if beginnings.seeks(one)}
    if not sides:
        return
    if trace.children.get(span.span_id):
        return
    if span.peer is not None and provider_at(bare_host(span.peer)) is not None:
        return
    if trace.payer_of(span) is None:
        return
    fact = replace(span, role=NAMED)
    bucket = span.started_at_ns // REQUEST_NS
    for side in sides:
        yield f"h:{side}:{bucket}", fact
        yield f"h:{side}:{bucket + 1}", fact


def _waiting(trace: Trace, span: SpanFact) -> Iterator[tuple[str, SpanFact]]:
    """The times in which a span did nothing of its own: there it may have waited for a thread."""
    if span.ended_at_ns - span.started_at_ns < _MS or trace.payer_of(span) is None:
        return
    for started_ns, ended_ns in _gaps(trace, span):
        fact = replace(span, role=NAMED, started_at_ns=started_ns, ended_at_ns=ended_ns)
        first = started_ns // THREAD_NS
        for bucket in range(first, min(ended_ns // THREAD_NS, first + _BUCKETS_MAX) + 1):
            yield f"t:{span.service}:{bucket}", fact


def _gaps(trace: Trace, span: SpanFact) -> list[tuple[int, int]]:
    at = span.started_at_ns
    found: list[tuple[int, int]] = []
    for child in trace.children.get(span.span_id, ())[:_CHILDREN_MAX]:
        if child.started_at_ns - at >= _MS:
            found.append((at, child.started_at_ns))
        at = max(at, child.ended_at_ns)
    if span.ended_at_ns - at >= _MS:
        found.append((at, span.ended_at_ns))
    found.sort(key=lambda one: one[0] - one[1])
    return found[:_GAPS_MAX]
