"""Errors that a person sees: built from data, one line, saying what to do."""

from __future__ import annotations

from typing import ClassVar


class TollbookError(Exception):
    """Something the operator or caller must mend.

    Subclasses take the facts as arguments and build one line that names the place (file, key,
    port, id), what is wrong and what to do. ``exit_code`` is what a command ends with: 2 for bad
    input, 1 for a check that failed.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ToldError(TollbookError):
    """What is wrong has been said already, by another process; only the exit code remains."""

    def __init__(self) -> None:
        super().__init__("")


class CheckFailedError(TollbookError):
    """A check ran and found a difference; nothing is wrong with the input."""

    exit_code: ClassVar[int] = 1
