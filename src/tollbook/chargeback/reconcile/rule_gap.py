"""Days that the provider's own reports lack, while the ledger has calls and other days are there.

Usage reports without a day prove nothing of it: its quantities are not told, and dollars alone are
compared. Where cost reports lack a day, all that the ledger has for it is the difference, until
the data comes late; an invoice that has it makes that good (:mod:`.rule_invoice`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tollbook.chargeback.reconcile.keys import Key, day_text
from tollbook.chargeback.reconcile.model import Cause
from tollbook.chargeback.reconcile.rule_shift import claim_midnight
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.cells import Cell
    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.world import World


def claim_gaps(world: World, findings: Findings) -> None:
    """Find days without usage or without cost, and take them out of the comparison."""
    days: dict[int, list[Cell]] = defaultdict(list)
    for cell in world.cells.values():
        days[cell.day].append(cell)
    counted = world.usage_days
    has_usage, has_money = bool(counted), bool(world.provider.money)
    billed = {cell.day for cell in world.cells.values() if cell.billed}
    for day, cells in sorted(days.items()):
        if not any(cell.ledger.unpriced or cell.ledger.cost for cell in cells):
            continue
        lacks = [
            name
            for name, is_lacking in (
                ("usage", has_usage and day not in counted),
                ("cost", has_money and day not in billed),
            )
            if is_lacking
        ]
        if lacks and not claim_midnight(world, findings, day):
            _claim_day(world, findings, day, cells, lacks)


def _claim_day(
    world: World, findings: Findings, day: int, cells: list[Cell], lacks: list[str]
) -> None:
    about = (day_text(day),)
    at_stake = sum(cell.ledger.cost for cell in cells)
    tokens = sum(cell.ledger.tokens for cell in cells)
    for cell in cells:
        if "cost" in lacks:
            count, amount = cell.claim_all()
            findings.add(Cause.PROVIDER_GAP, about, day, cell.key, count, amount)
            continue
        if cell.provided == 0 and not _is_of_cost(world, cell):
            cell.forget_provided()
    findings.add(Cause.PROVIDER_GAP, about, day, Key(), 0, 0)
    findings.tell(
        Cause.PROVIDER_GAP, about, lacking=lacks, ledger_usd=usd_text(at_stake),
        ledger_tokens=tokens,
    )  # fmt: skip


def _is_of_cost(world: World, cell: Cell) -> bool:
    """Whether the quantities of the cell's model come from the cost reports."""
    return any(
        share.key == cell.key and share.day == cell.day for share in world.shares
    )  # fmt: skip
