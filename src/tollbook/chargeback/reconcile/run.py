"""Reconcile a provider: read both sides, explain the difference, keep what came out."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import asdict, replace

from tollbook import clock
from tollbook.books.events import current_user
from tollbook.chargeback.periods.cutoffs import timezone_of_periods
from tollbook.chargeback.pricebook.shelf import price_book
from tollbook.chargeback.reconcile.keys import DAY_NS, Key, ModelNames, day_text
from tollbook.chargeback.reconcile.ledgerside import ledger_side
from tollbook.chargeback.reconcile.model import Cause, MoneyBasis, Reconciliation
from tollbook.chargeback.reconcile.policy import policy_at
from tollbook.chargeback.reconcile.providerside import Asked, provider_side
from tollbook.chargeback.reconcile.rule_invoice import rounding_tolerance
from tollbook.chargeback.reconcile.rules import explain
from tollbook.chargeback.reconcile.shelf import keep_run, reconciliations_of
from tollbook.chargeback.reconcile.world import World
from tollbook.chargeback.statements.operations import preference
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tollbook.chargeback.reconcile.model import Difference
    from tollbook.chargeback.reconcile.providerside import ProviderSide
    from tollbook.desk import Desk

NOTHING_TOLD: Final = "no statement of this time is imported; nothing is compared"
ZONE_APART: Final = (
    "days and months here are UTC, as providers bill; billing periods are months of {zone}, "
    "so calls near midnight of the first may stand in another month's books"
)
_UTC_NAMES: Final = frozenset(["UTC", "Etc/UTC"])
_UNCOVERED: Final = frozenset([Cause.BYPASS, Cause.UNEXPLAINED])
_APART: Final = frozenset([
    Cause.CREDIT, Cause.TAX, Cause.MINIMUM, Cause.FEE, Cause.COMMITMENT, Cause.BYPASS, Cause.FX,
    Cause.ROUNDING,
])  # fmt: skip
"""Causes that say nothing of how right the ledger is about its own calls."""
_NOT_CONTENT: Final = frozenset(["run_id", "created_at_ns", "author", "trued_up", "state"])
_ID_CHARS: Final = 20
_MONTH_DAYS_MAX: Final = 31


def reconcile_provider(
    desk: Desk, provider: str, since: datetime, until: datetime, *, keep: bool = True
) -> Reconciliation:
    """Reconcile a provider over whole days of UTC and keep the run.

    A run that comes out as the one before is that run.

    Args:
        desk: the ledger and the books.
        provider: as configured.
        since: first moment; a month counts invoices too.
        until: first moment that is no longer in it.
        keep: whether to keep it; without, nothing is written.

    Raises:
        QueryTimeoutError: the ledger took too long.
        BooksError: the books cannot be used.
        PolicyError: the true-up policy cannot be used.
    """
    first_day, last_day = _day(since), max(_day(until), _day(since) + 1)
    since_ns, until_ns = first_day * DAY_NS, last_day * DAY_NS
    is_month = (since.day, until.day) == (1, 1) and (until - since).days <= _MONTH_DAYS_MAX
    names = ModelNames(desk.config, provider)
    ledger = ledger_side(desk.reader, provider, since_ns, until_ns, names)
    asked = Asked(provider, since_ns, until_ns, is_month, preference(desk.config))
    told = provider_side(desk.books, asked, names)
    policy, _ = policy_at(desk.books, provider, since_ns)
    run = Reconciliation(
        run_id="", provider=provider,
        period=f"{since:%Y-%m}" if is_month else f"{day_text(first_day)}/{day_text(last_day)}",
        start_ns=since_ns, end_ns=until_ns, basis=_basis(told), billed=ledger.cost,
        ledger=ledger.cost, trued_up=ledger.trued_up, is_final=told.is_final, bill=told.bill,
        statements=told.statements, words=(*told.words, *_zone_words(desk)),
        created_at_ns=clock.unix_ns(),
        author=desk.author or current_user(), tolerance=rounding_tolerance(told.rows),
    )  # fmt: skip
    if run.basis is MoneyBasis.NONE:
        run = replace(run, words=(*run.words, NOTHING_TOLD))
    else:
        world = World(ledger, told, first_day, last_day, _card_price(desk, provider))
        findings = explain(world, policy.own_keys)
        # By the days, where no statement speaks of money; by what is payable where one does.
        billed = ledger.cost + findings.total() if told.total is None else told.total
        found = tuple(findings.differences(provider, run.period))
        usage = billed if told.usage_total is None else told.usage_total
        run = _measured(replace(run, billed=billed, usage_billed=usage, differences=found))
        assert findings.total() == run.difference, "the causes add up to the difference"
    return _kept(desk, run) if keep else run


def _zone_words(desk: Desk) -> tuple[str, ...]:
    """Say that a month here is another than a billing period, where it is."""
    zone = timezone_of_periods(desk.books, desk.config)
    return () if zone in _UTC_NAMES else (ZONE_APART.format(zone=zone),)


def _day(at: datetime) -> int:
    return int(at.timestamp()) // (DAY_NS // 10**9)


def _basis(told: ProviderSide) -> MoneyBasis:
    if told.is_invoiced:
        return MoneyBasis.INVOICE
    if told.total is not None:
        return MoneyBasis.COST
    return MoneyBasis.USAGE if told.usage else MoneyBasis.NONE


def _measured(run: Reconciliation) -> Reconciliation:
    """Return the run with what the ledger covers and how far off it is there."""
    found = run.differences
    missing = sum(one.amount for one in found if one.cause in _UNCOVERED and one.amount > 0)
    errors = sum(
        abs(one.amount) for one in found
        if one.cause not in _APART and not (one.cause is Cause.UNEXPLAINED and one.amount > 0)
    )  # fmt: skip
    return replace(run, covered=max(run.usage_billed - missing, 0), errors=errors)


def _card_price(desk: Desk, provider: str) -> Callable[[Key, int], Fraction | None]:
    book: Any = None

    def price(key: Key, day: int) -> Fraction | None:
        nonlocal book
        if key.kind is None:
            return None
        if book is None:
            book = price_book(desk)
        card = book.resolve(provider, key.model, day * DAY_NS, key.tier, key.region)
        rate = None if card is None else card.rates[KINDS.index(key.kind)]
        return None if rate is None else Fraction(rate.numerator, rate.denominator)

    return price


def _kept(desk: Desk, run: Reconciliation) -> Reconciliation:
    before = reconciliations_of(desk.books, run.period, run.provider)
    last = before[0] if before else None
    if last is not None and _content(last) == _content(run):
        return replace(last, trued_up=run.trued_up)
    previous = b"" if last is None else last.run_id.encode()
    digest = hashlib.sha256(previous + b"\0" + _content(run)).hexdigest()[:_ID_CHARS]
    run = replace(run, run_id=f"rec-{digest}")
    keep_run(desk.books, run)
    return run


def _content(run: Reconciliation) -> bytes:
    told = {name: value for name, value in asdict(run).items() if name not in _NOT_CONTENT}
    return msgspec.json.encode(told, order="sorted")


def variance(run: Reconciliation, causes: frozenset[Cause]) -> list[Difference]:
    """Return the differences of some causes."""
    return [one for one in run.differences if one.cause in causes]
