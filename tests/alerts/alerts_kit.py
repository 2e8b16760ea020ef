"""A ledger in memory that tests fill, books beside it, and a desk on both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from examples.incidents.world import World
from tollbook.books.store import open_books
from tollbook.config import Config
from tollbook.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.books.store import Books

USD = 10**12
NOW = datetime(2026, 3, 12, 15, tzinfo=UTC)
"""A Thursday."""


class House(World):
    """Ledger, books and desk of one test."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.environ: dict[str, str] = {}

    @cached_property
    def books(self) -> Books:
        """Opened when a test first needs them: making them takes most of a second."""
        return open_books(self.root)

    @cached_property
    def desk(self) -> Desk:
        return Desk(
            reader=self.reader, books=self.books, config=Config(), data_dir=self.root,
            environ=self.environ, author="ada",
        )  # fmt: skip

    def close(self) -> None:
        super().close()
        if "books" in self.__dict__:
            self.books.close()

    def spend(self, at: datetime, pico: int | None, **fields: Any) -> None:
        """Append one entry."""
        self.add([self.row(at, pico, **fields)])

    def hourly(
        self, tenant: str, pico: int, *, until: datetime, days: int = 31, calls: int = 40,
        **fields: Any,
    ) -> None:  # fmt: skip
        """Append one entry for each hour up to a moment."""
        rows = [
            self.row(until - timedelta(hours=back, minutes=-5), pico, tenant=tenant, calls=calls,
                     **fields)
            for back in range(1, days * 24)
        ]  # fmt: skip
        self.add(rows)

    def complete_until(self, moment: datetime) -> None:
        at = moment.astimezone(UTC).replace(tzinfo=None)
        self.connection.execute("DELETE FROM progress")
        self.connection.execute("INSERT INTO progress VALUES (?, ?)", [at, at])
