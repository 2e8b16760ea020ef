"""Allocation results as rows for people and programs: money as decimal text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.chargeback.allocate.policy import OWNER_FIELDS
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.chargeback.allocate.compute import Computed
    from tollbook.chargeback.allocate.shelf import AllocationLine


def of_lines(lines: Iterable[AllocationLine], policy_id: str) -> dict[str, Any]:
    """Return lines as rows: what was taken, and who received it."""
    rows = [
        {
            "rule": line.rule, "method": line.method, "role": line.role,
            "provider": line.provider, "model": line.model, "price_tier": line.price_tier,
            "tenant": line.tenant, "team": line.team, "cost_center": line.cost_center,
            "feature": line.feature, "cost_usd": usd_text(line.amount), "ratio": line.ratio,
            "unit": line.unit, "quantity": line.quantity,
            "method_id": f"{policy_id}#{line.rule}",
        }
        for line in lines
    ]  # fmt: skip
    return {"rows": rows}


def by_owner(computed: Computed) -> list[dict[str, Any]]:
    """Return by tenant what it had, what was moved, and what it has then."""
    names = computed.cells.names
    at = names.index("tenant")
    had: dict[str | None, int] = {}
    for cell in computed.cells.cells:
        had[cell.key[at]] = had.get(cell.key[at], 0) + cell.cost
    moved: dict[str | None, int] = {}
    for line in computed.lines:
        moved[line.tenant] = moved.get(line.tenant, 0) + line.amount
    return [
        {
            "tenant": tenant or UNKNOWN, "before_usd": usd_text(had.get(tenant, 0)),
            "moved_usd": usd_text(moved.get(tenant, 0)),
            "after_usd": usd_text(had.get(tenant, 0) + moved.get(tenant, 0)),
        }
        for tenant in sorted(had.keys() | moved.keys(), key=lambda one: (one is None, one or ""))
    ]  # fmt: skip


def changes(left: Computed, right: Computed) -> list[dict[str, Any]]:
    """Return by owner what two results make of the same period, the greatest change first."""
    sums: dict[tuple[str | None, ...], list[int]] = {}
    for side, computed in enumerate((left, right)):
        for line in computed.lines:
            sums.setdefault(line.owner, [0, 0])[side] += line.amount
    rows = sorted(sums.items(), key=lambda one: -abs(one[1][1] - one[1][0]))
    return [
        dict(zip(OWNER_FIELDS, owner, strict=True))
        | {
            "left_usd": usd_text(before), "right_usd": usd_text(after),
            "change_usd": usd_text(after - before),
        }
        for owner, (before, after) in rows
    ]  # fmt: skip
