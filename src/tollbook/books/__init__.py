"""Small relational truth: virtual keys, the price cards that were used, the audit trail.

``tollbook.books.directory`` is what gateway workers use; it needs no more than the standard
library. Everything else needs SQLAlchemy, so the names below are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollbook.books.store import Books, open_books

__all__ = ["Books", "open_books"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from tollbook.books import store  # noqa: PLC0415 -- see above

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
