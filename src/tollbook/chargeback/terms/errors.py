"""Errors of price terms."""

from __future__ import annotations

from tollbook.errors import TollbookError


class TermError(TollbookError):
    """A term that cannot be used: which one, and what is wrong."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"price term {name[:64]}: {problem}")


class TermFileError(TollbookError):
    """A file of terms that cannot be read."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
