"""Account mappings: which account a posting goes to, by patterns, the first that fits.

Kept as documents (:attr:`Subject.ACCOUNT_MAPPING`), so that a journal of an old month is made with
the accounts that held then.
"""

from __future__ import annotations

import re
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.books.documents import DocumentError, Subject, documents_at
from tollbook.chargeback.journal.names import account_problem, component
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.books.store import Books

DEFAULT_NAME: Final = "default"
ACCOUNTS_MAX: Final = 10_000
TEXT_MAX: Final = 200
_FIELD: Final = re.compile(r"\{([a-z_]*)\}")


class Posting(StrEnum):
    """What a posting is, whatever account a company books it to."""

    COST = "cost"  # of an owner (debit)
    ACCRUAL = "accrual"  # owed for the month, not invoiced (credit); an invoice takes it back
    PRIOR = "prior"  # owed for a month that is closed (credit)
    PAYABLE = "payable"  # an invoice (credit)
    VARIANCE = "variance"  # of an invoice and what was accrued
    CLEARING = "clearing"  # what allocations have moved out and not in: nothing, where all is well
    RECEIVABLE = "receivable"  # what a tenant or department owes for its usage (debit)
    REVENUE = "revenue"  # the same, as income or recovery (credit)


class Facts(NamedTuple):
    """What patterns are held against; None is not set."""

    posting: str
    tenant: str | None = None
    cost_center: str | None = None
    provider: str | None = None
    adjustment: str | None = None
    invoice: str | None = None


