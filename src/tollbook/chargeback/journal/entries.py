"""Double-entry transactions of a billing period as billed; each adds up to zero.

==============  ================================================================================
``usage``       debit cost by owner, credit accrual by provider: the month's own entries
``correction``  the same for entries of a month that is closed: credit prior, names the month
``allocation``  what shared costs were moved: debit receivers, credit origins
``invoice``     debit accrual, credit payable: one for each invoice of a provider
``variance``    what is left of a provider's accrual once it has invoiced
``chargeback``  debit receivable, credit revenue: what owners are charged
==============  ================================================================================

Accounts of cost, accrual, prior, payable and variance add up to those of the trial balance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook.chargeback.filing import original_month
from tollbook.chargeback.journal.mapping import (
    AccountMapping,
    Facts,
    Posting,
    beancount_name,
    filled,
)
from tollbook.chargeback.periods.trial_balance import INTERNAL
from tollbook.ledger.adjust import AdjustmentType
from tollbook.reports import measures
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.periods.period import Period
    from tollbook.chargeback.periods.trial_balance import Invoice
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

OWNERS: Final = ("tenant", "cost_center")
_BY: Final = ("month", *OWNERS, "provider", "adjustment", "corrects")
_BILLABLE: Final = "billable_usd"


class Line(NamedTuple):
    """One posting; a debit is positive."""

    facts: Facts
    account: str
    beancount: str
    cost_center: str
    text: str
    amount: int
    """In pico."""


class Transaction(NamedTuple):
    """Postings that add up to zero."""

    key: str
    """Within the period, the same whenever it is made."""
    kind: str
    original_period: str
    """The month of the entries; of a correction another than the journal's."""
    reference: str | None
    """What it corrects, or the invoice."""
    lines: tuple[Line, ...]


class Group(NamedTuple):
    """A sum of entries that are posted alike."""

    home: str
    facts: Facts
    corrects: str | None
    cost: int
    billable: int


def read_groups(reader: Reader, query: SpendQuery, period: Period) -> Iterator[Group]:
    """Yield the sums of a period that are not zero.

    Raises:
        QueryTimeoutError: it took too long.
    """
    by = replace(query, by=_BY, tz=period.timezone, measures=(measures.COST, _BILLABLE))
    for row in wide_rows(reader, by):
        cost, billable = row[measures.COST] or 0, row[_BILLABLE] or 0
        if cost or billable:
            yield Group(
                home=original_month(query, f"{row['month']:%Y-%m}"),
                facts=Facts(
                    Posting.COST, row["tenant"] or UNKNOWN, row["cost_center"],
                    row["provider"] or INTERNAL, row["adjustment"],
                ),
                corrects=row["corrects"], cost=cost, billable=billable,
            )  # fmt: skip


def transactions(
    groups: Iterable[Group], invoices: Iterable[Invoice], mapping: AccountMapping, period: str
) -> list[Transaction]:
    """Return the transactions of a period, in the order of the table above.

    Args:
        groups: sums of its entries; ``home`` is the month that an entry is of.
        invoices: of the period.
        mapping: the accounts.
        period: its name.
    """
    known = list(groups)
    maker = _Maker(mapping, period)
    owned = [one for one in known if one.facts.adjustment != AdjustmentType.ALLOCATION]
    for home in sorted({one.home for one in owned}, key=lambda home: (home != period, home)):
        some = [one for one in owned if one.home == home]
        if home == period:
            maker.usage(some)
        else:
            for corrects in sorted({one.corrects or "" for one in some}):
                maker.correction(home, corrects, some)
    maker.allocation([one for one in known if one.facts.adjustment == AdjustmentType.ALLOCATION])
    accrued: dict[str, int] = {}
    for one in owned:
        if one.home == period:
            accrued[one.facts.provider or ""] = accrued.get(one.facts.provider or "", 0) + one.cost
    maker.invoices(invoices, accrued)
    maker.chargeback(known)
    return maker.made


class _Place(NamedTuple):
    account: str
    beancount: str
    cost_center: str
    text: str
    tenant: str | None
    provider: str | None


