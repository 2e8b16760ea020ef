"""Calls become the columns of entries, a slice at a time.

A slice is small enough that its calls, each some dozens of small objects, are still in the
processor's cache while their columns are made; then they are let go. That makes the columns in
about half the time, and the memory of a step is that of its columns.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from tollbook.ledger.bulkprice import price_calls
from tollbook.ledger.charge import NO_PROVIDER
from tollbook.ledger.columns import call_columns, part_columns
from tollbook.ledger.store import absent_column

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from tollbook.call import Call
    from tollbook.ledger.charge import PartCharge, Resolve

SLICE_CALLS: Final = 250
"""From how many calls on a slice is worth its columns, each of which has a cost of its own."""
_SLICE_CALLS_MAX: Final = 2 * SLICE_CALLS
_BATCH_ENTRIES: Final = 20_480
"""Entries to a link of the hash chain; verifying holds so many in memory."""


class Batch(NamedTuple):
    """Entries that are appended together, under one hash."""

    columns: dict[str, Any]
    rows: int


class Entries:
    """The entries of one step."""

    def __init__(self, resolve: Resolve, uses_reported: Container[str] = NO_PROVIDER) -> None:
        self._resolve, self._uses_reported = resolve, uses_reported
        self._slices: deque[pa.RecordBatch] = deque()
        self.card_ids: set[str] = set()
        """Cards that the entries name."""

    def add(self, calls: Sequence[Call]) -> None:
        """Measure and price calls and add their entries."""
        for at in range(0, len(calls), _SLICE_CALLS_MAX):
            part = calls[at : at + _SLICE_CALLS_MAX]
            priced = price_calls(part, self._resolve, self._uses_reported)
            columns = call_columns(part) | priced.columns
            self._slices.append(pa.RecordBatch.from_pydict(columns))
            self.card_ids |= priced.card_ids
            if priced.further:
                self._slices.append(_parts(part, priced.further))

    def batches(self) -> Iterator[Batch]:
        """Yield the entries in order, letting go of them."""
        while self._slices:
            taken = [self._slices.popleft()]
            rows = taken[0].num_rows
            while self._slices and rows + self._slices[0].num_rows <= _BATCH_ENTRIES:
                taken.append(self._slices.popleft())
                rows += taken[-1].num_rows
            yield batch_of(taken)


def _parts(
    calls: Sequence[Call], further: Sequence[tuple[int, tuple[PartCharge, ...]]]
) -> pa.RecordBatch:
    """Return the entries of parts; each repeats what the gateway saw, as evidence."""
    owners = [calls[at] for at, parts in further for _ in parts]
    numbered = [each for _, parts in further for each in enumerate(parts, 1)]
    models = [call.closed.model_actual for call in owners]
    return pa.RecordBatch.from_pydict(call_columns(owners) | part_columns(numbered, models))


def batch_of(slices: Sequence[pa.RecordBatch]) -> Batch:
    """Return slices as one batch, with the columns that any of them has."""
    names = list(dict.fromkeys(name for one in slices for name in one.schema.names))
    whole = [one if one.schema.names == names else _filled(one, names) for one in slices]
    table = pa.Table.from_batches(whole).combine_chunks()
    return Batch(dict(zip(table.column_names, table.columns, strict=True)), table.num_rows)


def _filled(one: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    has = dict(zip(one.schema.names, one.columns, strict=True))
    columns = [
        has[name] if name in has else absent_column(name, one.num_rows) for name in names
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=names)
