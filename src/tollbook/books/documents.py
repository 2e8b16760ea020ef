"""Versioned, dated documents: what people decided, from when on, who, and why.

Price cards, billing rules, allocation policies, account mappings, exchange rates: whatever is kept
as text that some room reads. A document is never changed; a new version takes the place of the one
before from ``effective_from_ns`` on, and both stay readable.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.events import add_event, current_user
from tollbook.books.tables import documents
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.store import Books

BODY_CHARS_MAX: Final = 4_000_000
LAST_NS: Final = 2**63 - 1
"""The last moment that books and ledger can hold: in April 2262."""
DOCUMENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@*? -]{0,199}")


class Subject(StrEnum):
    """What a document is about; each has its own room that reads the body."""

    PRICE_CARD = "price_card"
    PRICE_TERMS = "price_terms"  # volume tiers, minimums, free quotas, commitments
    FX_RATES = "fx_rates"
    BILLING_RULE = "billing_rule"
    ALLOCATION_POLICY = "allocation_policy"
    METRIC = "metric"  # seats and the like, by tenant
    ATTRIBUTION_MODEL = "attribution_model"
    ACCOUNT_MAPPING = "account_mapping"
    STATEMENT_MAPPING = "statement_mapping"
    TRUE_UP_POLICY = "true_up_policy"
    BILLING_SYSTEM = "billing_system"
    MARGIN_TARGET = "margin_target"
    BUDGET = "budget"
    ALERT_RULE = "alert_rule"
    CHANNEL = "channel"  # where alerts are sent
    PORTAL = "portal"  # what tenants are shown, and how it looks


class Document(Struct, frozen=True, kw_only=True):
    """One version of one document."""

    subject: Subject
    name: str
    version: int
    effective_from_ns: int  # epoch, UTC
    effective_until_ns: int | None = None
    body: str  # JSON
    author: str
    reason: str
    created_at_ns: int

    @property
    def document_id(self) -> str:
        """``subject/name/version``: how entries and reports name it."""
        return f"{self.subject}/{self.name}/{self.version}"


class Draft(Struct, frozen=True, kw_only=True):
    """A version that is to be kept."""

    subject: Subject
    name: str
    body: str
    effective_from_ns: int  # epoch, UTC
    effective_until_ns: int | None = None
    reason: str


class DocumentsChangedError(TollbookError):
    """What new versions were checked against is no longer all there is."""

    def __init__(self) -> None:
        super().__init__("the books were changed meanwhile and nothing was kept; do it again")


class DocumentError(TollbookError):
    """A document that cannot be kept."""

    def __init__(self, subject: Subject, name: str, problem: str) -> None:
        super().__init__(f"{subject.replace('_', ' ')} {name!r}: {problem}")


def put_document(
    books: Books,
    subject: Subject,
    name: str,
    body: str,
    *,
    effective_from_ns: int,
    effective_until_ns: int | None = None,
    author: str | None = None,
    reason: str,
) -> tuple[Document, bool]:
    """Keep a new version; the same content again is the version that is there.

    Args:
        books: where it is kept.
        subject: what it is about.
        name: which of its subject.
        body: JSON text, checked by its room before.
        effective_from_ns: from when on it holds (epoch, UTC).
        effective_until_ns: the first moment it no longer holds; None is until further notice.
        author: who decided; None for this process's user.
        reason: why; not empty.

    Returns:
        The version, and whether it is new.

    Raises:
        DocumentError: the name, reason or size is not allowed.
        BooksError: the books cannot be written.
    """
    draft = Draft(
        subject=subject, name=name, body=body, effective_from_ns=effective_from_ns,
        effective_until_ns=effective_until_ns, reason=reason,
    )  # fmt: skip
    _check(draft)
    with books.write() as connection:
        return _put(connection, draft, author or current_user())


def put_documents(
    books: Books,
    drafts: Sequence[Draft],
    *,
    author: str | None = None,
    mark: int | None = None,
) -> list[tuple[Document, bool]]:
    """Keep several new versions, all of them or none; see :func:`put_document`.

    Args:
        books: where they are kept.
        drafts: in the order in which they are written.
        author: who decided; None for this process's user.
        mark: the :func:`documents_mark` of what they were checked against; None: of nothing.

    Raises:
        DocumentsChangedError: another document was kept since.
        DocumentError: the name, reason or size of one is not allowed.
        BooksError: the books cannot be written.
    """
    for draft in drafts:
        _check(draft)
    with books.write() as connection:
        if mark is not None and _mark(connection) != mark:
            raise DocumentsChangedError
        return [_put(connection, draft, author or current_user()) for draft in drafts]


def documents_mark(books: Books) -> int:
    """Return a number that grows with each document: whether there is anything new, cheaply.

    Raises:
        BooksError: the books cannot be read.
    """
    with books.read() as connection:
        return _mark(connection)


def _mark(connection: sa.Connection) -> int:
    # Rows are never deleted, so the last row's number grows with each.
    return int(connection.scalar(sa.text("SELECT max(rowid) FROM documents")) or 0)


def _check(draft: Draft) -> None:
    subject, name = draft.subject, draft.name
    if not DOCUMENT_NAME.fullmatch(name):
        raise DocumentError(subject, name[:64], "expected a name of letters, digits, . _ : @ * -")
    if not draft.reason.strip():
        raise DocumentError(subject, name, "expected a reason; give one with --reason")
    if len(draft.body) > BODY_CHARS_MAX:
        raise DocumentError(subject, name, f"is longer than {BODY_CHARS_MAX:,} characters")
    until_ns = draft.effective_until_ns
    if not 0 <= draft.effective_from_ns <= LAST_NS:
        raise DocumentError(subject, name, "effective_from: expected a date from 1970 to 2261")
    if until_ns is not None and until_ns > LAST_NS:
        problem = "effective_until: is after 2261; leave it out where there is no end"
        raise DocumentError(subject, name, problem)
    if until_ns is not None and until_ns <= draft.effective_from_ns:
        raise DocumentError(subject, name, "ends before it begins")


def _put(connection: sa.Connection, draft: Draft, author: str) -> tuple[Document, bool]:
    last = connection.execute(
        sa.select(documents)
        .where(documents.c.subject == draft.subject.value, documents.c.name == draft.name)
        .order_by(documents.c.version.desc())
        .limit(1)
    ).first()
    found = None if last is None else _document(last)
    dates = (draft.effective_from_ns, draft.effective_until_ns)
    if (
        found is not None
        and found.body == draft.body
        and (found.effective_from_ns, found.effective_until_ns) == dates
    ):
        return found, False
    new = Document(
        subject=draft.subject, name=draft.name, version=1 if found is None else found.version + 1,
        effective_from_ns=dates[0], effective_until_ns=dates[1], body=draft.body,
        author=author, reason=draft.reason.strip(), created_at_ns=clock.unix_ns(),
    )  # fmt: skip
    connection.execute(documents.insert().values(_row(new)))
    add_event(
        connection, actor=new.author, action="document.added",
        detail={"document": new.document_id, "reason": new.reason},
    )  # fmt: skip
    return new, True


def document_history(books: Books, subject: Subject, name: str | None = None) -> list[Document]:
    """Return every version of a document, or of all of a subject, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(documents).where(documents.c.subject == subject.value)
    if name is not None:
        query = query.where(documents.c.name == name)
    query = query.order_by(documents.c.created_at_ns, documents.c.name, documents.c.version)
    with books.read() as connection:
        return [_document(row) for row in connection.execute(query)]


