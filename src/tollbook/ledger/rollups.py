"""Sums of entries by hour and by tenant and day, so that a year is not added up from its calls.

Entries are additive, so sums of them are entries too: a rollup has the columns of ``entries`` that
reports sum, one row for each group of a *chunk* of entries, and a report adds rows of a rollup to
entries that are in none (:mod:`tollbook.reports.cover`). Nothing is ever changed in it. Rollups are
derived: ``verify`` adds them up again, and an empty one is as right as a full one.

A group keeps apart what reports tell apart: whether the cost is known, whether a call is a further
attempt. Parts of calls without a known cost are in no rollup, since they are counted by rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.ledger.rollup_tables import KEPT, ROLLUPS, SUMMED, Rollup
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    import duckdb

    from tollbook.ledger.store import Store

CHUNK_ENTRIES: Final = 500_000
"""Entries that are rolled up together: fewer are added up in a moment, and each chunk adds rows."""
_UNSPLIT_COST, _UNSPLIT_TOKENS = LAYER_COSTS[-1], LAYER_TOKENS[-1]


class RollupError(NamedTuple):
    """A rollup that does not add up to the entries that it is of."""

    name: str
    column: str


class Roller:
    """Rolls entries up as they come, for the process that writes the ledger.

    Args:
        store: the ledger, open for writing.
        chunk_entries: how many entries make a chunk.
    """

    def __init__(self, store: Store, chunk_entries: int = CHUNK_ENTRIES) -> None:
        self._store, self._chunk_entries = store, chunk_entries
        with store.transaction() as connection:
            self._upto = _upto(connection)

    def step(self) -> bool:
        """Roll up one chunk, if there are entries for a whole one; return whether there were."""
        upto = self._upto + self._chunk_entries
        if self._store.last_entry_id < upto:
            return False
        with self._store.transaction() as connection:
            roll_chunk(connection, self._upto, upto)
        self._upto = upto
        return True


def roll_chunk(connection: duckdb.DuckDBPyConnection, done: int, upto: int) -> None:
    """Roll up the entries after ``done`` up to ``upto``; within a transaction.

    Args:
        connection: that writes.
        done: the last entry that is rolled up already.
        upto: the last one of the chunk.
    """
    for rollup in ROLLUPS:
        connection.execute(_insert(rollup), [upto, done, upto])
        connection.execute(
            f"UPDATE rollups SET upto_entry = ?, rows = (SELECT count(*) FROM {rollup.table}) "  # noqa: S608 -- constants
            "WHERE name = ?",
            [upto, rollup.table],
        )


def _upto(connection: duckdb.DuckDBPyConnection) -> int:
    ((upto,),) = connection.execute("SELECT min(upto_entry) FROM rollups").fetchall()
    return int(upto)


def _insert(rollup: Rollup) -> str:
    """Return the statement that rolls up the entries after ``$2`` up to ``$3``, marked ``$1``."""
    keys = [
        f"date_trunc('{rollup.grain}', called_at)",
        *(_key(rollup, name) for name in (*KEPT, *rollup.columns)),
    ]
    sums = (f"sum({_summed(name)})" for name in SUMMED)
    groups = (*keys, "cost_usd IS NULL")
    return (
        f"INSERT INTO {rollup.table} SELECT ?, {', '.join([*keys, *sums])} FROM entries "  # noqa: S608 -- constants
        "WHERE entry_id > ? AND entry_id <= ? AND NOT (coalesce(part, 0) > 0 AND cost_usd IS NULL) "
        f"GROUP BY {', '.join(groups)}"
    )


def _key(rollup: Rollup, name: str) -> str:
    """Return what rows of a rollup have in a column: of some, only whether there is anything."""
    if name == "part":
        return "least(coalesce(part, 0), 1)"
    if name == "retry_of":
        return "CASE WHEN retry_of IS NULL THEN NULL ELSE CAST(0 AS UHUGEINT)::UUID END"
    if name == "tenant_id" and not rollup.has_tenants:
        return "CASE WHEN tenant_id IS NULL OR tenant_id = 'unknown' THEN NULL ELSE '*' END"
    return name


def _summed(name: str) -> str:
    """Return what is summed; what was booked before there were layers is all unsplit."""
    if name == _UNSPLIT_COST:
        return f"coalesce({name}, cost_usd)"
    if name == _UNSPLIT_TOKENS:
        return f"coalesce({name}, {' + '.join(TOKEN_KINDS)})"
    return name


def check_rollups(connection: duckdb.DuckDBPyConnection) -> list[RollupError]:
    """Add up each rollup and the entries that it is of; return the columns that differ."""
    upto = _upto(connection)
    found = []
    for rollup in ROLLUPS:
        sums = ", ".join(f"sum({name})" for name in SUMMED)
        (rolled,) = connection.execute(f"SELECT {sums} FROM {rollup.table}").fetchall()  # noqa: S608 -- constants
        of_entries = ", ".join(f"sum({_summed(name)})" for name in SUMMED)
        (added,) = connection.execute(
            f"SELECT {of_entries} FROM entries WHERE entry_id <= ? "  # noqa: S608 -- constants
            "AND NOT (coalesce(part, 0) > 0 AND cost_usd IS NULL)",
            [upto],
        ).fetchall()
        found += [
            RollupError(rollup.table, name)
            for name, one, other in zip(SUMMED, rolled, added, strict=True)
            if one != other
        ]
    return found
