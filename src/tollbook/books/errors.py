"""What can be wrong with the books, each in one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path


class BooksError(TollbookError):
    """The database file cannot be used."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}; {advice}")


class NewerDatabaseError(BooksError):
    """The database was written by a newer version of the program."""

    def __init__(self, path: Path, found: str, known: str) -> None:
        self.found, self.known = found, known
        super().__init__(
            path,
            f"its schema version {found} is newer than the {known} that this tollbook knows",
            "upgrade tollbook, or restore the backup made before the upgrade",
        )


class KeyInputError(TollbookError):
    """A value given for a virtual key that cannot be used."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


class LabelTakenError(TollbookError):
    """A label names one key for ever, so that old reports stay readable."""

    def __init__(self, label: str, api_key_id: str) -> None:
        super().__init__(f"label {label}: already names {api_key_id}; choose another label")


class KeyNotFoundError(TollbookError):
    """No virtual key has this id or label."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: no virtual key with this id or label; see: tollbook keys list")
