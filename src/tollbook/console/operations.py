"""What the running ledger can be asked to do."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.console.booking import booked_calls
from tollbook.console.status import read_status
from tollbook.console.upkeep import rerate_answer, verify_answer
from tollbook.reports.errors import QueryError
from tollbook.reports.params import gather

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.console.ledgerfile import LedgerFiles
    from tollbook.console.pump import Pump
    from tollbook.reports.params import Pairs
    from tollbook.reports.reader import Reader

_CATCH_UP_TIMEOUT_S: Final = 600.0


class Settings(NamedTuple):
    """The settings of the process, and how to read them anew."""

    config: Config
    config_path: Path | None
    environ: Mapping[str, str]
    data_dir: Path


class LedgerOperations:
    """Operations on an open ledger; callable from any thread."""

    def __init__(self, files: LedgerFiles, reader: Reader, pump: Pump, settings: Settings) -> None:
        self._files, self._reader, self._pump = files, reader, pump
        self._settings = settings

    def status(self) -> dict[str, Any]:
        """Return how far the ledger is, what it reads and what it has found wrong."""
        return read_status(self._reader, self._pump.problems)

    def ingest(self, pairs: Pairs) -> dict[str, Any]:
        """Read the spool up to the moment of the call, then return how far the ledger is.

        With ``writers``, names of spool writers with commas between, also how many calls are
        charged by what they wrote (``booked``).

        Raises:
            QueryError: ``until`` is anything but ``now``.
        """
        given, _ = gather(pairs, ("until", "writers"))
        if given.get("until", "now") != "now":
            raise QueryError("until", "only now is possible")
        is_complete = self._pump.catch_up(_CATCH_UP_TIMEOUT_S)
        answer = {"caught_up": is_complete} | self.status()
        if "writers" in given:
            answer["booked"] = booked_calls(self._reader, given["writers"].split(","))
        return answer

    def verify(self) -> dict[str, Any]:
        """Recompute everything and return the findings."""
        with closing(self._files.store.reader()) as connection:
            return verify_answer(
                connection, self._files.shelf, self._settings.data_dir, books=self._files.books
            )

    def rerate(self, pairs: Pairs) -> dict[str, Any]:
        """Preview or book what today's price cards change; see :func:`rerate_answer`."""
        config, config_path, environ, _ = self._settings
        return rerate_answer(self._files, config, config_path, environ, pairs)

    def skip_corrupt(self, pairs: Pairs) -> dict[str, Any]:
        """Give up the damaged part of a writer's spool (the operator's decision).

        Raises:
            QueryError: no writer is named.
            SpoolError: its files cannot be read.
        """
        given, _ = gather(pairs, ("writer",))
        if "writer" not in given:
            raise QueryError("writer", "name the writer whose damage is to be skipped")
        return {
            "writer": given["writer"],
            "skipped_bytes": self._pump.skip_corrupt(given["writer"]),
        }
