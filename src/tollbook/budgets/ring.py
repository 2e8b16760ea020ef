"""A rolling window within a slot of the table: what each of its parts has spent.

The window's sixtieths and the one under way: what was spent at a moment counts for the whole
window and up to a sixtieth longer, never shorter. The slot's base is the sum of the parts; it is
made anew whenever time moves on, so that a process that died between two writes leaves no trace.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tollbook.budgets.window import BUCKETS

if TYPE_CHECKING:
    from tollbook.budgets.table import BudgetTable

_PARTS: Final = BUCKETS + 1
RING_BYTES: Final = 8 + 8 * _PARTS
"""Number of the latest part, then the parts."""
_INT64_MAX: Final = 2**63 - 1
_int64 = struct.Struct("<q")
_parts = struct.Struct(f"<{_PARTS}q")


def roll(table: BudgetTable, slot: int, bucket: int) -> None:
    """Move on to the part that is under way; parts that have passed out of the window are dropped.

    ``bucket`` is seconds since the epoch over the seconds of a part. A clock that goes back moves
    nothing.
    """
    data, at = table.ring(slot)
    (latest,) = _int64.unpack_from(data, at)
    if bucket <= latest:
        return
    parts = list(_parts.unpack_from(data, at + 8))
    for passed in range(max(latest + 1, bucket - _PARTS + 1), bucket + 1):
        parts[passed % _PARTS] = 0
    _parts.pack_into(data, at + 8, *parts)
    _int64.pack_into(data, at, bucket)
    table.set_base(slot, sum(parts))


def part_length_s(table: BudgetTable, slot: int) -> int:
    """Return the seconds of a part, 0 where the slot's window does not roll.

    A slot ends when its latest part has passed out of the window.
    """
    data, at = table.ring(slot)
    (latest,) = _int64.unpack_from(data, at)
    return table.end_s(slot) // (latest + _PARTS) if latest > 0 else 0


def spend_in(table: BudgetTable, slot: int, bucket: int, amount: int) -> None:
    """Add to what was spent in a part; nothing where it has passed out of the window."""
    data, at = table.ring(slot)
    (latest,) = _int64.unpack_from(data, at)
    if bucket > latest:
        roll(table, slot, bucket)
    elif bucket <= latest - _PARTS:
        return
    place = at + 8 + 8 * (bucket % _PARTS)
    (before,) = _int64.unpack_from(data, place)
    after = max(-_INT64_MAX, min(before + amount, _INT64_MAX))
    _int64.pack_into(data, place, after)
    table.set_base(slot, table.base(slot) + after - before)


def free_at(table: BudgetTable, slot: int, bucket_s: int, too_much: int) -> int | None:
    """Return when so much of what is spent has passed (seconds since the epoch), None for never."""
    data, at = table.ring(slot)
    (latest,) = _int64.unpack_from(data, at)
    parts = _parts.unpack_from(data, at + 8)
    passed = 0
    for bucket in range(latest - _PARTS + 1, latest + 1):
        passed += parts[bucket % _PARTS]
        if passed >= too_much:
            return (bucket + _PARTS) * bucket_s
    return None
