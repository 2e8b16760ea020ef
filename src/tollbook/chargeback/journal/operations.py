"""Journals over the API: make one, look at what it would be, keep and list account mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.books.documents import Subject, document_history, put_document
from tollbook.chargeback.cents import cents_text
from tollbook.chargeback.filing import Written, file_export, filed_answer, fixed_query, stamp
from tollbook.chargeback.journal.entries import Transaction, read_groups, transactions
from tollbook.chargeback.journal.mapping import DEFAULT_NAME, mapping_at, read_mapping
from tollbook.chargeback.journal.writers import (
    rounded,
    transaction_id,
    write_beancount,
    write_csv,
)
from tollbook.chargeback.periods import Period, the_period
from tollbook.chargeback.periods.trial_balance import invoices_of
from tollbook.desk import Desk, Operation
from tollbook.errors import TollbookError
from tollbook.money import usd_text

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.chargeback.journal.mapping import InForce
    from tollbook.reports.query import SpendQuery

KIND: Final = "journal"


class EmptyJournalError(TollbookError):
    """A period without anything to post."""

    def __init__(self, period: str) -> None:
        super().__init__(f"nothing to post: the ledger has no cost in {period}, and no invoice")


class JournalRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which month, with which accounts."""

    period: str
    """``2026-10``; as billed."""
    mapping: str = DEFAULT_NAME
    open_accounts: bool = True
    """Whether the beancount text opens its accounts."""


class PreviewRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which month, with which accounts."""

    period: str
    mapping: str = DEFAULT_NAME


class AccountsRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mapping to keep, see :class:`tollbook.chargeback.journal.mapping.AccountMapping`."""

    name: str = DEFAULT_NAME
    body: dict[str, Any]
    period: str = "1970-02"
    """The first month it holds for."""
    reason: str


class NothingAsked(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Nothing to say."""


class Journal(NamedTuple):
    """What is to be written of a month."""

    period: Period
    query: SpendQuery
    mapping: InForce
    transactions: list[Transaction]
    problems: list[str]


def journal_of(desk: Desk, name: str, mapping: str) -> Journal:
    """Return the journal of a month as billed.

    Raises:
        PeriodNameError: it is no month.
        MappingError: the accounts cannot be read.
        EmptyJournalError: there is nothing to post.
        QueryTimeoutError: it took too long.
    """
    period = the_period(desk.books, desk.config, name)
    query = fixed_query(desk, period)
    chosen = mapping_at(desk.books, mapping, period.end_ns - 1)
    invoices, problems = invoices_of(desk, period)
    groups = read_groups(desk.reader, query, period)
    made = transactions(groups, invoices, chosen.mapping, period.name)
    if not made:
        raise EmptyJournalError(period.name)
    return Journal(period, query, chosen, made, problems)


def export_journal(desk: Desk, request: JournalRequest) -> dict[str, Any]:
    """Write the journal of a month as CSV and beancount text.

    Raises:
        EmptyJournalError: there is nothing to post.
    """
    journal = journal_of(desk, request.period, request.mapping)
    period, made = journal.period, journal.transactions

    def write(directory: Path) -> list[Written]:
        base = f"journal-{period.name}"
        with (directory / f"{base}.csv").open("w", newline="", encoding="utf-8") as out:
            lines = write_csv(out, period, made)
        with (directory / f"{base}.beancount").open("w", encoding="utf-8") as out:
            count = write_beancount(out, period, made, opens=request.open_accounts)
        return [Written(f"{base}.csv", "postings", lines),
                Written(f"{base}.beancount", "transactions", count)]  # fmt: skip

    manifest = stamp(desk, period, journal.query) | {
        "account_mapping": journal.mapping.document_id or "standard accounts",
        "totals": {
            "transactions": len(made),
            "debit_usd": cents_text(sum(cents for one in made for _, cents in rounded(one)
                                        if cents > 0)),
            "balance_exact_usd": usd_text(sum(line.amount for one in made for line in one.lines)),
        },
        "problems": journal.problems,
    }  # fmt: skip
    record, directory = file_export(desk, KIND, period, manifest, write)
    return filed_answer(record, directory)


def preview_journal(desk: Desk, request: PreviewRequest) -> dict[str, Any]:
    """Return the postings of a month without writing anything."""
    journal = journal_of(desk, request.period, request.mapping)
    rows = [
        {
            "transaction_id": transaction_id(one, journal.period), "account": line.account,
            "cost_center": line.cost_center, "tenant": line.facts.tenant,
            "provider": line.facts.provider, "text": line.text,
            "original_period": one.original_period, "reference": one.reference,
            "amount_usd": cents_text(cents), "amount_exact_usd": usd_text(line.amount),
        }
        for one in journal.transactions
        for line, cents in rounded(one)
    ]  # fmt: skip
    return {"rows": rows, "currency": "USD", "problems": journal.problems}


def keep_accounts(desk: Desk, request: AccountsRequest) -> dict[str, Any]:
    """Keep an account mapping from a month on.

    Raises:
        MappingError: naming what is wrong with it.
        DocumentError: the name or the reason is not allowed.
    """
    text = msgspec.json.encode(request.body).decode()
    read_mapping(text, request.name)
    kept, is_new = put_document(
        desk.books, Subject.ACCOUNT_MAPPING, request.name, text,
        effective_from_ns=the_period(desk.books, desk.config, request.period).start_ns,
        author=desk.author, reason=request.reason,
    )  # fmt: skip
    return {"rows": [{"document": kept.document_id, "new": is_new, "author": kept.author}]}


def list_accounts(desk: Desk, request: NothingAsked) -> dict[str, Any]:
    """Return every version of the account mappings."""
    del request
    rows = [
        {
            "document": one.document_id, "author": one.author, "reason": one.reason,
            "body": one.body,
        }
        for one in document_history(desk.books, Subject.ACCOUNT_MAPPING)
    ]  # fmt: skip
    return {"rows": rows}


OPERATIONS: Final = (
    Operation("journal.export", "POST", "/exports/journal", JournalRequest, export_journal,
              "Export the journal entries of a billing period."),
    Operation("journal.preview", "GET", "/exports/journal", PreviewRequest, preview_journal,
              "Show the journal entries of a billing period."),
    Operation("journal.keep_accounts", "POST", "/exports/journal/accounts", AccountsRequest,
              keep_accounts, "Keep an account mapping."),
    Operation("journal.list_accounts", "GET", "/exports/journal/accounts", NothingAsked,
              list_accounts, "List account mappings."),
)  # fmt: skip
