"""What is wrong with a query in SQL."""

from __future__ import annotations

from tollbook.reports.errors import QueryError


class SqlError(QueryError):
    """SQL that is not run, or that the database refuses."""

    def __init__(self, problem: str) -> None:
        super().__init__("sql", problem)