def newest_documents(books: Books, subject: Subject) -> dict[str, Document]:
    """Return the newest version of each document of a subject, by name, whatever its dates.

    Raises:
        BooksError: the books cannot be read.
    """
    columns = documents.c
    newest = (
        sa.select(columns.name, sa.func.max(columns.version).label("version"))
        .where(columns.subject == subject.value)
        .group_by(columns.name)
        .subquery()
    )
    query = sa.select(documents).join(
        newest, (columns.name == newest.c.name) & (columns.version == newest.c.version)
    )
    with books.read() as connection:
        rows = connection.execute(query.where(columns.subject == subject.value))
        return {one.name: one for one in map(_document, rows)}


def documents_at(
    books: Books, subject: Subject, at_ns: int, *, known_before_ns: int | None = None
) -> dict[str, Document]:
    """Return what holds at a time, by name: of each the newest version whose dates cover it.

    Args:
        books: where they are kept.
        subject: what they are about.
        at_ns: the time that is asked for (epoch, UTC).
        known_before_ns: only what had been decided before; None is all that is known now.

    Raises:
        BooksError: the books cannot be read.
    """
    held: dict[str, Document] = {}
    for one in document_history(books, subject):
        is_known = known_before_ns is None or one.created_at_ns < known_before_ns
        is_over = one.effective_until_ns is not None and one.effective_until_ns <= at_ns
        if is_known and one.effective_from_ns <= at_ns and not is_over:
            kept = held.get(one.name)
            if kept is None or kept.version < one.version:
                held[one.name] = one
    return held


def _row(one: Document) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in Document.__struct_fields__}
    return fields | {"subject": one.subject.value, "document_id": one.document_id}


def _document(row: Any) -> Document:
    fields = {name: getattr(row, name) for name in Document.__struct_fields__}
    return Document(**(fields | {"subject": Subject(row.subject)}))
