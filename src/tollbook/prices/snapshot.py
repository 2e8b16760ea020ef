"""The snapshot of the price list that comes with Tollbook, for where ``genai-prices`` is absent.

It is package data, read as a module is; ``tools/price_snapshot.py`` writes it anew.
"""

from __future__ import annotations

import pkgutil
import zlib
from typing import Final

import msgspec

from tollbook.prices.listed import PriceList

FILE: Final = "list_prices.json.gz"
_GZIP: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 9
_NOT_PACKED: Final = "Tollbook is not installed whole: its price list is missing"


def snapshot_list() -> PriceList:
    """Return the list as it was taken over when this version of Tollbook was made."""
    packed = pkgutil.get_data("tollbook.prices", FILE)
    assert packed is not None, _NOT_PACKED
    return unpacked(packed)


def packed(prices: PriceList) -> bytes:
    """Return a list as the file holds it; the same list is always the same bytes."""
    text = msgspec.json.encode(prices, order="deterministic")
    pack = zlib.compressobj(_LEVEL, wbits=_GZIP)
    return pack.compress(text) + pack.flush()


def unpacked(data: bytes) -> PriceList:
    """Return the list that :func:`packed` made bytes of."""
    return msgspec.json.decode(zlib.decompress(data, wbits=_GZIP), type=PriceList)
