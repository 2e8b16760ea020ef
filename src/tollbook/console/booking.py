"""Read the spool into the ledger while no ledger process runs, and what came of one writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.console.ledgerfile import open_ledger
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.reports.reader import Reader

_BOOKED: Final = "SELECT coalesce(sum(calls), 0) FROM entries WHERE list_contains(?, spool_writer)"


def booked_calls(reader: Reader, writers: Sequence[str]) -> int:
    """Return how many calls are charged by what writers wrote, corrections counted off."""
    return int(reader.fetch(_BOOKED, [list(writers)])[0][0])


def book_files(
    config: Config, data_dir: Path, config_path: Path | None, writers: Sequence[str]
) -> int:
    """Read the spool to its end; return how many calls are charged by some writers' frames.

    Raises:
        LedgerFileError: another process has the ledger, or the file cannot be used.
        SpoolError: the spool cannot be read.
    """
    with open_ledger(config, data_dir, config_path) as files:
        while True:
            result = files.ingester.step()
            if result.at_end or not result.frames:
                break
        connection = files.store.reader()
        try:
            return booked_calls(DuckdbReader(connection), writers)
        finally:
            connection.close()
