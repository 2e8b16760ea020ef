"""What can be wrong with a statement so that it is not kept at all."""

from __future__ import annotations

from tollbook.errors import CheckFailedError, TollbookError


class StatementError(TollbookError):
    """A statement that cannot be kept or found."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(f"{what}: {problem}")


class StatementFileError(StatementError):
    """A file that cannot be read as a statement."""


class FetchError(StatementError):
    """A provider's API that did not give its statement."""


class NoStatementError(CheckFailedError):
    """No statement has that id."""

    def __init__(self, statement_id: str) -> None:
        super().__init__(f"no statement {statement_id[:80]!r}; tollbook statements list shows all")
