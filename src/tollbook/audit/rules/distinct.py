"""How many different values there are, in memory that does not grow with them.

Exact up to a few thousand; beyond that HyperLogLog (Flajolet and others, 2007): the values' hashes
are spread over registers, each keeps the longest run of zeros that it saw.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Final

_EXACT_MAX: Final = 2048
_RECENT_MAX: Final = 1024
_RECENT_CHARS: Final = 256
_BITS: Final = 12
_REGISTERS: Final = 1 << _BITS
_HASH_BITS: Final = 64
_ALPHA: Final = 0.7213 / (1 + 1.079 / _REGISTERS)


class Distinct:
    """Counts different texts; the standard error beyond two thousand of them is 1.6 %."""

    def __init__(self) -> None:
        self._exact: set[bytes] = set()
        self._registers: bytearray | None = None
        self._recent: set[str] = set()
        """Texts that were counted: the same few come again and again."""

    def add(self, value: str) -> bool:
        """Count a text; return whether it is certain that it is new."""
        if value in self._recent:
            return False
        if len(self._recent) >= _RECENT_MAX:
            self._recent.clear()
        if len(value) <= _RECENT_CHARS:
            self._recent.add(value)
        hashed = blake2b(value.encode(errors="replace"), digest_size=8).digest()
        if self._registers is None:
            is_new = hashed not in self._exact
            self._exact.add(hashed)
            if len(self._exact) > _EXACT_MAX:
                self._spread()
            return is_new
        self._register(hashed)
        return False

    @property
    def is_exact(self) -> bool:
        """Whether the number is no estimate."""
        return self._registers is None

    @property
    def number(self) -> int:
        """How many there were."""
        if self._registers is None:
            return len(self._exact)
        # Sums of powers of two: a statistic, no money
        mean = sum(math.ldexp(1.0, -rank) for rank in self._registers)
        estimate = _ALPHA * _REGISTERS * _REGISTERS / mean
        empty = self._registers.count(0)
        if estimate <= 2.5 * _REGISTERS and empty:
            estimate = _REGISTERS * math.log(_REGISTERS / empty)
        return round(estimate)

    def _spread(self) -> None:
        self._registers = bytearray(_REGISTERS)
        for hashed in self._exact:
            self._register(hashed)
        self._exact.clear()

    def _register(self, hashed: bytes) -> None:
        assert self._registers is not None
        number = int.from_bytes(hashed)
        at = number >> (_HASH_BITS - _BITS)
        rest = number & ((1 << (_HASH_BITS - _BITS)) - 1)
        rank = _HASH_BITS - _BITS - rest.bit_length() + 1
        self._registers[at] = max(self._registers[at], rank)
