"""Entries in bulk: columns to bill from, amounts to bill into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tollbook.ledger.store import absent_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from tollbook.prices.billable_amount import Billed

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

LARGEST: Final = 1 << 57
"""Of a base or a fee, so that no sum of them comes near 64 bits."""


_equal: Any = pc.equal  # whose stubs do not know a plain text


class Lot:
    """Some entries, as Arrow arrays by column name; a column is taken when it is looked at.

    Args:
        columns: of all entries; what is missing stands for nothing.
        rows: how many there are in the lot.
        index: which of all entries they are; None for all.
    """

    def __init__(self, columns: Mapping[str, Any], rows: int, index: Ints | None = None) -> None:
        self.columns, self.rows, self._index = columns, rows, index
        self._taken: dict[str, Any] = {}

    def column(self, name: str) -> Any:
        """Return a column as one array."""
        found = self._taken.get(name)
        if found is None:
            found = self._taken[name] = self._take(name)
        return found

    def _take(self, name: str) -> Any:
        found = self.columns.get(name)
        if found is None:
            return absent_column(name, self.rows)
        whole = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        index: Any = self._index
        return whole if index is None else whole.take(pa.array(index))

    def has(self, name: str) -> bool:
        """Whether a column says anything."""
        return name in self.columns

    def taken(self, at: Ints) -> Lot:
        """Return some of the entries."""
        if len(at) == self.rows:
            return self
        return Lot(self.columns, len(at), at if self._index is None else self._index[at])


class BilledRows:
    """What entries are billed: an amount and words for each, filled rule by rule."""

    def __init__(self, rows: int) -> None:
        self.pico = np.zeros(rows, np.int64)
        self.is_missing = np.ones(rows, np.bool_)
        self.large: dict[int, int] = {}
        """Amounts beyond 64 bits, by row."""
        self.flags = np.zeros(rows, np.int32)
        self._words: dict[tuple[str, ...], int] = {(): 0}

    @property
    def words(self) -> list[tuple[str, ...]]:
        """What the codes in ``flags`` stand for."""
        return list(self._words)

    def code(self, said: tuple[str, ...]) -> int:
        """Return the code of some words."""
        return self._words.setdefault(said, len(self._words))

    def put(self, row: int, billed: Billed) -> None:
        """Set one row."""
        amount = billed.amount
        self.is_missing[row] = amount is None
        if amount is not None and abs(amount) >> 63:
            self.large[row] = amount
        else:
            self.pico[row] = amount or 0
        self.flags[row] = self.code(billed.flags)


_KEYS_MAX: Final = 1 << 40


def group_keys(lot: Lot, names: tuple[str, ...]) -> Ints:
    """Return a number for each entry that is the same where all these columns are."""
    keys = np.zeros(lot.rows, np.int64)
    size = 1
    for name in names:
        if not lot.has(name):
            continue
        encoded = lot.column(name).dictionary_encode(null_encoding="encode")
        values = len(encoded.dictionary)
        if values <= 1:
            continue
        if size * values > _KEYS_MAX:
            found, keys = np.unique(keys, return_inverse=True)
            size = len(found)
        keys = keys * values + encoded.indices.to_numpy(zero_copy_only=False)
        size *= values
    return keys


def equals(lot: Lot, name: str, value: str) -> Bools:
    """Return which entries have a value in a column."""
    if not lot.has(name):
        return np.zeros(lot.rows, np.bool_)
    same = _equal(lot.column(name), value)
    return bools(same.fill_null(False))


def bools(array: Any) -> Bools:
    """Return an array of booleans as numpy's."""
    return np.asarray(array.to_numpy(zero_copy_only=False), np.bool_)


def pico_of(array: Any) -> tuple[Ints, Bools, Bools]:
    """Return amounts as 64 bits, whether each fits into them, and whether it is known."""
    flat: Ints = np.frombuffer(array.buffers()[1], dtype="<i8")
    halves = flat[2 * array.offset : 2 * (array.offset + len(array))].reshape(-1, 2)
    low, high = halves[:, 0], halves[:, 1]
    known = bools(array.is_valid()) if array.null_count else np.ones(len(array), np.bool_)
    return low, (high == low >> 63) & (low < LARGEST), known
