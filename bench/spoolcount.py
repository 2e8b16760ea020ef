"""Count the calls of a spool directory through the reader that the ledger uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.call import CallClosed
from tollbook.spool import Position, SpoolReader

if TYPE_CHECKING:
    from pathlib import Path


def closed_calls(root: Path) -> int:
    """Return how many close frames all writers have written."""
    reader = SpoolReader(root)
    count = 0
    for writer in reader.writers():
        position = Position(writer.name)
        while True:
            chunk = reader.read(position, 8 * 1024 * 1024)
            count += sum(isinstance(framed[0], CallClosed) for framed in chunk.frames)
            position = chunk.next
            if chunk.at_end:
                break
    return count
