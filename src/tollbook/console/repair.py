"""Decisions of the operator that are carried out while no ledger process runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.console.ledgerfile import open_ledger
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.config import Config


def skip_corrupt_files(
    config: Config, data_dir: Path, config_path: Path | None
) -> list[dict[str, Any]]:
    """Give up the damaged part of every writer's spool; return ``writer`` and ``skipped_bytes``.

    Raises:
        LedgerFileError: another process has the ledger, or the file cannot be used.
        SpoolError: a file cannot be read.
    """
    skipped: list[dict[str, Any]] = []
    with open_ledger(config, data_dir, config_path) as files:
        connection = files.store.reader()
        try:
            reader = DuckdbReader(connection)
            while True:
                # A step finds the damage; behind one part there may be another.
                result = files.ingester.step()
                damaged = reader.fetch("SELECT writer FROM spool_positions WHERE state = 'corrupt'")
                for (writer,) in damaged:
                    given_up = files.ingester.skip_corrupt(writer)
                    skipped.append({"writer": writer, "skipped_bytes": given_up})
                if not damaged and (result.at_end or not result.frames):
                    return skipped
        finally:
            connection.close()
