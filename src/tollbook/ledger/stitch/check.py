"""That every call which is no charge of its own is one of somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.ledger.stitch.tables import STITCHED, WRAPPER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_IS_TAKEN_BACK: Final = (
    "sum(calls) = 0 AND regexp_matches(coalesce(arg_max(reason, entry_id)"
    f" FILTER (kind = 'reversal'), ''), '^({STITCHED}|{WRAPPER})')"
)
NOT_ONCE: Final = (
    f"WHERE kind <> 'adjustment' GROUP BY call_id HAVING sum(calls) <> 1 AND NOT ({_IS_TAKEN_BACK})"
)
"""Calls whose entries do not count them once, but for those that turned out to be another."""
_TAKEN_BACK: Final = f"SELECT call_id FROM entries GROUP BY call_id HAVING {_IS_TAKEN_BACK}"  # noqa: S608 -- constants
_IN_FORCE: Final = "SELECT call_id FROM entries GROUP BY call_id HAVING sum(calls) = 1"
_LOST: Final = (
    "SELECT call_id, state FROM observations WHERE"  # noqa: S608 -- constants
    f" state IN ('charged', 'aggregate') AND call_id NOT IN ({_IN_FORCE})"
    " OR state NOT IN ('charged', 'aggregate')"
    f" AND (charged_as IS NULL OR charged_as NOT IN ({_IN_FORCE}) OR call_id IN ({_IN_FORCE}))"
)


def check_stitches(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Yield observed calls whose charge is not what their state says, and what is wrong."""
    ((has_any,),) = connection.execute("SELECT EXISTS (SELECT 1 FROM observations)").fetchall()
    if has_any:
        for call_id, state in connection.execute(_LOST).fetchall():
            yield str(call_id), f"the observed call is {state}, which its entries do not show"


def taken_back(connection: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    """Yield the calls that turned out to be another, or to hold others."""
    for (call_id,) in connection.execute(_TAKEN_BACK).fetchall():
        yield call_id.bytes
