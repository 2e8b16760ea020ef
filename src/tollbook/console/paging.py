"""Pages of a list that an answer has whole: ``page_size`` and ``cursor``, on every route with rows.

Lists that grow at their head (calls, the audit trail) page by id instead, and need no cursor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIZE: Final = "page_size"
CURSOR: Final = "cursor"
NAMES: Final = frozenset({SIZE, CURSOR})
SIZE_MAX: Final = 10_000
_is_size = re.compile(r"[1-9][0-9]{0,4}").fullmatch
_is_cursor = re.compile(r"r([1-9][0-9]{0,8})").fullmatch


class Page(NamedTuple):
    """Which rows are asked for."""

    size: int
    first: int

    def of(self, rows: Sequence[Any]) -> tuple[Sequence[Any], str | None]:
        """Return the rows of this page, and the cursor of the next if there is one."""
        end = self.first + self.size
        return rows[self.first : end], f"r{end}" if end < len(rows) else None


def page_of(query: Mapping[str, str]) -> Page | None:
    """Return the page that a query asks for; None for all rows.

    Raises:
        QueryError: a size or a cursor that is none.
    """
    size, cursor = query.get(SIZE), query.get(CURSOR)
    if size is None and cursor is None:
        return None
    if size is None:
        raise QueryError(CURSOR, f"give {SIZE} too, as with the page before")
    if not _is_size(size) or int(size) > SIZE_MAX:
        raise QueryError(SIZE, f"expected a whole number from 1 to {SIZE_MAX}")
    found = _is_cursor(cursor) if cursor is not None else None
    if cursor is not None and found is None:
        raise QueryError(CURSOR, "expected next_cursor of the page before")
    return Page(int(size), 0 if found is None else int(found[1]))
