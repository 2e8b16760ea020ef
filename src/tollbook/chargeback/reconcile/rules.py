"""All rules in their order, and the sum that always holds.

What is proven comes before what is inferred: whole days that reports lack, keys that are not ours,
zones and doubled hours are counted to the token; names, neighbouring days and calls without usage
explain only what is left; then prices, then what no call is charged for. The rest is unexplained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.chargeback.reconcile.findings import Findings
from tollbook.chargeback.reconcile.model import Cause
from tollbook.chargeback.reconcile.rule_bypass import claim_keys, claim_models
from tollbook.chargeback.reconcile.rule_calls import (
    claim_estimates,
    claim_missing_usage,
    claim_retried,
)
from tollbook.chargeback.reconcile.rule_doubled import claim_doubled
from tollbook.chargeback.reconcile.rule_gap import claim_gaps
from tollbook.chargeback.reconcile.rule_invoice import check_rounding, claim_others, claim_rest
from tollbook.chargeback.reconcile.rule_mapping import claim_mapped
from tollbook.chargeback.reconcile.rule_price import claim_prices
from tollbook.chargeback.reconcile.rule_shift import claim_pairs, claim_zone

if TYPE_CHECKING:
    from collections.abc import Collection

    from tollbook.chargeback.reconcile.world import World


def explain(world: World, own_keys: Collection[str] = ()) -> Findings:
    """Return every difference of the time by its cause.

    The claims add up to the provider's total less the ledger's cost, to the pico.

    Args:
        world: both sides.
        own_keys: keys and projects, as the provider names them, that are Tollbook's alone.
    """
    findings = Findings(world)
    claim_gaps(world, findings)
    claim_keys(world, findings, own_keys)
    claim_zone(world, findings)
    claim_doubled(world, findings)
    claim_mapped(world, findings)
    claim_pairs(world, findings)
    claim_models(world, findings)
    claim_missing_usage(world, findings)
    claim_retried(world, findings)
    claim_estimates(world, findings)
    _claim_left(world, findings)
    claim_prices(world, findings)
    billed = sum(cell.total_billed() for cell in world.inside())
    if world.provider.usage_total is not None:
        claim_others(world, findings)
        claim_rest(world, findings, world.provider.usage_total - billed)
    check_rounding(world, findings)
    return findings


def _claim_left(world: World, findings: Findings) -> None:
    """Keep what no rule explains of the quantities, each side's apart: they must not cancel."""
    for cell in world.inside():
        left = cell.left()
        if not left.tokens:
            continue
        side = "provider" if left.tokens > 0 else "ledger"
        about = (side, *(part or "" for part in cell.key))
        findings.add(Cause.UNEXPLAINED, about, cell.day, cell.key, left.tokens, left.volume)
        findings.tell(Cause.UNEXPLAINED, about, only_in=side)
