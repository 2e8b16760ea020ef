"""What can be wrong with a spool, each in one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path


class SpoolError(TollbookError):
    """A spool file or directory that cannot be used."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}; {advice}")

    @classmethod
    def of(cls, path: Path, doing: str, error: OSError) -> SpoolError:
        """Make the error of a failed system call; ``doing`` completes "cannot be ..."."""
        return cls(
            path,
            f"cannot be {doing}: {error.strerror or error}",
            "check the owner and mode of the data directory and its disk",
        )


class CorruptSegmentError(SpoolError):
    """Damage that is not a torn tail: frames were there and cannot be read."""

    def __init__(self, path: Path, offset: int, problem: str) -> None:
        self.offset = offset
        super().__init__(
            path,
            f"corrupt at byte {offset}: {problem}",
            "restore the file, or go on without the damaged part: tollbook doctor --skip-corrupt",
        )


class ForeignProcessError(TollbookError):
    """A spool writer was used in a forked child; two processes would tear each other's frames."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"spool writer {name} belongs to the parent process; open a writer of its own here"
        )
