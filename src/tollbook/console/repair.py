"""Decisions of the operator that are carried out while no ledger process runs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from tollbook.books.store import open_books
from tollbook.console.ledgerfile import open_ledger
from tollbook.console.upkeep import rerate_answer, verify_answer
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.errors import NoLedgerError
from tollbook.ledger.store import LEDGER_FILE, connect_readonly
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.reports.params import Pairs


def rerate_files(
    config: Config,
    data_dir: Path,
    config_path: Path | None,
    environ: Mapping[str, str],
    pairs: Pairs,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Preview or book what today's price cards change; see :func:`rerate_answer`.

    Raises:
        LedgerFileError: there is no ledger, another process has it, or it cannot be used.
    """
    _must_exist(data_dir)
    with open_ledger(config, data_dir, config_path) as files:
        return rerate_answer(files, config, config_path, environ, pairs, progress)


def verify_files(
    config: Config, data_dir: Path, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    """Check the whole ledger.

    Raises:
        LedgerFileError: there is no ledger, another process has it, or it cannot be used.
    """
    path = data_dir / LEDGER_FILE
    with (
        closing(connect_readonly(path, memory_limit=config.ledger.memory_limit)) as connection,
        open_books(data_dir) as books,
    ):
        return verify_answer(connection, BooksShelf(books), data_dir, progress, books=books)


def _must_exist(data_dir: Path) -> None:
    """Refuse to make an empty ledger where a mistyped directory was meant."""
    path = data_dir / LEDGER_FILE
    if not path.exists():
        raise NoLedgerError(path)


def skip_corrupt_files(
    config: Config, data_dir: Path, config_path: Path | None
) -> list[dict[str, Any]]:
    """Give up the damaged part of every writer's spool; return ``writer`` and ``skipped_bytes``.

    Raises:
        LedgerFileError: another process has the ledger, or the file cannot be used.
        SpoolError: a file cannot be read.
    """
    _must_exist(data_dir)
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