class Account(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a mapping. A pattern is a name with ``*`` and ``?``; none fits everything.

    ``account``, ``book_cost_center`` and ``text`` may name ``{tenant}``, ``{cost_center}``,
    ``{provider}``, ``{adjustment}``, ``{invoice}``, ``{posting}``, ``{period}``.
    """

    posting: Posting | None = None
    tenant: str | None = None
    cost_center: str | None = None
    provider: str | None = None
    adjustment: str | None = None
    """An adjustment's type such as ``tax``; ``none`` for calls."""
    account: str
    """The number or name in the general ledger."""
    beancount: str | None = None
    """The account's name in the beancount text; None makes one of posting and ``account``."""
    book_cost_center: str = "{cost_center}"
    """The cost centre (or department) column."""
    text: str | None = None
    """None: a text made of what is posted."""

    def fits(self, facts: Facts) -> bool:
        """Whether it is for such a posting."""
        if self.posting is not None and self.posting != facts.posting:
            return False
        told = (
            (self.tenant, facts.tenant), (self.cost_center, facts.cost_center),
            (self.provider, facts.provider), (self.adjustment, facts.adjustment or "none"),
        )  # fmt: skip
        return all(pattern is None or fnmatchcase(value or "", pattern) for pattern, value in told)


class AccountMapping(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping: lines in the order in which they are tried, then the standard accounts."""

    accounts: tuple[Account, ...] = ()
    chargeback: Literal["billable", "cost", "none"] = "billable"
    """What owners are charged: the billable price, their cost, or nothing (showback)."""

    def account_of(self, facts: Facts) -> Account:
        """Return the first line that fits; the standard accounts fit everything."""
        return next(one for one in (*self.accounts, *STANDARD.accounts) if one.fits(facts))


STANDARD: Final = AccountMapping(
    accounts=(
        Account(posting=Posting.COST, adjustment="tax", account="LLM-TAX",
                beancount="Expenses:LLM:Tax"),
        Account(posting=Posting.COST, adjustment="credit", account="LLM-CREDITS",
                beancount="Expenses:LLM:Credits"),
        Account(posting=Posting.COST, adjustment="idle_commitment", account="LLM-IDLE",
                beancount="Expenses:LLM:IdleCommitment"),
        Account(posting=Posting.COST, account="LLM-COST", beancount="Expenses:LLM:Usage"),
        Account(posting=Posting.ACCRUAL, account="LLM-ACCRUED-{provider}",
                beancount="Liabilities:LLM:Accrued:{provider}"),
        Account(posting=Posting.PRIOR, account="LLM-ACCRUED-PRIOR-{provider}",
                beancount="Liabilities:LLM:AccruedPrior:{provider}"),
        Account(posting=Posting.PAYABLE, account="LLM-PAYABLE-{provider}",
                beancount="Liabilities:LLM:Payable:{provider}"),
        Account(posting=Posting.VARIANCE, account="LLM-VARIANCE-{provider}",
                beancount="Expenses:LLM:Variance:{provider}"),
        Account(posting=Posting.CLEARING, account="LLM-CLEARING",
                beancount="Equity:LLM:AllocationClearing"),
        Account(posting=Posting.RECEIVABLE, account="LLM-RECEIVABLE-{tenant}",
                beancount="Assets:LLM:Receivable:{tenant}"),
        Account(posting=Posting.REVENUE, account="LLM-RECOVERY",
                beancount="Income:LLM:Chargeback"),
    ),
)  # fmt: skip


class InForce(NamedTuple):
    """A mapping with the document it is of; None: the standard accounts."""

    mapping: AccountMapping
    document_id: str | None


class MappingError(TollbookError):
    """A mapping that cannot be used."""


def read_mapping(text: str | bytes, name: str) -> AccountMapping:
    """Read and check a mapping.

    Raises:
        MappingError: naming what is wrong.
    """
    try:
        read = msgspec.json.decode(text, type=AccountMapping)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MappingError(f"account mapping {name!r}: {error}") from error
    if len(read.accounts) > ACCOUNTS_MAX:
        raise MappingError(f"account mapping {name!r}: more than {ACCOUNTS_MAX:,} accounts")
    for at, one in enumerate(read.accounts, 1):
        for field in ("account", "beancount", "book_cost_center", "text"):
            problem = _problem(getattr(one, field))
            if problem is None and field == "beancount" and one.beancount is not None:
                problem = account_problem(_FIELD.sub("X", one.beancount))
            if problem is not None:
                raise MappingError(f"account mapping {name!r}: accounts[{at}].{field}: {problem}")
    return read


def _problem(template: str | None) -> str | None:
    if template is None:
        return None
    if len(template) > TEXT_MAX:
        return f"longer than {TEXT_MAX} characters"
    known = {*Facts._fields, "period"}
    unknown = [name for name in _FIELD.findall(template) if name not in known]
    return f"unknown {{{unknown[0]}}}; expected {', '.join(sorted(known))}" if unknown else None


def filled(template: str, facts: Facts, period: str) -> str:
    """Return a template with its names filled in; what is not set is ``unknown``."""
    values = {**facts._asdict(), "period": period}
    return _FIELD.sub(lambda found: values.get(found[1]) or "unknown", template)


_ROOTS: Final = {
    Posting.COST: "Expenses", Posting.VARIANCE: "Expenses", Posting.ACCRUAL: "Liabilities",
    Posting.PRIOR: "Liabilities", Posting.PAYABLE: "Liabilities", Posting.CLEARING: "Equity",
    Posting.RECEIVABLE: "Assets", Posting.REVENUE: "Income",
}  # fmt: skip


def beancount_name(one: Account, facts: Facts, period: str) -> str:
    """Return the name of an account in beancount, whatever characters its facts are of."""
    if one.beancount is None:
        root = _ROOTS[Posting(facts.posting)]
        return f"{root}:LLM:{component(filled(one.account, facts, period))}"
    told = {
        name: "Unknown" if value is None else component(value)
        for name, value in facts._asdict().items()
    }
    return filled(one.beancount, Facts(**told), component(period))


def mapping_at(books: Books, name: str, at_ns: int) -> InForce:
    """Return the mapping of that name that holds at a time.

    Raises:
        DocumentError: a name other than ``default`` that nothing holds of.
        MappingError: it cannot be read.
    """
    found = documents_at(books, Subject.ACCOUNT_MAPPING, at_ns).get(name)
    if found is None:
        if name != DEFAULT_NAME:
            raise DocumentError(
                Subject.ACCOUNT_MAPPING, name, "none holds in that period; see tollbook export "
                "journal-accounts",
            )  # fmt: skip
        return InForce(STANDARD, None)
    return InForce(read_mapping(found.body, name), found.document_id)
