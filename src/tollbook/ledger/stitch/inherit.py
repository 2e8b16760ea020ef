"""The owner of calls that nobody named one for: from the spans around them, or their trace.

The nearest span (or call) around it that names a tenant gives it, then those further out up to the
root of the trace, then the spans of other traces that caused those (links: a job and who enqueued
it). Where it is not known up to the root what is around a call, the only tenant of its trace is its
own; of several none is, which is recorded. A call within spans that have all come, none of which
names a tenant, stays unknown: siblings prove nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.identity.claims import Mechanism

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tollbook.ledger.stitch.sight import Sight, SpanKey
    from tollbook.ledger.stitch.trails import Trails

_TRACE: Final = Mechanism.TRACE.value
_DEFAULT: Final = Mechanism.DEFAULT.value


class Inherited(NamedTuple):
    """What the trace of a call says of its owner."""

    identity: Identity
    evidence: str | None = None
    """Where the tenant comes from, in words; None: it was not inherited."""
    seen_us: int = 0
    """When that became known."""
    rivals: tuple[str, ...] = ()
    """Several tenants of the trace, one of which it may be."""


class Word(NamedTuple):
    """Somebody's word on the owner of a call or span."""

    identity: Identity
    seen_us: int
    where: str
    """Who says so, in words."""


class Heirs:
    """Looks up who owns calls of the traces that are known.

    Args:
        trails: the spans.
        words: what is known of the owners of calls, by call id, their traces aside.
        window_us: evidence that comes later than so long after its call changes nothing.
    """

    def __init__(
        self, trails: Trails, sights: Iterable[Sight], words: Mapping[bytes, Word], window_us: int
    ) -> None:
        self._trails, self._words_of, self._window_us = trails, words, window_us
        self._of_trace: dict[str, list[Word]] = defaultdict(list)
        for one in sights:
            trace_id = one.call.opened.trace_id
            word = words[one.call_id]
            if trace_id is not None and word.identity.tenant_id is not None:
                self._of_trace[trace_id].append(word)
        for key, span in trails.spans():
            if span.identity is not None and span.identity.tenant_id is not None:
                self._of_trace[key[0]].append(_span_word(key, span.identity, span.seen_us))

    def of(self, identity: Identity, group: Sequence[Sight], known_us: int) -> Inherited:
        """Return the owner of a call.

        Args:
            identity: what its observers know.
            group: its sights.
            known_us: when the first of them came.
        """
        if identity.tenant_id is not None or not self._of_trace:
            return Inherited(identity)
        until_us = known_us + self._window_us
        starts = [one.own_span or one.parent_span for one in group]
        mine = {one.call_id for one in group}
        is_known = False
        for start in dict.fromkeys(starts):
            if start is None:
                continue
            chain = list(self._trails.lineage(start))
            words = [
                word for key in chain for word in self._words(key, mine) if word.seen_us <= until_us
            ]
            if any(one.identity.tenant_id is not None for one in words):
                return _from_chain(identity, words)
            is_known = is_known or self._trails.reaches_root(start)
        return Inherited(identity) if is_known else self._from_trace(identity, group, until_us)

    def _words(self, key: SpanKey, mine: set[bytes]) -> Iterable[Word]:
        for one in self._trails.calls.get(key, ()):
            if one.call_id not in mine:
                yield self._words_of[one.call_id]
        span = self._trails.get(key)
        if span is not None and span.identity is not None:
            yield _span_word(key, span.identity, span.seen_us)

    def _from_trace(
        self, identity: Identity, group: Sequence[Sight], until_us: int
    ) -> Inherited:  # fmt: skip
        traces = {one.call.opened.trace_id for one in group}
        words = [
            word
            for trace_id in sorted(one for one in traces if one is not None)
            for word in self._of_trace.get(trace_id, ())
            if word.seen_us <= until_us
        ]
        tenants = {one.identity.tenant_id for one in words if one.identity.tenant_id}
        if len(tenants) != 1:
            return Inherited(identity, rivals=tuple(sorted(tenants)))
        first = min(words, key=lambda one: (one.seen_us, one.where))
        common = {
            field: value
            for field in IDENTITY_FIELDS
            if (value := getattr(first.identity, field)) is not None
            and all(getattr(one.identity, field) == value for one in words)
        }
        return Inherited(
            _with(identity, common), f"the only tenant of its trace, named by {first.where}",
            first.seen_us,
        )  # fmt: skip


def _span_word(key: SpanKey, identity: Identity, seen_us: int) -> Word:
    return Word(identity, seen_us, f"span {key[1]} of trace {key[0]}")


def _from_chain(identity: Identity, words: Sequence[Word]) -> Inherited:
    named = next(one for one in words if one.identity.tenant_id is not None)
    tenant = named.identity.tenant_id
    fields: dict[str, str] = {}
    for word in words:
        if word.identity.tenant_id not in (None, tenant):
            continue  # another tenant's user is nobody's
        for field in IDENTITY_FIELDS:
            value = getattr(word.identity, field)
            if value is not None and word.identity.sources.get(field) != _DEFAULT:
                fields.setdefault(field, value)
    return Inherited(_with(identity, fields), named.where, named.seen_us)


def _with(identity: Identity, fields: dict[str, str]) -> Identity:
    """Return an identity with what it lacks; an environment by default is lacking."""
    missing = {
        field: value
        for field, value in fields.items()
        if getattr(identity, field) is None or identity.sources.get(field) == _DEFAULT
    }
    sources = identity.sources | dict.fromkeys(missing, _TRACE)
    return replace(identity, **missing, sources=sources)
