"""What a tenant is charged for a month as a whole, beside its calls: allowances, minimums, caps.

In this order, each exact: usage that is included or has a price of its own beyond what is included,
discounts by amount, the cap, the minimum, fees. Amounts are integers of 10^-12 USD; each part is a
difference to what the calls came to, so that calls and parts add up to the bill.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from tollbook.money import pico_from_usd, usd_text
from tollbook.prices.billable import BillingError, Match, check_amount, check_match, check_percent
from tollbook.usage import FEE_KINDS, INPUT_KINDS, OUTPUT_KINDS, PRICED_PER, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEASURES: Final = {
    "tokens": TOKEN_KINDS,
    "input_tokens": INPUT_KINDS,
    "output_tokens": OUTPUT_KINDS,
    **{kind: (kind,) for kind in FEE_KINDS if kind != "requests"},
}
"""What can be included, beside ``calls`` and ``usd``, and the kinds it is the sum of."""
CALLS, USD = "calls", "usd"
ALLOWANCE, DISCOUNT, CAP, MINIMUM, FEE = "allowance", "discount", "cap", "minimum", "fee"
PARTS: Final = (ALLOWANCE, DISCOUNT, CAP, MINIMUM, FEE)


class Allowance(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):  # fmt: skip
    """So much a month is included, of calls that match."""

    measure: str
    """``tokens``, ``input_tokens``, ``output_tokens``, ``calls``, ``images``, ..., or ``usd``."""
    included: Decimal
    """A whole number; of ``usd`` an amount of billable dollars."""
    overage_usd: Decimal | None = None
    """What is beyond costs this in place of what its calls are charged: per million tokens or
    characters, per minute of audio, per image, per 1000 searches or sessions, each call. Unset:
    the included part of what the calls are charged is taken off, in proportion."""
    match: Match = Match()
    """Which of the tenant's calls count; of ``plan`` and ``tenant`` the terms' own."""


class Discount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A percentage off the part of a month's bill above an amount (and below the next one's)."""

    above_usd: Decimal = Decimal(0)
    percent: Decimal


class Terms(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    tag_field="kind", tag="terms",
):  # fmt: skip
    """How the month of each tenant that it names is billed; the most specific applies."""

    match: Match = Match()
    """``tenant`` and ``plan`` alone."""
    allowances: Annotated[tuple[Allowance, ...], Meta(max_length=32)] = ()
    discounts: Annotated[tuple[Discount, ...], Meta(max_length=32)] = ()
    cap_usd: Decimal | None = None
    minimum_usd: Decimal | None = None
    fee_usd: Decimal | None = None
    note: str | None = None


class Used(NamedTuple):
    """What some calls of a tenant came to in the month."""

    billable: int
    """In pico."""
    quantity: int
    """Of the measure; in pico for ``usd``."""


class Part(NamedTuple):
    """One difference between the bill and the sum of its calls."""

    part: str
    amount: int
    reason: str


def check_terms(terms: Terms) -> None:
    """Check what types do not say.

    Raises:
        BillingError: the field and what was expected.
    """
    check_match(terms.match)
    for name in ("feature", "model", "provider", "environment", "origin"):
        if getattr(terms.match, name) is not None:
            raise BillingError(f"match.{name}: terms are of tenants; only tenant and plan")
    for at, one in enumerate(terms.allowances):
        _check_allowance(f"allowances[{at}]", one)
    above = [one.above_usd for one in terms.discounts]
    if above != sorted(set(above)):
        raise BillingError("discounts: expected above_usd in ascending order, each once")
    for at, step in enumerate(terms.discounts):
        check_amount(f"discounts[{at}].above_usd", step.above_usd)
        check_percent(f"discounts[{at}].percent", step.percent, 0, 100)
    for name in ("cap_usd", "minimum_usd", "fee_usd"):
        if getattr(terms, name) is not None:
            check_amount(name, getattr(terms, name))
    if terms.cap_usd is not None and (terms.minimum_usd or 0) > terms.cap_usd:
        raise BillingError("cap_usd: is below minimum_usd")


