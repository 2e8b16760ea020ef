"""The hash chain: each batch's hash covers its rows and the hash of the batch before.

A batch is hashed by column, in a form that does not depend on how the rows came to be in memory:
for each column its name, its null bitmap, and the values with nulls as zeros; text as lengths and
bytes; a column of nothing but nulls or zeros as one word. So the hash is the same for the columns
that are inserted and for the stored rows read back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

# What comes first of a column tells how to read the rest, so that no two columns look alike.
_NULLS, _ZEROS, _VALUES = b"null;", b"zero;", b"data;"

GENESIS = "0" * 64
"""What stands before the first batch."""


class BatchHead(NamedTuple):
    """What a batch says about itself, covered by its hash."""

    batch_id: int
    booked_at_us: int
    schema_version: int
    first_entry_id: int
    last_entry_id: int
    cost_pico: int
    previous_hash: str


def batch_hash(head: BatchHead, table: pa.Table, names: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of a batch: its head, then the named columns of its rows."""
    digest = hashlib.sha256("|".join(map(str, head)).encode())
    for name in names:
        digest.update(f"\n{name}:{table.num_rows}:".encode())
        for part in _canonical(table.column(name)):
            digest.update(part)
    return digest.hexdigest()


def _canonical(column: Any) -> list[Any]:
    array: Any = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(_chunks(column))
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count == len(array):
        return [_NULLS]
    valid = None
    parts: list[Any] = [_VALUES]
    if array.null_count:
        valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
        parts.append(np.packbits(valid))
    if pa.types.is_string(array.type):
        return parts + _text(array)
    if pa.types.is_boolean(array.type):
        array = pc.cast(array, pa.uint8())
    width = array.type.bit_width // 8
    values = np.frombuffer(array.buffers()[1], np.uint8)
    values = values[array.offset * width : (array.offset + len(array)) * width]
    if valid is not None:
        values = values.reshape(-1, width)
        if values.any():
            values = values.copy()
            values[~valid] = 0
    if not values.any():
        return [_ZEROS, *parts[1:]]
    return [*parts, np.ascontiguousarray(values)]


def _chunks(column: Any) -> list[Any]:
    return [
        chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks
    ]


def _text(array: Any) -> list[Any]:
    offsets: npt.NDArray[np.int32] = np.frombuffer(array.buffers()[1], np.int32)
    offsets = offsets[array.offset : array.offset + len(array) + 1]
    data = array.buffers()[2]
    text = b"" if data is None else memoryview(data)[int(offsets[0]) : int(offsets[-1])]
    return [np.diff(offsets), text]
