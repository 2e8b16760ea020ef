"""Triggers that keep a table append-only: what a migration adds behind its tables.

Released migrations call this, so the text of a trigger must stay as it is: books made today and
books made a year ago have the same schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterable

Deed = Literal["UPDATE", "DELETE"]
_ALL: Final[tuple[Deed, ...]] = ("UPDATE", "DELETE")


def forbid_changes(
    tables: Iterable[str], said: Literal["is", "are"], deeds: Iterable[Deed] = _ALL
) -> None:
    """Add triggers that refuse to change or delete a row.

    Args:
        tables: of the books, created before.
        said: the verb of ``TABLE ... append-only``, the words of the refusal.
        deeds: what is refused.
    """
    deeds = tuple(deeds)
    for table in tables:
        for deed in deeds:
            op.execute(
                f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} {said} append-only'); END"
            )
