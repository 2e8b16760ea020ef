"""Statements over the entries of a query, for what no sum by dimensions can say.

A question about single calls (the gap to the call before, the dearest of each feature, the sections
of a request) is SQL around ``rows_sql``: its range and filters are those of every other report. The
statements sum, compare and rank; money is divided by nobody but Python, on integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.reports.build import group_keys
from tollbook.reports.compiled import compiled
from tollbook.reports.table import entries, selected

if TYPE_CHECKING:
    from tollbook.reports.cover import Scan
    from tollbook.reports.query import SpendQuery

WEIGHTS = "TRY_CAST(layer_weights AS BIGINT[])"
"""Section, weight, section, weight, ... (:mod:`tollbook.layers`); NULL where none is known."""


def rows_sql(query: SpendQuery) -> str:
    """Return the statement of a query's entries: all columns, and ``d0``, ``d1``, ... for ``by``.

    Signed as they are: reversals are among them, so sums over all rows are right.
    """
    return compiled(_rows, query)


def calls_sql(query: SpendQuery) -> str:
    """Return the statement of the calls as known now: charges in force, without further parts."""
    return (
        f"SELECT * FROM ({rows_sql(query)}) AS charged ANTI JOIN "  # noqa: S608 -- our own statement
        "(SELECT replaces FROM entries WHERE kind = 'reversal') AS undone "
        "ON charged.entry_id = undone.replaces "
        "WHERE charged.kind = 'charge' AND coalesce(charged.part, 0) = 0"
    )


def keys_sql(query: SpendQuery) -> str:
    """Return the names of the columns that ``by`` became, with a comma behind each."""
    return "".join(f"d{at}, " for at in range(len(query.by)))


def section_weight(*sections: int) -> str:
    """Return the SQL of how much of a request certain sections weigh, over a list ``weights``."""
    wanted = ", ".join(map(str, sections))
    return (
        "list_sum(list_transform(range(1, len(weights), 2), "
        f"lambda place: CASE WHEN weights[place] IN ({wanted}) THEN weights[place + 1] ELSE 0 END))"
    )


ALL_WEIGHT = "list_sum(list_slice(weights, 2, len(weights), 2))"
"""How much all of a request weighs, over a list ``weights``."""


def _rows(query: SpendQuery, scan: Scan) -> Any:
    rows = selected(entries(), query)
    return rows.mutate(**group_keys(query, rows, scan.stretches))
