"""Calls that a span above them names the tenant of, and that do not say it themselves (A02).

The ledger gives such a call the owner of the span above it, so no money is lost, and nothing here
is the cause of a call without an owner. What sums up spans one by one does lose it, and so does
everybody once the span above is sampled away. Two things are told apart:

* identity is on one span of a trace and on none below it: nothing copies it to spans. A note, under
  ``baggage-not-copied``.
* identity is copied from span to span, and stops at one: something between the two drops it. A
  warning, under the mode that the place shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.kept.owners import says_payer
from tollbook.audit.rules.frameworks import is_job
from tollbook.audit.rules.hops import draw, hit_at, place_of
from tollbook.audit.rules.lost import EMBEDDINGS, HOPS_MAX, Break, operation_of, where
from tollbook.audit.rules.six_within import (
    AGENT_KINDS,
    agent_break,
    embeddings_break,
    header_break,
    queue_break,
    stream_break,
)
from tollbook.call import SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.rules.hops import Drawn
    from tollbook.audit.rules.lost import View
    from tollbook.audit.trace import Owned

_SERVER, _CLIENT, _PRODUCER, _CONSUMER = 2, 3, 4, 5
_WARNING = Severity.WARNING
_NOWHERE = "start"
"""The crossing of what is on one span of a trace alone: it never went anywhere."""


def inherited(view: View, drawn: Drawn) -> Iterable[Hit]:
    """Yield a hit for each such call; those of one place belong together."""
    found: dict[tuple[str, ...], tuple[Break, list[SpanFact]]] = {}
    for call, owned in view.inherited:
        one = _break(view, call, owned)
        key = (one.mode.value, *_common(one))
        found.setdefault(key, (one, []))[1].append(call)
    for one, calls in found.values():
        sketch = draw(view.trace, one, calls, drawn)
        for call in calls:
            hit = hit_at(one, [call], is_cause=False, drawn=sketch)
            yield hit if one.crossing != _NOWHERE else replace(hit, place=_common(one))


def _break(view: View, call: SpanFact, owned: Owned) -> Break:
    trace, last = view.trace, owned.span
    path = [call]
    for above in trace.ancestors(call):
        if above is last or len(path) >= HOPS_MAX:
            break
        path.append(above)
    first = path[-1]
    if not view.copies:
        title = f"only {last.name} in {where(last)} names the tenant: no span below it does"
        return Break(Mode.BAGGAGE_NOT_COPIED, _NOWHERE, last, first, title, Severity.NOTE, "A02")
    return _hop(last, first) or _in_process(view, call, last, first, path)


def _common(one: Break) -> tuple[str, ...]:
    """Return what calls of one trace that lost it at one place have in common."""
    last, first = one.last_seen, one.first_missing
    if one.crossing == _NOWHERE and last is not None:
        return one.crossing, last.service, last.name
    return *place_of(one), first.span_id


def _hop(last: SpanFact, first: SpanFact) -> Break | None:
    """Return a break on the way to another process."""
    is_other = first.service != last.service
    if first.kind == _CONSUMER or last.kind == _PRODUCER or (is_job(first) and is_other):
        return queue_break(last, first, _WARNING, "A02")
    if is_other or (first.kind == _SERVER and last.kind != _SERVER):
        return header_break(last, first, _WARNING, "A02")
    return None


def _in_process(
    view: View, call: SpanFact, last: SpanFact, first: SpanFact, path: list[SpanFact]
) -> Break:
    if any(one.what in AGENT_KINDS for one in path):
        return agent_break(last, first, _WARNING, "A02")
    if _others_say(view, call):
        if operation_of(call) in EMBEDDINGS or first.what is SpanKind.RETRIEVAL:
            return embeddings_break(last, first, _WARNING, "A02")
        if call.call is not None and call.call.is_stream:
            return stream_break(last, first, _WARNING, "A02")
    title = f"{first.name} in {where(first)} does not say the tenant, {last.name} above it does"
    return Break(Mode.BAGGAGE_NOT_COPIED, "within", last, first, title, Severity.NOTE, "A02")


def _others_say(view: View, call: SpanFact) -> bool:
    """Whether other calls of the service say who pays: their instrumentation copies it."""
    return any(one.service == call.service and says_payer(one) for one in view.trace.calls)
