"""Brings together what has one key, however much there is: in memory, else over files on disk.

Records are spread over files by a hash of their key, as a hash join does; each file is then small
enough to hold, or is spread once more. What is written are facts without content, in a directory
that only its owner can read and that goes when the work is done.
"""

from __future__ import annotations

import struct
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

FANOUT: Final = 64
_HELD_MAX_BYTES: Final = 64 * 1024 * 1024
_LEVELS_MAX: Final = 4
_OVERHEAD_BYTES: Final = 120
"""What a record costs in memory beside its bytes."""
_head = struct.Struct("<HI")
_BUFFER_BYTES: Final = 128 * 1024


class Grouping:
    """A multimap that spills. Use as a context; put everything, then read the groups once.

    Args:
        held_max_bytes: so much is held in memory; the size of a file that is read back too.
        level: how often its content was spread before.
    """

    def __init__(self, held_max_bytes: int = _HELD_MAX_BYTES, *, level: int = 0) -> None:
        self._max_bytes = held_max_bytes
        self._level = level
        self._held: dict[bytes, list[bytes]] = {}
        self._held_bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete what was written."""
        self.close()

    @property
    def is_spilled(self) -> bool:
        """Whether it was more than memory is given to."""
        return self._folder is not None

    def put(self, key: bytes, record: bytes) -> None:
        """Add a record; keys are at most 65,535 bytes."""
        if self._folder is not None:
            self._write(key, record)
            return
        self._held.setdefault(key, []).append(record)
        self._held_bytes += len(record) + _OVERHEAD_BYTES
        if self._held_bytes > self._max_bytes and self._level < _LEVELS_MAX:
            self._spill()

    def groups(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Yield each key with its records in the order of putting; each group once."""
        if self._folder is None:
            while self._held:
                yield self._held.popitem()
            return
        for at, file in enumerate(self._files):
            file.flush()
            with Grouping(self._max_bytes, level=self._level + 1) as part:
                file.seek(0)
                for key, record in _records(file):
                    part.put(key, record)
                file.truncate(0)
                self._files[at].close()
                yield from part.groups()

    def close(self) -> None:
        """Delete what was written; to call it twice does no harm."""
        for file in self._files:
            file.close()
        self._files.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        self._held.clear()

    def _spill(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tollbook-audit-")
        place = Path(self._folder.name)
        self._files = [
            (place / f"{at:02d}").open("w+b", buffering=_BUFFER_BYTES) for at in range(FANOUT)
        ]
        held, self._held = self._held, {}
        for key, records in held.items():
            for record in records:
                self._write(key, record)
        self._held_bytes = 0

    def _write(self, key: bytes, record: bytes) -> None:
        spread = blake2b(key, digest_size=1, person=bytes([self._level])).digest()[0] % FANOUT
        self._files[spread].write(_head.pack(len(key), len(record)) + key + record)


def _records(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while head := file.read(_head.size):
        key_bytes, record_bytes = _head.unpack(head)
        yield file.read(key_bytes), file.read(record_bytes)