def _check_allowance(name: str, one: Allowance) -> None:
    if one.measure not in MEASURES and one.measure not in (CALLS, USD):
        raise BillingError(
            f"{name}.measure: {one.measure!r} is none; expected one of "
            f"{', '.join((CALLS, USD, *MEASURES))}"
        )
    check_amount(f"{name}.included", one.included)
    if one.measure != USD and one.included != int(one.included):
        raise BillingError(f"{name}.included: {one.included} is not a whole number")
    if one.overage_usd is not None:
        if one.measure == USD:
            raise BillingError(f"{name}.overage_usd: dollars have no price")
        check_amount(f"{name}.overage_usd", one.overage_usd)
    if one.match.tenant is not None or one.match.plan is not None:
        raise BillingError(f"{name}.match: tenant and plan belong to the terms")
    check_match(one.match)


def parts_of(terms: Terms, billable: int, used: Sequence[Used]) -> list[Part]:
    """Return the parts of a month's bill that no call has.

    Args:
        terms: those of the tenant.
        billable: what all its calls came to, in pico.
        used: for each allowance what the calls that it covers came to. Calls that an earlier one
            covers as well are to be left out, so that nothing is taken off twice.
    """
    parts: list[Part] = []
    for one, each in zip(terms.allowances, used, strict=True):
        part = _allowance(one, each)
        if part.amount:
            parts.append(part)
    total = billable + sum(part.amount for part in parts)
    off = _discount(terms.discounts, total)
    if off:
        told = ", ".join(f"{one.percent} % above {one.above_usd} USD" for one in terms.discounts)
        parts.append(Part(DISCOUNT, -off, f"discount on {usd_text(total)} USD: {told}"))
        total -= off
    if terms.cap_usd is not None and total > (cap := pico_from_usd(terms.cap_usd)):
        parts.append(Part(CAP, cap - total, f"cap of {usd_text(cap)} USD"))
        total = cap
    if terms.minimum_usd is not None and total < (least := pico_from_usd(terms.minimum_usd)):
        parts.append(Part(MINIMUM, least - total, f"minimum of {usd_text(least)} USD"))
        total = least
    if terms.fee_usd:
        fee = pico_from_usd(terms.fee_usd)
        parts.append(Part(FEE, fee, f"fee of {usd_text(fee)} USD"))
    return parts


def _allowance(one: Allowance, used: Used) -> Part:
    if one.measure == USD:
        included = pico_from_usd(one.included)
        off = min(max(used.billable, 0), included)
        return Part(ALLOWANCE, -off, f"{one.included} USD included")
    included = int(one.included)
    beyond = max(0, used.quantity - included)
    told = f"{used.quantity} {one.measure}, {included} included"
    if one.overage_usd is None:
        if used.quantity <= 0 or used.billable <= 0:
            return Part(ALLOWANCE, 0, told)
        # Rounded once; what is left is the rest, so both add up to what the calls came to.
        off = round(Fraction(used.billable * min(used.quantity, included), used.quantity))
        return Part(ALLOWANCE, -off, f"{told}: their share of {usd_text(used.billable)} USD")
    units, words = (1, "call") if one.measure == CALLS else PRICED_PER[MEASURES[one.measure][0]]
    due = round(Fraction(one.overage_usd) * 10**12 * beyond / units)
    told = f"{told}, {beyond} at {one.overage_usd} USD per {words}"
    return Part(ALLOWANCE, due - used.billable, f"{told}, less {usd_text(used.billable)} USD")


def _discount(discounts: Sequence[Discount], total: int) -> int:
    """Return what is taken off: of each slice its own percentage, rounded once."""
    off = Fraction(0)
    for at, one in enumerate(discounts):
        above = pico_from_usd(one.above_usd)
        until = pico_from_usd(discounts[at + 1].above_usd) if at + 1 < len(discounts) else total
        off += max(0, min(total, until) - above) * Fraction(one.percent) / 100
    return round(off)


def quantity_of(measure: str, sums: Mapping[str, int | None]) -> int:
    """Return how much of a measure a row of sums has.

    Args:
        measure: of an allowance.
        sums: ``calls`` and kinds by name, ``billable_usd`` in pico.
    """
    if measure == USD:
        return sums["billable_usd"] or 0
    if measure == CALLS:
        return sums["calls"] or 0
    return sum(sums[kind] or 0 for kind in MEASURES[measure])
