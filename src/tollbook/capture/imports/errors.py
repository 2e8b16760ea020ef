"""What is wrong with an import: of a row, which is kept aside; of a file, which ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path


class RowError(Exception):
    """A row that is no call as it stands; ``field`` and ``reason`` are for its owner."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class NotACallError(Exception):
    """A row that tells of something else (a span, an event): passed over, and counted."""


class ImportFileError(TollbookError):
    """A file cannot be read; what was read before is taken."""

    def __init__(self, path: Path, problem: str, line: int | None = None) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}")


class ImportSpoolError(TollbookError):
    """The rows cannot be written down."""

    def __init__(self, problem: str | None) -> None:
        super().__init__(
            f"the rows cannot be written into the data directory: {problem or 'unknown'}; make"
            " room and run the same command again, it goes on where it stopped"
        )


class MappingError(TollbookError):
    """A mapping cannot be used."""

    def __init__(self, path: Path, key: str, problem: str) -> None:
        where = f"{path}: {key}" if key else str(path)
        super().__init__(f"{where}: {problem}")
