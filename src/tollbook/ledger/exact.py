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
    words = np.zeros((len(pico), 2), dtype="<i8")
    words[:, 0] = pico
    words[:, 1] = pico >> 63  # the sign, in two's complement
    if missing is None or not missing.any():
        return pa.Array.from_buffers(MONEY_ARROW, len(pico), [None, _buffer(words)])
    words[missing] = 0
    valid = np.packbits(~missing, bitorder="little")
    return pa.Array.from_buffers(
        MONEY_ARROW,
        len(pico),
        [_buffer(valid), _buffer(words)],
        int(missing.sum()),
    )


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


def pico_list(array: Any) -> list[int | None]:
    """Return the amounts of a DECIMAL(38,12) array (or chunked array) in pico; NULL is None."""
    return [
        pico
        for chunk in (array.chunks if isinstance(array, pa.ChunkedArray) else [array])
        for pico in _chunk_pico(chunk)
    ]


def _chunk_pico(chunk: Any) -> list[int | None]:
    words = np.frombuffer(chunk.buffers()[1], dtype="<i8")[
        2 * chunk.offset : 2 * (chunk.offset + len(chunk))
    ].reshape(-1, 2)
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
