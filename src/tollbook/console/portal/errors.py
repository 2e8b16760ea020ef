"""What portals refuse."""

from __future__ import annotations

from tollbook.errors import TollbookError
from tollbook.reports.errors import QueryError


class PortalTokenError(TollbookError):
    """A token that opens nothing; says which of its claims is why, and nothing of the key."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the portal's token {problem}; ask the application for a new one")


class PartClosedError(TollbookError):
    """A part of the portal that this token or this portal does not open."""

    def __init__(self, part: str) -> None:
        super().__init__(f"this portal does not show {part}")


class PortalRequestError(QueryError):
    """A request to make or set up portals that cannot be carried out."""