class _Maker:
    """Collects postings by account, and turns them into transactions."""

    def __init__(self, mapping: AccountMapping, period: str) -> None:
        self._mapping, self._period = mapping, period
        self.made: list[Transaction] = []

    def usage(self, groups: list[Group]) -> None:
        lines = self._costs(groups, Posting.ACCRUAL)
        self._add("usage", "usage", self._period, None, lines)

    def correction(self, home: str, corrects: str, groups: list[Group]) -> None:
        some = [one for one in groups if (one.corrects or "") == corrects]
        key = f"correction/{home}" + (f"/{corrects}" if corrects else "")
        self._add(key, "correction", home, corrects or home, self._costs(some, Posting.PRIOR))

    def _costs(self, groups: list[Group], owed: Posting) -> list[tuple[Facts, int]]:
        lines = [(one.facts, one.cost) for one in groups]
        return [*lines, *((Facts(owed, provider=one.facts.provider), -one.cost) for one in groups)]

    def allocation(self, groups: list[Group]) -> None:
        for home in sorted({one.home for one in groups}):
            lines = [(one.facts, one.cost) for one in groups if one.home == home]
            # Zero, unless what belongs together was booked into two periods.
            lines.append((Facts(Posting.CLEARING), -sum(amount for _, amount in lines)))
            self._add(f"allocation/{home}", "allocation", home, None, lines)

    def invoices(self, invoices: Iterable[Invoice], accrued: dict[str, int]) -> None:
        left: dict[str, int] = {}
        for one in invoices:
            left.setdefault(one.provider, accrued.get(one.provider, 0))
            left[one.provider] -= one.amount
            owed = Facts(Posting.ACCRUAL, provider=one.provider, invoice=one.invoice_id)
            lines = [(owed, one.amount), (owed._replace(posting=Posting.PAYABLE), -one.amount)]
            key = f"invoice/{one.provider}/{one.invoice_id}"
            self._add(key, "invoice", self._period, one.invoice_id, lines)
        for provider, amount in sorted(left.items()):
            owed = Facts(Posting.ACCRUAL, provider=provider)
            lines = [(owed, amount), (owed._replace(posting=Posting.VARIANCE), -amount)]
            self._add(f"variance/{provider}", "variance", self._period, None, lines)

    def chargeback(self, groups: list[Group]) -> None:
        basis = self._mapping.chargeback
        if basis == "none":
            return
        for home in sorted({one.home for one in groups}, key=lambda at: (at != self._period, at)):
            lines = []
            for one in groups:
                amount = one.billable if basis == "billable" else one.cost
                if one.home == home and amount:
                    owner = one.facts._replace(posting=Posting.RECEIVABLE)
                    lines.append((owner, amount))
                    lines.append((owner._replace(posting=Posting.REVENUE), -amount))
            is_late = home != self._period
            self._add(
                f"chargeback/{home}", "chargeback", home, home if is_late else None, lines
            )  # fmt: skip

    def _add(
        self, key: str, kind: str, home: str, reference: str | None,
        given: Iterable[tuple[Facts, int]],
    ) -> None:  # fmt: skip
        summed: dict[_Place, int] = {}
        facts_of: dict[_Place, Facts] = {}
        for facts, amount in given:
            place = self._place(facts)
            summed[place] = summed.get(place, 0) + amount
            facts_of.setdefault(place, facts)
        lines = tuple(
            Line(
                facts_of[place],
                place.account,
                place.beancount,
                place.cost_center,
                place.text,
                amount,
            )
            for place, amount in summed.items()
            if amount
        )
        assert not sum(line.amount for line in lines), f"{key} does not balance"
        if lines:
            self.made.append(Transaction(key, kind, home, reference, lines))

    def _place(self, facts: Facts) -> _Place:
        """Return what is posted on one line: account, cost centre, text, and who it is of."""
        one = self._mapping.account_of(facts)
        center = ""
        if facts.cost_center is not None or "{cost_center}" not in one.book_cost_center:
            center = filled(one.book_cost_center, facts, self._period)
        beancount = beancount_name(one, facts, self._period)
        text = _text(facts) if one.text is None else filled(one.text, facts, self._period)
        account = filled(one.account, facts, self._period)
        return _Place(account, beancount, center, text, facts.tenant, facts.provider)


def _text(facts: Facts) -> str:
    what = (facts.posting, facts.adjustment, facts.tenant, facts.provider, facts.invoice)
    return " ".join(word for word in what if word)
