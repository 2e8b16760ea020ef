"""What can be wrong with a ledger file, each in one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path


class LedgerFileError(TollbookError):
    """The ledger file cannot be opened or used."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}; {advice}")


class NoLedgerError(LedgerFileError):
    """Nothing was ever booked in this data directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "no ledger here yet", "start one with tollbook up, or check --data")


class LedgerInUseError(LedgerFileError):
    """Another process has the file open."""

    def __init__(self, path: Path, pid: str | None) -> None:
        self.pid = pid
        who = f"process {pid} has it open" if pid else "another process has it open"
        super().__init__(path, who, "if that is a running ledger, ask it; else stop it first")


class NewerDatabaseError(LedgerFileError):
    """The file was written by a later version of Tollbook."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(
            path,
            f"ledger schema version {found} is newer than this tollbook knows ({known})",
            "upgrade tollbook",
        )


class OlderDatabaseError(LedgerFileError):
    """The file must be migrated, which reading does not do."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            path,
            f"ledger schema version {found} is older than this tollbook reads ({known})",
            "start tollbook up once, it migrates the file",
        )


class NotALedgerError(LedgerFileError):
    """A DuckDB file of something else, or no DuckDB file at all."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, f"not a ledger: {problem}", "move the file away or choose --data")
