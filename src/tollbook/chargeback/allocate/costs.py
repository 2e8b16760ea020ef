"""Shared costs that no call tells of, typed in by month: the gateway's machines, observability."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.allocate.booking import ClosedError
from tollbook.chargeback.periods.events import PeriodState, period_state
from tollbook.chargeback.periods.sums import sums
from tollbook.errors import TollbookError
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments
from tollbook.money import pico_from_usd
from tollbook.reports import measures
from tollbook.reports.query import Filter

if TYPE_CHECKING:
    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class CostNameError(TollbookError):
    """A name that a shared cost cannot have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"--name: {name[:64]!r}: expected at most 63 lower-case letters, digits, - and _"
        )


def enter_cost(
    desk: Desk, period: Period, name: str, amount_usd: str, *, owner: str | None, reason: str
) -> tuple[int, int]:
    """Say what a shared cost is in a month: book the difference to what was said before.

    It is an adjustment of type ``fee`` without provider, owned by the central tenant, with the name
    as its feature, so that a policy can point at ``feature=NAME``.

    Returns:
        What is booked now, and what it was before, in pico.

    Raises:
        CostNameError: the name is not allowed.
        NotMoneyError: the amount is none.
        ClosedError: the period is closed.
    """
    if not _NAME.fullmatch(name):
        raise CostNameError(name)
    amount = pico_from_usd(amount_usd)
    tenant = owner or desk.config.finance.central_tenant
    with desk.store.transaction():
        if period_state(desk.books, period.name) is PeriodState.CLOSED:
            raise ClosedError(period.name)
        prefix = f"cost:{period.name}:{name}:"
        runs = [row for row in _rows(desk, period) if row["adjustment_id"].startswith(prefix)]
        before = sum(row[measures.COST] or 0 for row in runs)
        changes: dict[str, int] = {}
        for row in runs:
            whose = row["tenant"] or ""
            changes[whose] = changes.get(whose, 0) - (row[measures.COST] or 0)
        changes[tenant] = changes.get(tenant, 0) + amount
        entries = [
            Adjustment(
                adjustment=AdjustmentType.FEE, at_ns=period.start_ns, cost=change,
                identity={"tenant_id": whose, "feature": name} if whose else {"feature": name},
                billing_period=period.name, reason=reason,
                corrects=f"{prefix}{len(_ids(runs))}" if runs else None,
            )
            for whose, change in changes.items() if change
        ]  # fmt: skip
        book_adjustments(desk.store, f"{prefix}{len(_ids(runs)) + 1}", entries)
    return amount, before


def entered_costs(desk: Desk, period: Period) -> list[dict[str, Any]]:
    """Return the shared costs of a month: name, owner and pico, in the order of names."""
    found: dict[tuple[str, str | None], int] = {}
    for row in _rows(desk, period):
        at = (row["adjustment_id"].split(":")[2], row["tenant"])
        found[at] = found.get(at, 0) + (row[measures.COST] or 0)
    return [
        {"name": name, "owner": owner, "cost": cost}
        for (name, owner), cost in sorted(found.items(), key=_in_order)
        if cost
    ]


def _in_order(one: tuple[tuple[str, str | None], int]) -> tuple[str, str]:
    (name, owner), _ = one
    return name, owner or ""


def _rows(desk: Desk, period: Period) -> list[dict[str, Any]]:
    where = (Filter("adjustment", ("fee",)),)
    rows = sums(desk, period, ("adjustment_id", "tenant"), where)
    return [row for row in rows if (row["adjustment_id"] or "").startswith(f"cost:{period.name}:")]


def _ids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["adjustment_id"] for row in rows}
