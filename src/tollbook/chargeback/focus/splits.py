"""Rows of allocations: split-cost columns of FOCUS 1.3 and later.

A run of a policy keeps its whole result, pool by pool: what it took of each origin and what each
receiver got, with ratios that add up to exactly 1. The entries of all runs of a period add up to
the newest of these results, so the rows are made of it. Where they do not (the process died
between the two), or where only a part is exported, the entries are told as they are.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tollbook.chargeback.allocate.shelf import newest_allocation
from tollbook.chargeback.focus.adjustments import adjustment_rows, shared_cells
from tollbook.chargeback.focus.rows import cost_cells, tags_of
from tollbook.ledger.adjust import AdjustmentType
from tollbook.money import usd_decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.chargeback.allocate.shelf import AllocationLine, AllocationRun
    from tollbook.chargeback.focus.columns import Row
    from tollbook.chargeback.focus.groups import Sums
    from tollbook.chargeback.focus.parties import Parties
    from tollbook.chargeback.focus.scope import Segment
    from tollbook.desk import Desk

_Place = tuple[str | None, ...]
"""Owner, provider, model and tier of an amount."""


class Splits:
    """Holds back the allocation entries of one billing period until all of them are seen."""

    def __init__(self, desk: Desk, period: str, *, is_whole: bool) -> None:
        self._run = newest_allocation(desk.books, period) if is_whole else None
        self.period = period
        self._prefix = f"allocation:{period}:"
        self._held: list[tuple[Segment, Sums]] = []

    def hold(self, segment: Segment, sums: Sums) -> bool:
        """Keep an entry of a run for later; False: it is no such entry."""
        is_own = (
            self._run is not None
            and sums["adjustment"] == AdjustmentType.ALLOCATION
            and str(sums["adjustment_id"]).startswith(self._prefix)
        )
        if is_own:
            self._held.append((segment, sums))
        return is_own

    def rows(self, parties: Parties) -> Iterator[tuple[Segment, Row]]:
        """Yield the rows of what was held back."""
        if self._run is None or not self._held:
            return
        if _of_entries(self._held) == _of_lines(self._run.lines):
            segment = self._held[-1][0]
            for row in _line_rows(self._run, segment, parties):
                yield segment, row
            return
        for segment, sums in self._held:
            for row in adjustment_rows(segment, [sums], parties):
                yield segment, row


def _of_entries(held: list[tuple[Segment, Sums]]) -> dict[_Place, int]:
    found: dict[_Place, int] = {}
    for _, one in held:
        at = tuple(
            one[name]
            for name in (
                "tenant", "team", "cost_center", "feature", "provider", "model", "price_tier",
            )
        )  # fmt: skip
        found[at] = found.get(at, 0) + (one["cost_usd"] or 0)
    return {at: amount for at, amount in found.items() if amount}


def _of_lines(lines: list[AllocationLine]) -> dict[_Place, int]:
    found: dict[_Place, int] = {}
    for line in lines:
        at = (*line.owner, line.provider, line.model, line.price_tier)
        found[at] = found.get(at, 0) + line.amount
    return {at: amount for at, amount in found.items() if amount}


def _line_rows(run: AllocationRun, segment: Segment, parties: Parties) -> Iterator[Row]:
    given: dict[str, int] = {}
    for line in run.lines:
        if line.role == "share":
            pool = _pool(run, line)
            given[pool] = given.get(pool, 0) + line.amount
    for line in run.lines:
        if not line.amount and line.ratio is None:
            continue
        sums = _sums(run, line)
        row = shared_cells(segment, sums, parties) | cost_cells(line.amount)
        row |= {"ChargeCategory": "Adjustment"}
        if line.role == "share" and line.ratio is not None:
            row |= _share_cells(run, line, sums, given[_pool(run, line)])
        yield row


def _pool(run: AllocationRun, line: AllocationLine) -> str:
    names = (line.provider, line.model, line.price_tier)
    return "/".join([f"{run.run_id}:{line.rule}", *(name or "" for name in names)]).rstrip("/")


def _sums(run: AllocationRun, line: AllocationLine) -> Sums:
    return {
        "tenant": line.tenant, "team": line.team, "cost_center": line.cost_center,
        "feature": line.feature, "environment": None, "provider": line.provider,
        "model": line.model, "price_tier": line.price_tier, "region": None,
        "adjustment": AdjustmentType.ALLOCATION.value, "adjustment_id": run.run_id,
        "statement": None, "corrects": None,
        "reason": f"{run.policy_id}, rule {line.rule}, {line.role}",
    }  # fmt: skip


def _share_cells(run: AllocationRun, line: AllocationLine, sums: Sums, given: int) -> Row:
    element: dict[str, Any] = {"AllocatedRatio": Decimal(line.ratio or "0")}
    if line.unit is not None:
        element["UsageUnit"] = line.unit
        if line.quantity is not None and _is_decimal(line.quantity):
            element["UsageQuantity"] = Decimal(line.quantity)
    names = ("tenant", "team", "cost_center", "feature")
    owner = "/".join(f"{name}={sums[name]}" for name in names if sums[name] is not None)
    return {
        "AllocatedMethodId": run.method_id(line.rule),
        "AllocatedMethodDetails": {"Elements": [element]},
        "AllocatedResourceId": owner or "unattributed",
        "AllocatedResourceName": line.tenant or owner or "Unattributed",
        "AllocatedTags": tags_of(sums),
        "x_SplitOriginId": _pool(run, line),
        "x_SplitOriginCost": usd_decimal(given),
    }


def _is_decimal(text: str) -> bool:
    """Whether a quantity is a decimal number; an exact fraction is not, and is left out."""
    return text.lstrip("-").replace(".", "", 1).isdecimal()
