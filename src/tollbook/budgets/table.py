"""What each owner has spent and holds, in memory that all workers of a host share.

A file that every process maps: fixed slots, found by hash. Each change is made under a lock on the
file that the kernel lets go of when a process dies, however it dies. Each life of a worker has a
place of its own in every slot, for what it holds and what it has spent: when it dies, the ledger
process puts what the life did come to, as it is booked, in the place of both
(:mod:`tollbook.budgets.bookkeeping`), and nothing is let go of before. Settling adds to what is
spent before it lets go of the hold: whoever dies in between leaves too much counted for a moment,
never too little.

The numbers are exact integers (pico, tokens, calls). The table holds no truth of its own: it is
made from the ledger (``tollbook.budgets.seed``) and lives as long as the host runs.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.budgets.ring import RING_BYTES
from tollbook.budgets.rules import KEY_BYTES
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = b"tollbook budgets 2\n".ljust(32, b"\0")
PLACES_MAX: Final = 128
"""Lives of workers at once, those among them that have ended and are not booked yet."""
SLOTS: Final = 16_384
_PROBES_MAX: Final = 256
_NAME_BYTES: Final = 128
_PLACES: Final = 64
"""Where the names of the places' owners begin; before them the count of places ever used."""
_COUNT: Final = len(MAGIC)
_KEYS: Final = 20_480
_KEY_STRIDE: Final = KEY_BYTES + 8
_SLOT_AT: Final = 425_984
_SLOT_BYTES: Final = 4096
"""A slot is a page: a table with few owners takes little memory."""
_BIG_BYTES: Final = 16
_BASE: Final = 0
_GRANTED: Final = _BASE + _BIG_BYTES
_LIMIT: Final = _GRANTED + _BIG_BYTES
_WANTED: Final = _LIMIT + _BIG_BYTES
_RING: Final = _WANTED + 8
_SPENT: Final = _RING + RING_BYTES
_HELD: Final = _SPENT + 8 * PLACES_MAX
_ELSEWHERE: Final = _HELD + 8 * PLACES_MAX
_FILE_BYTES: Final = _SLOT_AT + SLOTS * _SLOT_BYTES
_INT64_MAX: Final = 2**63 - 1
_EMPTY: Final = bytes(KEY_BYTES)
_ABSENT: Final = (-1).to_bytes(_BIG_BYTES, "little", signed=True)
_int64 = struct.Struct("<q")
_columns = tuple(struct.Struct(f"<{count}q") for count in range(PLACES_MAX + 1))


