"""The monthly billing rollup: per tenant, month and model, what was used and what it cost.

It is a spend query with fixed groups, so that it cannot differ from any other report. The columns
that need a provider statement are there from the start and unknown until a reconciliation of each
provider that a row is of is accepted for the month.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError
from tollbook.reports.params import from_pairs
from tollbook.reports.query import SpendQuery
from tollbook.reports.spend import CURRENCY, Completeness, run_spend
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
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
PARTLY: Final = "partly reconciled"
RECONCILED: Final = "reconciled"
TRUE_UP_PREFIX: Final = "true-up:"
"""Of the ids of adjustments that bring the ledger to an invoice."""
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


def run_rollup(
    reader: Reader, query: SpendQuery, accepted: Collection[tuple[str, str]] = ()
) -> RollupReport:
    """Answer a query made by :func:`rollup_query`.

    ``reconciled_usd`` of a row is its cost after the true-up, ``invoice_delta_usd`` what the
    true-up added to what calls were charged.

    Args:
        reader: the ledger.
        query: what is asked.
        accepted: providers and months (UTC, such as ``2026-10``) whose reconciliation is accepted.

    Raises:
        QueryTimeoutError: it took too long.
    """
    report = run_spend(reader, query)
    # Providers bill by UTC: a month of another zone is none of theirs.
    deltas = _deltas(reader, query, accepted) if accepted and query.tz == "UTC" else _Deltas()
    rows = [_with_invoice(row, deltas.of(row)) for row in report.rows]
    known = [row for row in rows if row["reconciled_usd"] is not None]
    whole = deltas.whole() if rows and len(known) == len(rows) else None
    words = RECONCILED if whole is not None else PARTLY if known else NOT_RECONCILED
    return RollupReport(
        rows=rows, totals=_with_invoice(report.totals, whole), completeness=report.completeness,
        query=query, reconciliation=words,
    )  # fmt: skip


class _Deltas:
    """What true-ups added, by the groups of the rollup; pico."""

    def __init__(self) -> None:
        self.sums: dict[tuple[Any, ...], int] = defaultdict(int)
        self.unknown: set[tuple[Any, ...]] = set()
        """Groups of which a provider's month is not accepted."""

    def of(self, row: dict[str, Any]) -> int | None:
        """Return what was added to a row; None where that is not known."""
        at = (row.get("tenant"), row.get("month"), row.get("model"))
        return None if at in self.unknown else self.sums.get(at)

    def whole(self) -> int:
        return sum(self.sums.values())


def _deltas(reader: Reader, query: SpendQuery, accepted: Collection[tuple[str, str]]) -> _Deltas:
    by = (*BY, "provider", "adjustment_id")
    found = _Deltas()
    for row in wide_rows(reader, replace(query, by=by, measures=("cost_usd",), order=())):
        month = f"{row['month']:%Y-%m}"
        at = (row["tenant"] or UNKNOWN, month, row["model"])
        if (row["provider"], month) not in accepted:
            found.unknown.add(at)
        is_true_up = (row["adjustment_id"] or "").startswith(TRUE_UP_PREFIX)
        found.sums[at] += (row["cost_usd"] or 0) if is_true_up else 0
    return found


def _with_invoice(row: dict[str, Any], delta: int | None) -> dict[str, Any]:
    cost = row.get("cost_usd")
    if delta is None or cost is None:
        return row | {"reconciled_usd": None, "invoice_delta_usd": None}
    return row | {"reconciled_usd": cost, "invoice_delta_usd": usd_text(delta)}
