"""What each owner has spent and holds, in memory that all workers of a host share.

A file that every process maps: fixed slots, found by hash. Each change is made under a lock on the
file that the kernel lets go of when a process dies, however it dies. A worker has its own place for
holds in every slot, so that what a dead worker held is dropped when it comes back, and not before.
Settling adds to what is spent before it lets go of the hold: whoever dies in between leaves too
much counted for a moment, never too little.

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

from tollbook.budgets.rules import KEY_BYTES
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = b"tollbook budgets 1\n".ljust(32, b"\0")
WORKERS_MAX: Final = 128
SLOTS: Final = 16_384
_PROBES_MAX: Final = 256
_SPENT_BYTES: Final = 16
_END: Final = KEY_BYTES
_SPENT: Final = _END + 8
_HELD: Final = _SPENT + _SPENT_BYTES
_SLOT_BYTES: Final = _HELD + 8 * WORKERS_MAX
_FILE_BYTES: Final = len(MAGIC) + SLOTS * _SLOT_BYTES
_HELD_MAX: Final = 2**63 - 1
_EMPTY: Final = bytes(KEY_BYTES)
_end = struct.Struct("<q")
_holds = struct.Struct(f"<{WORKERS_MAX}q")


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
    """One mapping of the file.

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
        """Keep all other processes out for some microseconds."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def find(self, key: bytes, end_s: int, now_s: int) -> int | None:
        """Return the slot of a key, taking a free or a passed one for it while its window lasts.

        None when there is none. To be called under :meth:`locked`.
        """
        data = self._map
        free = None
        at = int.from_bytes(key[:8], "little") % SLOTS
        for _ in range(_PROBES_MAX):
            base = len(MAGIC) + at * _SLOT_BYTES
            found = data[base : base + KEY_BYTES]
            if found == key:
                return base
            if found == _EMPTY:
                return self._take(base if free is None else free, key, end_s, now_s)
            if free is None:
                (slot_end_s,) = _end.unpack_from(data, base + _END)
                if slot_end_s <= now_s and not any(_holds.unpack_from(data, base + _HELD)):
                    free = base
            at = (at + 1) % SLOTS
        return None if free is None else self._take(free, key, end_s, now_s)

    def _take(self, base: int, key: bytes, end_s: int, now_s: int) -> int | None:
        if end_s <= now_s:
            return None
        data = self._map
        data[base + _END : base + _SLOT_BYTES] = bytes(_SLOT_BYTES - _END)
        _end.pack_into(data, base + _END, end_s)
        data[base : base + KEY_BYTES] = key
        return base

    def standing(self, slot: int) -> Standing:
        """Return what is spent and held in a slot."""
        data = self._map
        spent = int.from_bytes(data[slot + _SPENT : slot + _HELD], "little", signed=True)
        return Standing(spent, sum(_holds.unpack_from(data, slot + _HELD)))

    def hold(self, slot: int, worker: int, amount: int) -> None:
        """Add to what a worker holds; negative lets go. Stays at what 64 bits can say."""
        at = slot + _HELD + 8 * worker
        (held,) = _end.unpack_from(self._map, at)
        _end.pack_into(self._map, at, min(max(0, held + amount), _HELD_MAX))

    def spend(self, slot: int, amount: int) -> None:
        """Add to what is spent; negative takes back."""
        data = self._map
        spent = int.from_bytes(data[slot + _SPENT : slot + _HELD], "little", signed=True)
        data[slot + _SPENT : slot + _HELD] = (spent + amount).to_bytes(
            _SPENT_BYTES, "little", signed=True
        )

    def forget_holds(self, worker: int) -> None:
        """Drop what a worker's earlier life held."""
        with self.locked():
            for slot in self.used():
                _end.pack_into(self._map, slot + _HELD + 8 * worker, 0)

    def used(self) -> Iterator[int]:
        """Yield the slots that belong to a key; to be called under :meth:`locked`."""
        for at in range(SLOTS):
            base = len(MAGIC) + at * _SLOT_BYTES
            if self._map[base : base + KEY_BYTES] != _EMPTY:
                yield base


def create_table(path: Path) -> BudgetTable:
    """Make an empty table under a temporary name; :func:`publish` puts it in place."""
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(MAGIC)
        file.truncate(_FILE_BYTES)
    return BudgetTable(path)
