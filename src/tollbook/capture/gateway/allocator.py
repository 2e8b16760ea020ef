"""Keeps memory that bodies came in, instead of giving it back to the system and asking again.

By default glibc gives back what is free at the top of the heap as soon as it is 128 KB (mallopt(3),
``M_TRIM_THRESHOLD``). Bodies of 50 KB pass that mark up and down with each call, and each time the
kernel has to find and clear the pages again: a dozen page faults, about 20 microseconds a call.
"""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Free memory that a worker may hold on to."""
_MAPPED_BYTES: Final = 4 * 1024 * 1024
"""Larger blocks are mapped one by one, and given back when they are free."""


def keep_freed_memory() -> bool:
    """Set up the allocator of this process; False where it is not glibc's."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES))
