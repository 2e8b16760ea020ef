"""The durable, append-only hand-over between capture and the ledger."""

from tollbook.spool.errors import CorruptSegmentError, ForeignProcessError, SpoolError
from tollbook.spool.frame import Framed
from tollbook.spool.reader import Chunk, Position, SpoolReader, TornTail, WriterState
from tollbook.spool.retention import Pruned, prune
from tollbook.spool.writer import SpoolHealth, SpoolWriter, new_writer_name

__all__ = [
    "Chunk",
    "CorruptSegmentError",
    "ForeignProcessError",
    "Framed",
    "Position",
    "Pruned",
    "SpoolError",
    "SpoolHealth",
    "SpoolReader",
    "SpoolWriter",
    "TornTail",
    "WriterState",
    "new_writer_name",
    "prune",
]
