"""The seal of a period: a hash over its entries and all that its figures rest on.

The body names each part with a digest of its own, so that a later look can say what changed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from tollbook.books.documents import Subject, document_history
from tollbook.books.tables_periods import period_seals
from tollbook.chargeback.allocate.shelf import allocations
from tollbook.chargeback.periods.cutoffs import closes
from tollbook.chargeback.periods.seal_entries import Slice, slices
from tollbook.chargeback.periods.sums import period_query
from tollbook.chargeback.reconcile.model import State
from tollbook.chargeback.reconcile.shelf import reconciliations, run_history
from tollbook.chargeback.statements.shelf import statements
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.chargeback.periods.cutoffs import Close
    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk

FORM: Final = 1
"""Of the body; a later program that hashes otherwise counts on."""


class Part(Struct, frozen=True):
    """One document, statement or run, and the digest of its content."""

    name: str
    digest: str


class Seal(Struct, frozen=True, kw_only=True):
    """What is hashed."""

    form: int
    period: str
    timezone: str
    mode: str
    after_entry: int | None
    """The period before was closed at it; None: no period was."""
    upto_entry: int
    chain: str
    """Hash of the batch that ends with the last entry; it covers every entry before."""
    entries: list[Slice]
    statements: list[Part]
    reconciliations: list[Part]
    allocations: list[Part]
    documents: list[Part]
    accepted: list[Part]
    previous: str | None
    """Seal of the period that was closed before."""


class ChainError(TollbookError):
    """The ledger does not end with a whole batch where a seal is to be set."""

    def __init__(self, entry_id: int) -> None:
        super().__init__(f"no batch of the ledger ends with entry {entry_id}; see tollbook verify")


def encode(seal: Seal) -> str:
    """Return the body as it is hashed and kept."""
    return msgspec.json.encode(seal, order="deterministic").decode()


def digest(body: str) -> str:
    """Return the seal of a body."""
    return hashlib.sha256(body.encode()).hexdigest()


def make_seal(
    desk: Desk, period: Period, upto_entry: int, accepted: list[Part], known_before_ns: int | None
) -> Seal:
    """Read everything that a period rests on.

    Args:
        desk: what is open.
        period: which month.
        upto_entry: the last entry that counts.
        accepted: checks that were accepted, with their problems.
        known_before_ns: statements, runs and documents that were there before; None: all.

    Raises:
        ChainError: no batch ends at the last entry.
        QueryTimeoutError: a query took too long.
        BooksError: the books cannot be read.
    """
    query = period_query(desk, period)
    assert query.entry_window is not None, "a period's query is looked up"
    after = query.entry_window.after_entry
    window = replace(  # as it will be found once the period is closed, see window_among
        query.entry_window, after_entry=None if after == upto_entry else after,
        upto_entry=upto_entry,
    )  # fmt: skip
    earlier = [one for one in closes(desk.books) if one.period < period.name]
    return Seal(
        form=FORM, period=period.name, timezone=period.timezone, mode=desk.config.finance.mode,
        after_entry=window.after_entry, upto_entry=upto_entry,
        chain=_chain_at(desk, upto_entry),
        entries=slices(desk.reader, replace(query, entry_window=window)),
        statements=_statements(desk.books, period, known_before_ns),
        reconciliations=_reconciliations(desk.books, period, known_before_ns),
        allocations=[
            Part(one.run_id, _of(msgspec.json.encode(one)))
            for one in allocations(desk.books, period.name)
        ],
        documents=_documents(desk.books, period, known_before_ns),
        accepted=accepted,
        previous=earlier[-1].seal if earlier else None,
    )  # fmt: skip


def _chain_at(desk: Desk, entry_id: int) -> str:
    if entry_id == 0:
        return ""
    rows = desk.reader.fetch("SELECT hash FROM batches WHERE last_entry_id = ?", [entry_id])
    if not rows:
        raise ChainError(entry_id)
    return str(rows[0][0])


def _statements(books: Books, period: Period, known_before_ns: int | None) -> list[Part]:
    found = statements(
        books, since_ns=period.start_ns, until_ns=period.end_ns, known_before_ns=known_before_ns
    )
    return sorted(
        (Part(one.statement_id, f"{one.raw_sha256}:{one.finality}") for one in found), key=_name
    )


def _reconciliations(books: Books, period: Period, known_before_ns: int | None) -> list[Part]:
    found = []
    for newest in reconciliations(books, period.name):
        runs = [
            one for one in run_history(books, period.name, newest.provider)
            if known_before_ns is None or one.created_at_ns < known_before_ns
        ]  # fmt: skip
        if runs:
            # What people say of a run goes on after the close: the run alone is sealed.
            told = replace(runs[-1], state=State.OPEN)
            found.append(Part(told.run_id, _of(msgspec.json.encode(told))))
    return found


def _documents(books: Books, period: Period, known_before_ns: int | None) -> list[Part]:
    found = []
    for subject in Subject:
        for one in document_history(books, subject):
            is_known = known_before_ns is None or one.created_at_ns < known_before_ns
            is_over = (one.effective_until_ns or period.end_ns) <= period.start_ns
            if is_known and one.effective_from_ns < period.end_ns and not is_over:
                found.append(Part(one.document_id, _of(one.body.encode())))
    return sorted(found, key=_name)


def _name(part: Part) -> str:
    return part.name


def _of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class KeptSeal(Struct, frozen=True, kw_only=True):
    """A seal as it was prepared."""

    seal: str
    period: str
    cutoff_entry_id: int
    body: str
    prepared_by: str
    prepared_at_ns: int

    def read(self) -> Seal:
        """Return the parts."""
        return msgspec.json.decode(self.body, type=Seal)


def kept_seal(books: Books, seal: str) -> KeptSeal | None:
    """Return a seal by its hash; None: there is none.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        row: Any = connection.execute(
            sa.select(period_seals).where(period_seals.c.seal == seal)
        ).first()
    return None if row is None else KeptSeal(**row._asdict())


def add_seal(connection: sa.Connection, kept: KeptSeal) -> None:
    """Keep a seal inside a transaction of the caller's; the same one again is the same."""
    fields = {name: getattr(kept, name) for name in KeptSeal.__struct_fields__}
    connection.execute(sa.insert(period_seals).prefix_with("OR IGNORE").values(fields))


def close_of(books: Books, period: str) -> Close | None:
    """Return the close of a period; None: it is open, or was closed with a later one."""
    return next((one for one in closes(books) if one.period == period), None)
