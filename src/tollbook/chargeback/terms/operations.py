"""What can be asked of price terms: which there are, what a month of them comes to, book it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tollbook.books.documents import (
    Document,
    Draft,
    Subject,
    document_history,
    documents_mark,
    put_documents,
)
from tollbook.chargeback.periods.cutoffs import the_period
from tollbook.chargeback.terms import answers
from tollbook.chargeback.terms.booking import apply_terms, standings
from tollbook.chargeback.terms.errors import TermError
from tollbook.chargeback.terms.files import WrittenTerm, read_terms
from tollbook.chargeback.terms.reading import read_term
from tollbook.chargeback.terms.spans import ns_of
from tollbook.chargeback.terms.versions import terms_in_force
from tollbook.desk import Desk, Operation

CURRENCY: Final = "USD"


class ImportTerms(Struct, forbid_unknown_fields=True, kw_only=True):
    """A file of terms."""

    file: str
    """Its name, for errors and for its format."""
    text: str
    reason: str
    author: str | None = None
    dry_run: bool = False


class EndTerm(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which term is over, and from when on."""

    name: str
    at: str
    """A date, in the term's zone, or a moment."""
    reason: str
    author: str | None = None


class WhichTerms(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which terms."""

    name: str | None = None


class ShownTerms(Struct, forbid_unknown_fields=True, kw_only=True):
    """The terms of a month, or the newest versions of all."""

    period: str | None = None


class WhichPeriod(Struct, forbid_unknown_fields=True, kw_only=True):
    """A month."""

    period: str


def show(desk: Desk, asked: ShownTerms) -> dict[str, Any]:
    """Return the newest version of each term, or those in force in a month."""
    if asked.period is None:
        newest = {one.name: one for one in document_history(desk.books, Subject.PRICE_TERMS)}
        documents = list(newest.values())
    else:
        period = the_period(desk.books, desk.config, asked.period)
        in_force = terms_in_force(desk.books, period.name)
        documents = [one.document for one in in_force]
    return {"rows": [_row(one) for one in documents]}


def history(desk: Desk, asked: WhichTerms) -> dict[str, Any]:
    """Return every version of the terms, or of one, oldest first."""
    found = document_history(desk.books, Subject.PRICE_TERMS, asked.name)
    return {"rows": [_row(one) for one in found]}


def _row(one: Document) -> dict[str, Any]:
    return answers.of_document(one, read_term(one.name, one.body))


def import_terms(desk: Desk, asked: ImportTerms) -> dict[str, Any]:
    """Check a file of terms and keep new versions: all of them, or none."""
    mark = documents_mark(desk.books)
    written = read_terms(asked.file, asked.text)
    drafts = [_draft(one, asked.reason) for one in written]
    if asked.dry_run:
        kept = {one.name: one for one in document_history(desk.books, Subject.PRICE_TERMS)}
        rows = [
            {"name": one.name, "is_new": one.name not in kept or one.body != kept[one.name].body}
            for one in drafts
        ]
        return {"rows": rows, "applied": False}
    author = asked.author or desk.author
    documents = put_documents(desk.books, drafts, author=author, mark=mark)
    return {
        "rows": [_row(one) | {"is_new": is_new} for one, is_new in documents], "applied": True,
    }  # fmt: skip


def _draft(one: WrittenTerm, reason: str) -> Draft:
    return Draft(
        subject=Subject.PRICE_TERMS, name=one.name, body=msgspec.json.encode(one.term).decode(),
        effective_from_ns=ns_of(one.effective_from), reason=reason,
    )  # fmt: skip


def end(desk: Desk, asked: EndTerm) -> dict[str, Any]:
    """Keep a version that says that a term is over."""
    versions = document_history(desk.books, Subject.PRICE_TERMS, asked.name)
    if not versions:
        raise TermError(asked.name, "is not known")
    last = read_term(asked.name, versions[-1].body)
    body = msgspec.json.decode(msgspec.json.encode(replace(last, withdrawn=True)))
    body |= {"name": asked.name, "effective_from": asked.at}
    text = msgspec.json.encode({"terms": [body]}).decode()
    return import_terms(
        desk, ImportTerms(file="end.json", text=text, reason=asked.reason, author=asked.author)
    )


def preview(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Return what the terms of a month come to and what is booked of it, by tenant."""
    period = the_period(desk.books, desk.config, asked.period)
    found, _ = standings(desk, period)
    return answers.of_standings(found) | {"period": period.name, "currency": CURRENCY}


def apply(desk: Desk, asked: WhichPeriod) -> dict[str, Any]:
    """Book what the terms of a month come to, or what is lacking to it."""
    period = the_period(desk.books, desk.config, asked.period)
    applied = apply_terms(desk, period)
    booked = sum(one.entries for one in applied)
    runs = [
        {"run_id": one.run_id, "term": one.standing.name, "entries": one.entries}
        for one in applied if one.run_id is not None
    ]  # fmt: skip
    return answers.of_standings([one.standing for one in applied]) | {
        "period": period.name, "currency": CURRENCY, "booked": booked, "runs": runs,
    }  # fmt: skip


SHOW: Final = Operation(
    "terms.show", "GET", "/terms", ShownTerms, show,
    "List price terms, or those in force in a month.",
)  # fmt: skip
HISTORY: Final = Operation(
    "terms.history", "GET", "/terms/history", WhichTerms, history,
    "List the versions of price terms.",
)  # fmt: skip
PREVIEW: Final = Operation(
    "terms.preview", "GET", "/terms/preview", WhichPeriod, preview,
    "Return what the price terms of a month come to, by tenant.",
)  # fmt: skip
IMPORT: Final = Operation(
    "terms.import", "POST", "/terms/import", ImportTerms, import_terms,
    "Keep new versions of price terms.",
)  # fmt: skip
END: Final = Operation("terms.end", "POST", "/terms/end", EndTerm, end, "End a price term.")
APPLY: Final = Operation(
    "terms.apply", "POST", "/terms/apply", WhichPeriod, apply,
    "Book what the price terms of a month come to.", writes=True,
)  # fmt: skip
OPERATIONS: Final = (SHOW, HISTORY, PREVIEW, IMPORT, END, APPLY)
"""All that can be asked of price terms."""
