"""The monthly billing rollup: per tenant, month and model, what was used and what it cost.

It is a spend query with fixed groups, so that it cannot differ from any other report. The columns
that need a provider statement are there from the start and unknown until one is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.reports.errors import QueryError
from tollbook.reports.params import from_pairs
from tollbook.reports.query import SpendQuery
from tollbook.reports.spend import CURRENCY, Completeness, run_spend

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tollbook.reports.reader import Reader

BY: Final = ("tenant", "month", "model")
MEASURES: Final = (
    "calls",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "cost_usd",
)
NOT_RECONCILED: Final = "not reconciled"
_FIXED: Final = ("by", "measures")


class RollupReport(Struct, frozen=True, kw_only=True):
    """Rows of tenant, month, model; ``reconciled_usd`` and ``invoice_delta_usd`` None: unknown."""

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    completeness: Completeness
    query: SpendQuery
    reconciliation: str = NOT_RECONCILED
    currency: str = CURRENCY


def rollup_query(pairs: Iterable[tuple[str, str]], now: datetime) -> SpendQuery:
    """Build the rollup's query from named texts (see :mod:`tollbook.reports.params`).

    Raises:
        QueryError: groups or measures are given, which are fixed, or as ``from_pairs``.
    """
    given = list(pairs)
    for name, _ in given:
        if name in _FIXED:
            raise QueryError(f"--{name}", "is fixed in the rollup; use report spend")
    names = {name for name, _ in given}
    if "order" not in names:
        given.append(("order", "tenant,month,model"))
    return from_pairs([*given, ("by", ",".join(BY)), ("measures", ",".join(MEASURES))], now)


def run_rollup(reader: Reader, query: SpendQuery) -> RollupReport:
    """Answer a query made by :func:`rollup_query`.

    Raises:
        QueryTimeoutError: it took too long.
    """
    report = run_spend(reader, query)
    return RollupReport(
        rows=[_with_invoice(row) for row in report.rows],
        totals=_with_invoice(report.totals),
        completeness=report.completeness,
        query=query,
    )


def _with_invoice(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"reconciled_usd": None, "invoice_delta_usd": None}
