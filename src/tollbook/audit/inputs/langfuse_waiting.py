"""Observations that wait for the record of their trace, as far as memory allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.read import Batch

_WAITING_MAX: Final = 10_000
_TRACES_MAX: Final = 100_000
_OWNERS: Final = ("langfuse.user.id", "langfuse.session.id", "langfuse.trace.name")


class Waiting:
    """Brings what traces say to their observations, whichever come first.

    A trace's user and metadata are of all that is in it, as Langfuse's own export of enriched
    observations has it; so nothing was lost between those of them that say nothing themselves. Of
    an input with more than memory holds, the oldest go on as they are.
    """

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, list[Batch]] = {}
        self._count = 0

    def know(self, trace_id: str, owner: dict[str, Any]) -> None:
        """Note what the record of a trace says."""
        if len(self._owners) >= _TRACES_MAX:
            del self._owners[next(iter(self._owners))]
        self._owners[trace_id] = owner

    def knows(self, trace_id: str) -> bool:
        """Whether the record of a trace was seen."""
        return trace_id in self._owners

    def put(self, batch: Batch) -> Iterator[Batch]:
        """Take observations, and yield those that need not wait any more."""
        span = batch.spans[0]
        if any(name in span.attributes for name in _OWNERS):
            yield batch
        elif span.trace_id in self._owners:
            yield self._owned(batch)
        else:
            self._waiting.setdefault(span.trace_id, []).append(batch)
            self._count += 1
            if self._count > _WAITING_MAX:
                yield from self._release(next(iter(self._waiting)))

    def rest(self) -> Iterator[Batch]:
        """Yield all that still wait."""
        for trace_id in list(self._waiting):
            yield from self._release(trace_id)

    def _release(self, trace_id: str) -> Iterator[Batch]:
        batches = self._waiting.pop(trace_id)
        self._count -= len(batches)
        for batch in batches:
            yield self._owned(batch)

    def _owned(self, batch: Batch) -> Batch:
        owner = self._owners.get(batch.spans[0].trace_id)
        if not owner:
            return batch
        spans = [replace(one, attributes={**owner, **one.attributes}) for one in batch.spans]
        return batch._replace(spans=spans)
