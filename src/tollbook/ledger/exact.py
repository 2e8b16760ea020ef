"""Money between Python's integers and Arrow's decimals, exactly and without Decimal objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tollbook.ledger.schema import MONEY_ARROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_BYTES = 16
_buffer: Any = pa.py_buffer  # of a numpy array, which its stubs do not foresee
MONEY_MAX = 10**38 - 1
"""Largest amount, in pico, that DECIMAL(38,12) holds."""


def money_from_int64(pico: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None) -> Any:
    """Return a DECIMAL(38,12) array of amounts in pico; where ``missing`` is true, NULL."""
    return money_columns(pico.reshape(-1, 1), missing)[0]


def money_columns(pico: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None) -> list[Any]:
    """Return a DECIMAL(38,12) array for each column of amounts in pico.

    Args:
        pico: rows by columns.
        missing: rows in which every column is NULL; None for no such row.
    """
    rows, columns = pico.shape
    words = np.zeros((columns, rows, 2), dtype="<i8")
    words[:, :, 0] = pico.T
    words[:, :, 1] = pico.T >> 63  # the sign, in two's complement
    valid, nulls = None, 0
    if missing is not None and missing.any():
        words[:, missing] = 0
        valid, nulls = _buffer(np.packbits(~missing, bitorder="little")), int(missing.sum())
    data = _buffer(words)
    size = rows * _BYTES
    return [
        pa.Array.from_buffers(MONEY_ARROW, rows, [valid, data.slice(at * size, size)], nulls)
        for at in range(columns)
    ]


def money_array(pico: Sequence[int | None]) -> Any:
    """Return a DECIMAL(38,12) array of amounts in pico of any size; None is NULL.

    Raises:
        OverflowError: an amount of more than 38 digits.
    """
    try:
        values = np.fromiter((0 if one is None else one for one in pico), np.int64, len(pico))
    except OverflowError:
        if any(one is not None and abs(one) > MONEY_MAX for one in pico):
            raise
        data = b"".join((one or 0).to_bytes(_BYTES, "little", signed=True) for one in pico)
        valid = np.packbits([one is not None for one in pico], bitorder="little")
        return pa.Array.from_buffers(MONEY_ARROW, len(pico), [_buffer(valid), pa.py_buffer(data)])
    missing = np.fromiter((one is None for one in pico), np.bool_, len(pico))
    return money_from_int64(values, missing)


def pico_sum(array: Any) -> int:
    """Return the sum of a DECIMAL(38,12) array (or chunked array) in pico; NULL adds nothing."""
    total = 0
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        words = _words(chunk)
        if chunk.null_count:
            words = words[np.asarray(chunk.is_valid().to_numpy(zero_copy_only=False), np.bool_)]
        total += _sum(words[:, 0].view(np.uint64)) + (_sum(words[:, 1]) << 64)
    return total


def _sum(words: npt.NDArray[Any]) -> int:
    """Return the exact sum, by halves of a word, whose sums fit into 64 bits."""
    return (int((words >> 32).sum()) << 32) + int((words & 0xFFFFFFFF).sum())


def pico_list(array: Any) -> list[int | None]:
    """Return the amounts of a DECIMAL(38,12) array (or chunked array) in pico; NULL is None."""
    return [
        pico
        for chunk in (array.chunks if isinstance(array, pa.ChunkedArray) else [array])
        for pico in _chunk_pico(chunk)
    ]


def _chunk_pico(chunk: Any) -> list[int | None]:
    words = _words(chunk)
    low, high = words[:, 0], words[:, 1]
    if bool((high == low >> 63).all()):
        values: list[int | None] = low.tolist()
    else:
        values = [
            (above << 64) | (below & 0xFFFFFFFFFFFFFFFF)
            for below, above in zip(low.tolist(), high.tolist(), strict=True)
        ]
    if chunk.null_count:
        valid = chunk.is_valid().to_pylist()
        values = [value if good else None for value, good in zip(values, valid, strict=True)]
    return values


def _words(chunk: Any) -> npt.NDArray[np.int64]:
    """Return the two 64-bit halves of each amount, the low one first."""
    flat: npt.NDArray[np.int64] = np.frombuffer(chunk.buffers()[1], dtype="<i8")
    return flat[2 * chunk.offset : 2 * (chunk.offset + len(chunk))].reshape(-1, 2)
