"""What no call is charged for: taxes, credits, fees, commitments, rates of exchange, rounding."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.reconcile.keys import Key
from tollbook.chargeback.reconcile.model import Cause
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.chargeback.reconcile.findings import Findings
    from tollbook.chargeback.reconcile.lines import Other
    from tollbook.chargeback.reconcile.world import World

SUBUNIT: Final = 10**10
"""Of US dollars: a cent, in pico."""
_LINES_SHOWN: Final = 20
_FX_MAX: Final = Fraction(1, 20)
"""Of a sum in another currency that its rates may differ by."""
_OF_TERM: Final = {
    "commitment": Cause.COMMITMENT,
    "idle_commitment": Cause.COMMITMENT,
    "minimum": Cause.MINIMUM,
    "credit": Cause.CREDIT,
    "tax": Cause.TAX,
    "fee": Cause.FEE,
    "rounding": Cause.ROUNDING,
    "volume_tier": Cause.WRONG_CARD,
    "free_quota": Cause.WRONG_CARD,
}


def rounding_tolerance(rows: int) -> int:
    """Return what rounding may come to, in pico.

    ``MAX(100 x Subunit, SQRT(Rows) x 0.5 x Subunit)``, the subunit of US dollars being a cent.

    Source: FOCUS 1.4, appendix Rounding Variance Tolerance.
    """
    return max(100 * SUBUNIT, isqrt(max(rows, 0) * SUBUNIT * SUBUNIT) // 2)


def claim_others(world: World, findings: Findings) -> None:
    """Claim taxes, credits, fees, minimums and commitments, less what terms have booked of them."""
    billed: dict[Cause, list[Other]] = defaultdict(list)
    for one in world.provider.others:
        billed[one.cause].append(one)
    booked: dict[Cause, int] = defaultdict(int)
    for adjustment, amount in world.extra_terms:
        booked[_OF_TERM.get(adjustment, Cause.FEE)] += amount
    for cause in {*billed, *booked}:
        if cause in booked:
            # The provider's lines and the terms are cut differently: only their sums compare.
            amount = sum(one.amount for one in billed[cause]) - booked[cause]
            findings.add(cause, ("all",), None, Key(), 0, amount)
            findings.tell(
                cause, ("all",), booked_by_terms_usd=usd_text(booked[cause]),
                lines=_shown(billed[cause]),
            )  # fmt: skip
            continue
        by_text: dict[str, list[Other]] = defaultdict(list)
        for one in billed[cause]:
            by_text[one.description].append(one)
        for text, lines in by_text.items():
            findings.add(cause, ("line", text), None, Key(), 0, sum(one.amount for one in lines))
            findings.tell(cause, ("line", text), description=text, lines=_shown(lines))


def _shown(lines: list[Other]) -> list[dict[str, str]]:
    return [
        {"line": one.name, "description": one.description, "usd": usd_text(one.amount)}
        for one in lines[:_LINES_SHOWN]
    ]


def claim_rest(world: World, findings: Findings, rest: int) -> None:
    """Claim what the invoice has beyond the days: a late day, exchange, rounding; else unexplained.

    Args:
        world: the cells.
        findings: what is claimed so far.
        rest: pico, what is payable for usage less the dollars of all cells.
    """
    tolerance = rounding_tolerance(world.provider.rows)
    for difference_about, missing in _late_days(findings):
        if rest > tolerance and missing > 0:
            amount = min(rest, missing)
            findings.add(Cause.PROVIDER_GAP, difference_about, None, Key(), 0, amount)
            findings.tell(Cause.PROVIDER_GAP, difference_about, on_invoice_usd=usd_text(amount))
            rest -= amount
    if not rest:
        return
    usage = abs(world.provider.usage_total or 0)
    if world.provider.currency != "USD" and abs(rest) <= _FX_MAX * usage:
        cause, about = Cause.FX, ("invoice", world.provider.currency)
    elif abs(rest) <= tolerance:
        cause, about = Cause.ROUNDING, ("invoice", "")
    else:
        cause, about = Cause.UNEXPLAINED, ("invoice", "")
    findings.add(cause, about, None, Key(), 0, rest)
    findings.tell(
        cause, about, usage_payable_usd=usd_text(world.provider.usage_total or 0),
        of_lines_usd=usd_text((world.provider.usage_total or 0) - rest),
        tolerance_usd=usd_text(tolerance), currency=world.provider.currency,
    )  # fmt: skip


def _late_days(findings: Findings) -> list[tuple[tuple[str, ...], int]]:
    return [(about, -amount) for about, amount in findings.of(Cause.PROVIDER_GAP) if amount < 0]


def check_rounding(world: World, findings: Findings) -> None:
    """Take rounding that is larger than rounding can be for what it is: unexplained."""
    tolerance = rounding_tolerance(world.provider.rows)
    total = findings.amount(Cause.ROUNDING)
    if abs(total) > tolerance:
        findings.moved(
            Cause.ROUNDING, Cause.UNEXPLAINED, rounding_usd=usd_text(total),
            tolerance_usd=usd_text(tolerance),
        )  # fmt: skip
