"""Which spans begin something without saying who pays.

Seen on reading, before traces are put together, so that rules need not look for the other side of
what does not occur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.kept.hops import label_of

if TYPE_CHECKING:
    from tollbook.audit.facts import SpanFact

_SERVER, _CLIENT, _PRODUCER, _CONSUMER = 2, 3, 4, 5
_SERVICES_MAX: Final = 10_000
_LINKED_MAX: Final = 200_000
_SIDES_MAX: Final = 10_000


class Beginnings:
    """Kinds of beginnings without identity."""

    def __init__(self) -> None:
        self.has_requests = False
        """A server's side of a request."""
        self._sides: set[str] = set()
        self.has_jobs = False
        """Something that was taken from a queue, or that a link names the cause of."""
        self.services: set[str] = set()
        """Services in which a trace begins within the process."""
        self.linked: set[str] = set()
        """``trace_id:span_id`` of what such a span names as its cause."""

    def see(self, span: SpanFact) -> None:
        """Take a span that does not say who pays."""
        if span.links and len(self.linked) < _LINKED_MAX:
            self.linked.add(span.links[0])
        if span.kind == _SERVER:
            self.has_requests = True
            if len(self._sides) <= _SIDES_MAX:
                self._sides.add(side_of(span))
            self.has_jobs = self.has_jobs or bool(span.links)
        elif span.kind == _CONSUMER or span.messaging is not None or span.links:
            self.has_jobs = self.has_jobs or span.kind != _PRODUCER
        elif span.parent_span_id is None and len(self.services) < _SERVICES_MAX:
            self.services.add(span.service)

    def seeks(self, side: str) -> bool:
        """Whether a request that begins so may be the other side of one; yes beyond a bound."""
        return side in self._sides or len(self._sides) > _SIDES_MAX


def side_of(request: SpanFact) -> str:
    """Return what a server's side of a request is known by: its path, else its host or service."""
    return request.path_hash or label_of(request.peer or "") or request.service
