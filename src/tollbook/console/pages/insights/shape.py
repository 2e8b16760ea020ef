"""What the page of an insight is made of; :mod:`.one` builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.console.pages.view import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.console.pages.context import PageContext
    from tollbook.console.pages.view import Chart, Figure, Section

BY = (
    ("tenant", "tenant"), ("feature", "feature"), ("model", "model"), ("team", "team"),
    ("provider", "provider"), ("environment", "environment"),
)  # fmt: skip
Rows = list[dict[str, Any]]


class Shape(NamedTuple):
    """One insight as a page."""

    name: str
    """Of the operation, behind ``insights.``."""
    title: str
    columns: tuple[Column, ...]
    """Of the table, behind those that name its rows."""
    chart: Callable[[dict[str, Any], str], Chart | None]
    """Of an answer and what its rows are by."""
    figures: Callable[[dict[str, Any]], tuple[Figure, ...]]
    by: str | None = None
    """What rows are by where the URL does not say; None: it cannot be chosen."""
    choices: tuple[tuple[str, str], ...] = BY
    more: Callable[[PageContext, dict[str, Any], str], list[Section]] = lambda *_: []
    """Further sections below the table."""
    above: Callable[[PageContext, dict[str, Any], str], list[Section]] = lambda *_: []
    """Further sections above it."""
    rare: tuple[str, ...] = ()
    """Columns that are left out where they are zero throughout."""
    has_limit: bool = True
    """Rows are ranked, and the first are enough."""
    fields: tuple[tuple[str, str, str], ...] = ()
    """Further parameters of the page's URL: name, label and default."""
    empty: str = "Nothing in this range. Choose a longer one, or fewer filters."
    since: str | None = None
    """Where its calls begin, if not with the page's range."""

    @property
    def operation(self) -> str:
        """Name of the operation."""
        return f"insights.{self.name}"

    @property
    def path(self) -> str:
        """Of the page."""
        return f"/insights/{self.name.replace('_', '-')}"


def words_of(row: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return how a row is named in a chart."""
    if row.get("is_other"):
        return "other"
    return " · ".join(str(row.get(name) or "not set") for name in names)


def plain_table(
    name: str, title: str, columns: tuple[Column, ...], rows: Rows, *, note: str | None = None,
    empty: str = "Nothing in this range.",
) -> Table:  # fmt: skip
    """Return a further table of a page."""
    return Table(name=name, title=title, columns=columns, rows=rows, note=note, empty=empty)
