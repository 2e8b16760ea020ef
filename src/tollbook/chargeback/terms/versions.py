"""Which version of a term holds when.

Of the versions that have begun, the newest decides, also where it says that the term is over or
withdrawn: an older one never comes back. A new version that begins within a month counts the
month's volume anew from there; let new versions begin with a month.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook.books.documents import Subject, document_history
from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.terms.reading import read_term
from tollbook.chargeback.terms.spans import Window, month_window, ns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.documents import Document
    from tollbook.books.store import Books
    from tollbook.chargeback.terms.model import Term


class InForce(NamedTuple):
    """One version of one term, and the part of a month that it holds for."""

    name: str
    term: Term
    document: Document
    window: Window
    """Within the month of the term's own zone, and within the term."""
    month: Window
    """That month, whole."""


def terms_in_force(books: Books, period: str) -> list[InForce]:
    """Return what holds in a month, in the order in which it is worked out.

    Args:
        books: where terms are kept.
        period: ``2026-10``; each term's month is that of its own zone.

    Raises:
        TermError: a document cannot be used.
        BooksError: the books cannot be read.
    """
    by_name: dict[str, list[Document]] = {}
    for document in document_history(books, Subject.PRICE_TERMS):
        by_name.setdefault(document.name, []).append(document)
    found = [
        one for versions in by_name.values() for one in _stretches(versions, period)
    ]  # fmt: skip
    found.sort(key=lambda one: (one.term.rank, one.name, one.window))
    return found


def _stretches(versions: Sequence[Document], period: str) -> list[InForce]:
    """Return the parts of a month in which each version of one term holds."""
    found: list[InForce] = []
    until_ns: int | None = None
    # From the newest back: an older version holds until the first moment of any newer one.
    for document in sorted(versions, key=lambda one: -one.version):
        begin_ns = document.effective_from_ns
        if until_ns is None or begin_ns < until_ns:
            term = read_term(document.name, document.body)
            month = month_window(Period.parse(period, term.timezone))
            whole = Window(max(begin_ns, ns_of(term.start)), month.end_ns)
            ends = [end for end in (until_ns, document.effective_until_ns) if end is not None]
            ends += [ns_of(term.end)] if term.end is not None else []
            window = Window(whole.start_ns, min([whole.end_ns, *ends])).within(month)
            if not window.is_empty and not term.withdrawn:
                found.append(InForce(document.name, term, document, window, month))
            until_ns = begin_ns
    return found
