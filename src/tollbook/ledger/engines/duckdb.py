"""DuckDB: open the file with fixed settings, and say in one line why it cannot be opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import duckdb

from tollbook.ledger.errors import LedgerFileError, LedgerInUseError, NoLedgerError, NotALedgerError

if TYPE_CHECKING:
    from pathlib import Path

_LOCK_HOLDER: Final = re.compile(r"\(PID (\d+)\)")
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    # Nothing is fetched from or installed over the network.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "arrow_lossless_conversion": True,
    # A checkpoint rewrites the row group that is still filling: do it seldom.
    "checkpoint_threshold": "256MB",
}


def connect(
    path: Path, *, read_only: bool, memory_limit: str | None, threads: int | None
) -> duckdb.DuckDBPyConnection:
    """Open (or, when not read-only, create) the file.

    Raises:
        LedgerInUseError: another process has it open.
        NoLedgerError: it does not exist and would only be read.
        NotALedgerError: it is no DuckDB file, or of a DuckDB that this one cannot read.
        LedgerFileError: the directory or file cannot be used.
    """
    if read_only and not path.exists():
        raise NoLedgerError(path)
    settings = dict(_SETTINGS)
    if memory_limit:
        settings["memory_limit"] = memory_limit
    if threads:
        settings["threads"] = threads
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=settings)
    except duckdb.Error as error:
        raise _explained(path, str(error)) from error
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _explained(path: Path, problem: str) -> LedgerFileError:
    first = problem.splitlines()[0].partition(": ")[2] or problem.splitlines()[0]
    if "set lock on file" in problem:
        holder = _LOCK_HOLDER.search(problem)
        return LedgerInUseError(path, holder[1] if holder else None)
    if "not a valid DuckDB" in problem or "version" in problem or "Serialization" in problem:
        return NotALedgerError(path, first)
    return LedgerFileError(
        path, f"cannot be opened: {first}", "check the owner, mode and disk of the data directory"
    )