class BudgetTableError(TollbookError):
    """The shared counters cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}; it is made anew when the ledger process starts")


class Standing(NamedTuple):
    """Where one owner stands in one window."""

    spent: int
    held: int
    """By all workers."""

    @property
    def taken(self) -> int:
        """Spent or held."""
        return self.spent + self.held


class BudgetTable:
    """One mapping of the file. Slots are numbers; everything about them wants :meth:`locked`.

    Raises:
        BudgetTableError: the file is missing, or is no table of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise BudgetTableError(path, error.strerror or "cannot be opened") from error
        found = os.fstat(self._fd)
        self.inode = found.st_ino
        if found.st_size != _FILE_BYTES:
            os.close(self._fd)
            raise BudgetTableError(path, "is no table of budgets of this version")
        self._map = mmap.mmap(self._fd, _FILE_BYTES)
        if self._map[: len(MAGIC)] != MAGIC:
            self.close()
            raise BudgetTableError(path, "is no table of budgets of this version")

    def close(self) -> None:
        """Unmap."""
        self._map.close()
        os.close(self._fd)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other mappings out for some microseconds, those of this process too.

        The lock is of the open file (flock): a process's own (lockf) would be lost when another
        thread of it closes another mapping of the table.
        """
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    # places

    def claim(self, writer: str) -> int | None:
        """Return the place of a worker's life, by its spool writer's name; None: none is free."""
        name = writer.encode()[: _NAME_BYTES - 1].ljust(_NAME_BYTES, b"\0")
        free = None
        for place, owner in enumerate(self._names()):
            if owner == name:
                return place
            if free is None and not owner[0]:
                free = place
        if free is not None:
            at = _PLACES + free * _NAME_BYTES
            self._map[at : at + _NAME_BYTES] = name
            if free >= self.places:
                _int64.pack_into(self._map, _COUNT, free + 1)
        return free

    def claimed(self) -> dict[str, int]:
        """Return who has which place: spool writers, alive or not."""
        return {
            owner.rstrip(b"\0").decode(): place
            for place, owner in enumerate(self._names())
            if owner[0]
        }

    def vacate(self, place: int) -> None:
        """Give a place free whose columns are zero in every slot."""
        at = _PLACES + place * _NAME_BYTES
        self._map[at : at + _NAME_BYTES] = bytes(_NAME_BYTES)

    @property
    def places(self) -> int:
        """How many columns may hold anything."""
        count: int = _int64.unpack_from(self._map, _COUNT)[0]
        return min(max(0, count), PLACES_MAX)

    def _names(self) -> Iterator[bytes]:
        for at in range(_PLACES, _PLACES + PLACES_MAX * _NAME_BYTES, _NAME_BYTES):
            yield self._map[at : at + _NAME_BYTES]

    # slots

    def find(self, key: bytes, end_s: int, now_s: int) -> int | None:
        """Return the slot of a key, taking a free or a passed one for it while its window lasts.

        None when there is none. An end later than the slot's own becomes the slot's.
        """
        data = self._map
        free = None
        at = int.from_bytes(key[:8], "little") % SLOTS
        for _ in range(_PROBES_MAX):
            base = _KEYS + at * _KEY_STRIDE
            found = data[base : base + KEY_BYTES]
            if found == key:
                if _int64.unpack_from(data, base + KEY_BYTES)[0] < end_s:
                    _int64.pack_into(data, base + KEY_BYTES, end_s)
                return at
            if found == _EMPTY:
                return self._take(at if free is None else free, key, end_s, now_s)
            if free is None:
                (slot_end_s,) = _int64.unpack_from(data, base + KEY_BYTES)
                if slot_end_s <= now_s and not any(self.column(at, _HELD)):
                    free = at
            at = (at + 1) % SLOTS
        return None if free is None else self._take(free, key, end_s, now_s)

    def look(self, key: bytes) -> int | None:
        """Return the slot of a key, None where it has none; takes none."""
        at = int.from_bytes(key[:8], "little") % SLOTS
        for _ in range(_PROBES_MAX):
            base = _KEYS + at * _KEY_STRIDE
            found = self._map[base : base + KEY_BYTES]
            if found == key:
                return at
            if found == _EMPTY:
                return None
            at = (at + 1) % SLOTS
        return None

    def _take(self, at: int, key: bytes, end_s: int, now_s: int) -> int | None:
        if end_s <= now_s:
            return None
        data = self._map
        start = _SLOT_AT + at * _SLOT_BYTES
        data[start : start + _SLOT_BYTES] = bytes(_SLOT_BYTES)
        data[start + _GRANTED : start + _GRANTED + _BIG_BYTES] = _ABSENT
        base = _KEYS + at * _KEY_STRIDE
        _int64.pack_into(data, base + KEY_BYTES, end_s)
        data[base : base + KEY_BYTES] = key
        return at

    def used(self) -> Iterator[int]:
        """Yield the slots that belong to a key."""
        keys = self._map[_KEYS : _KEYS + SLOTS * _KEY_STRIDE]
        for at in range(SLOTS):
            if keys[at * _KEY_STRIDE : at * _KEY_STRIDE + KEY_BYTES] != _EMPTY:
                yield at

    def key(self, slot: int) -> bytes:
        """Return whose slot it is."""
        at = _KEYS + slot * _KEY_STRIDE
        return self._map[at : at + KEY_BYTES]

    def end_s(self, slot: int) -> int:
        """Return when the slot's window ends, seconds since the epoch."""
        end_s: int = _int64.unpack_from(self._map, _KEYS + slot * _KEY_STRIDE + KEY_BYTES)[0]
        return end_s

    def standing(self, slot: int) -> Standing:
        """Return what is spent and held in a slot."""
        start = _SLOT_AT + slot * _SLOT_BYTES
        columns = _columns[self.places]
        spent = self._big(slot, _BASE) + sum(columns.unpack_from(self._map, start + _SPENT))
        return Standing(spent, sum(columns.unpack_from(self._map, start + _HELD)))

    def column(self, slot: int, which: int = _HELD) -> tuple[int, ...]:
        """Return what each place holds (or has spent) in a slot."""
        at = _SLOT_AT + slot * _SLOT_BYTES + which
        return _columns[self.places].unpack_from(self._map, at)

    def hold(self, slot: int, place: int, amount: int) -> None:
        """Add to what a place holds; negative lets go. Stays at what 64 bits can say."""
        at = _SLOT_AT + slot * _SLOT_BYTES + _HELD + 8 * place
        (held,) = _int64.unpack_from(self._map, at)
        _int64.pack_into(self._map, at, min(max(0, held + amount), _INT64_MAX))

    def spend_by(self, slot: int, place: int, amount: int) -> None:
        """Add to what a place has spent."""
        at = _SLOT_AT + slot * _SLOT_BYTES + _SPENT + 8 * place
        (spent,) = _int64.unpack_from(self._map, at)
        if abs(spent + amount) > _INT64_MAX:  # nine million dollars: kept, if not by whom
            self.spend(slot, amount)
        else:
            _int64.pack_into(self._map, at, spent + amount)

    def spend(self, slot: int, amount: int) -> None:
        """Add to what no place has spent; negative takes back."""
        self.set_base(slot, self.base(slot) + amount)

    def base(self, slot: int) -> int:
        """Return what is spent and no place's."""
        return self._big(slot, _BASE)

    def set_base(self, slot: int, amount: int) -> None:
        """Set what is spent and no place's."""
        self._set_big(slot, _BASE, amount)

    def clear_place(self, slot: int, place: int) -> None:
        """Forget what a place holds and has spent."""
        start = _SLOT_AT + slot * _SLOT_BYTES
        _int64.pack_into(self._map, start + _SPENT + 8 * place, 0)
        _int64.pack_into(self._map, start + _HELD + 8 * place, 0)

    def reset(self, slot: int) -> None:
        """Forget what is spent, by whomever; what is held stays."""
        start = _SLOT_AT + slot * _SLOT_BYTES
        self.set_base(slot, 0)
        self._map[start + _RING : start + _HELD] = bytes(_HELD - _RING)

    def ring(self, slot: int) -> tuple[mmap.mmap, int]:
        """Return the mapping and where in it the slot's parts of a rolling window lie."""
        return self._map, _SLOT_AT + slot * _SLOT_BYTES + _RING

    # several hosts

    def granted(self, slot: int) -> int | None:
        """Return how much of its limit this host may use, None where nobody has said."""
        found = self._big(slot, _GRANTED)
        return None if found < 0 else found

    def set_granted(self, slot: int, amount: int | None) -> None:
        """Say how much of its limit this host may use in all."""
        self._set_big(slot, _GRANTED, -1 if amount is None else max(0, amount))

    def elsewhere(self, slot: int) -> int | None:
        """Return what other hosts have spent at the least, None where nobody can say."""
        found = self._big(slot, _ELSEWHERE)
        return None if found < 0 else found

    def set_elsewhere(self, slot: int, amount: int | None) -> None:
        """Say what other hosts have spent; None: whoever grants cannot be reached."""
        self._set_big(slot, _ELSEWHERE, -1 if amount is None else max(0, amount))

    def limit(self, slot: int) -> int:
        """Return the limit that was last asked of, top-ups included; 0 before the first call."""
        return self._big(slot, _LIMIT)

    def set_limit(self, slot: int, amount: int) -> None:
        """Note a slot's limit, for whoever leases parts of it to hosts."""
        self._set_big(slot, _LIMIT, amount)

    def wanted(self, slot: int) -> int:
        """Return what a waiting call lacks of the grant."""
        found: int = _int64.unpack_from(self._map, _SLOT_AT + slot * _SLOT_BYTES + _WANTED)[0]
        return found

    def want(self, slot: int, amount: int) -> None:
        """Say that a waiting call lacks so much; the most that any lacks is kept."""
        at = _SLOT_AT + slot * _SLOT_BYTES + _WANTED
        (before,) = _int64.unpack_from(self._map, at)
        _int64.pack_into(self._map, at, max(before, min(amount, _INT64_MAX)))

    def take_wanted(self, slot: int) -> int:
        """Return what a waiting call lacks, and forget it."""
        found = self.wanted(slot)
        _int64.pack_into(self._map, _SLOT_AT + slot * _SLOT_BYTES + _WANTED, 0)
        return found

    def _big(self, slot: int, which: int) -> int:
        at = _SLOT_AT + slot * _SLOT_BYTES + which
        return int.from_bytes(self._map[at : at + _BIG_BYTES], "little", signed=True)

    def _set_big(self, slot: int, which: int, amount: int) -> None:
        at = _SLOT_AT + slot * _SLOT_BYTES + which
        self._map[at : at + _BIG_BYTES] = amount.to_bytes(_BIG_BYTES, "little", signed=True)


def create_table(path: Path) -> BudgetTable:
    """Make an empty table under a temporary name; ``seed_table`` puts it in place."""
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(MAGIC)
        file.truncate(_FILE_BYTES)
    return BudgetTable(path)
