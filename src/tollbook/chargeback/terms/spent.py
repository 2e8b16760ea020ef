"""What was spent in a term's scope in earlier months: calls, and what terms have booked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.books.documents import Subject, document_history
from tollbook.chargeback.terms.cells import KEY_FIELDS, Key, fits, read_cells
from tollbook.chargeback.terms.reading import read_term
from tollbook.chargeback.terms.spans import moment_of
from tollbook.ledger.adjust import AdjustmentType
from tollbook.reports import measures
from tollbook.reports.query import Filter, SpendQuery
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from tollbook.chargeback.terms.model import Term
    from tollbook.chargeback.terms.spans import Window
    from tollbook.chargeback.terms.versions import InForce
    from tollbook.desk import Desk

RUNS: Final = "terms:"
"""What the ids of all runs of terms begin with: ``terms:MONTH:NAME:NUMBER``."""
OF_CALLS: Final = frozenset([
    AdjustmentType.VOLUME_TIER.value, AdjustmentType.FREE_QUOTA.value,
    AdjustmentType.MINIMUM.value,
])  # fmt: skip
"""What changes the price of calls; capacity is paid beside them."""


def sees(later: Term, earlier: Term) -> bool:
    """Whether a term sees what an earlier one changed.

    One with filters of its own is seen by those with the same filters, or some of them, alone: what
    it changed does not tell api keys or tags.
    """
    return earlier.provider == later.provider and set(later.where) <= set(earlier.where)


def spent_before(desk: Desk, one: InForce, window: Window) -> int:
    """Return what was spent in a scope in a time before the month that is worked out, in pico.

    Raises:
        QueryTimeoutError: it took too long.
    """
    calls = sum(cell.total for cell in read_cells(desk, one.name, one.term, window))
    seen = _seen_names(desk, one.term)
    query = SpendQuery(
        since=moment_of(window.start_ns), until=moment_of(window.end_ns),
        by=("adjustment_id", *KEY_FIELDS),
        where=(
            Filter("provider", (one.term.provider,)),
            Filter("adjustment", tuple(sorted(OF_CALLS))),
        ),
        measures=(measures.COST,),
    )  # fmt: skip
    booked = 0
    for row in wide_rows(desk.reader, query):
        run_id = row["adjustment_id"] or ""
        if run_id.startswith(RUNS) and run_id.split(":")[2] in seen:
            key = Key(*(row[name] for name in KEY_FIELDS))
            booked += (row[measures.COST] or 0) if fits(one.term, key) else 0
    return calls + booked


def _seen_names(desk: Desk, term: Term) -> set[str]:
    newest = {one.name: one for one in document_history(desk.books, Subject.PRICE_TERMS)}
    return {name for name, document in newest.items() if sees(term, read_term(name, document.body))}
