"""Every question the ledger answers, for the API and for commands alike.

A question is a name and pairs of text, an answer is a Struct: the same whether it travels over
HTTP or a command opens the ledger file itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook import clock
from tollbook.reports import measures
from tollbook.reports.batches import BatchesReport, batches_query, run_batches
from tollbook.reports.calls import (
    CallsReport,
    calls_query,
    fetch_calls,
    latest_entry_id,
    run_calls,
)
from tollbook.reports.explain import Explanation, explain_call
from tollbook.reports.explain_billable import no_rule
from tollbook.reports.layers import LayersReport, layers_query, run_layers
from tollbook.reports.params import from_pairs
from tollbook.reports.rollup import RollupReport, rollup_query, run_rollup
from tollbook.reports.runs import RunReport, report_run, run_query
from tollbook.reports.runs_list import RunsReport, list_runs, runs_query
from tollbook.reports.spend import SpendReport, label, run_spend
from tollbook.reports.stitching import StitchingReport, run_stitching, stitching_query
from tollbook.reports.units import UnitsReport, run_units, units_query
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from tollbook.ledger.cards import CardShelf
    from tollbook.prices.card import RateCard
    from tollbook.reports.explain_billable import LoadRule
    from tollbook.reports.params import Pairs
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

LATE_IDENTITY_H: Final = 168.0
"""As long as ``[ledger] late_identity_window_h`` is by default."""
READS: Final = ("spend", "rollup", "calls", "tail", "batches", "stitching", "runs", "layers")


class Answers:
    """Answers questions from one open ledger; safe to use from several threads.

    ``as_billed`` looks up the billing period that a query names, ``with_periods`` those that the
    entries of a call are in, ``accepted`` the providers and months whose reconciliation is
    accepted, ``rule`` a version of a billing rule.
    """

    def __init__(
        self, reader: Reader, shelf: CardShelf, *, as_billed: Callable[[SpendQuery], SpendQuery],
        with_periods: Callable[[Explanation], Explanation],
        accepted: Callable[[], Collection[tuple[str, str]]] = frozenset,
        rule: LoadRule = no_rule,
        late_identity_h: float = LATE_IDENTITY_H,
    ) -> None:  # fmt: skip
        self.reader = reader
        self._shelf = shelf
        self._as_billed, self._with_periods = as_billed, with_periods
        self._accepted = accepted
        self._rule = rule
        self._late_identity = timedelta(hours=late_identity_h)

    def spend(self, pairs: Pairs) -> SpendReport:
        """Answer a spend query given as named texts.

        Raises:
            QueryError: a wrong option.
            QueryTimeoutError: it took too long.
        """
        return run_spend(self.reader, self._as_billed(from_pairs(pairs, clock.utc_now())))

    def costs(self, pairs: Pairs) -> Iterator[tuple[tuple[str | None, ...], int | None]]:
        """Yield what each group of a spend query costs in pico, by its names as reports have them.

        None is unknown. Less work than :meth:`spend`, for costs that others are compared with:
        nothing is said of how complete they are, and they are in no order. Raises as it does.
        """
        query = self._as_billed(from_pairs(pairs, clock.utc_now()))
        for row in wide_rows(self.reader, replace(query, measures=(measures.COST,))):
            cost, calls = row[measures.COST], row[measures.CALLS]
            if cost or calls:
                is_known = cost or row[measures.KNOWN_CALLS]
                yield (
                    tuple(label(query, one, row[one]) for one in query.by),
                    ((cost or 0) if is_known else None),
                )

    def rollup(self, pairs: Pairs) -> RollupReport:
        """Answer the monthly billing rollup; raises as :meth:`spend`."""
        query = self._as_billed(rollup_query(pairs, clock.utc_now()))
        return run_rollup(self.reader, query, self._accepted())

    def layers(self, pairs: Pairs) -> LayersReport:
        """Answer what the layers of requests cost; raises as :meth:`spend`."""
        return run_layers(self.reader, self._as_billed(layers_query(pairs, clock.utc_now())))

    def per(self, unit: str, pairs: Pairs) -> UnitsReport:
        """Answer what a request, run, trace or operation costs; raises as :meth:`spend`."""
        query = self._as_billed(units_query(unit, pairs, clock.utc_now()))
        return run_units(self.reader, unit, query)

    def calls(self, pairs: Pairs) -> CallsReport:
        """Answer with a page of calls; raises as :meth:`spend`."""
        return run_calls(self.reader, calls_query(pairs, clock.utc_now()))

    def tail(self, pairs: Pairs) -> dict[str, Any]:
        """Answer with the calls booked after an entry id, oldest first; raises as :meth:`spend`.

        Without ``after``, no calls and the newest entry id, from which to go on.
        """
        query = calls_query(pairs, clock.utc_now())
        if query.after is None:
            return {"rows": [], "after": latest_entry_id(self.reader)}
        rows = fetch_calls(self.reader, query)
        return {"rows": rows, "after": rows[-1]["entry_id"] if rows else query.after}

    def batches(self, pairs: Pairs) -> BatchesReport:
        """Answer with batches and what came of them; raises as :meth:`spend`."""
        return run_batches(self.reader, batches_query(pairs, clock.utc_now()))

    def stitching(self, pairs: Pairs) -> StitchingReport:
        """Answer with what became of calls that several observers saw; raises as :meth:`spend`."""
        now = clock.utc_now()
        return run_stitching(self.reader, stitching_query(pairs, now), now - self._late_identity)

    def runs(self, pairs: Pairs) -> RunsReport:
        """Answer with the runs of agents in a range, the dearest first; raises as :meth:`spend`."""
        return list_runs(self.reader, runs_query(pairs, clock.utc_now()))

    def run(self, wanted: str, pairs: Pairs) -> RunReport:
        """Answer with the tree of one run; raises as :meth:`spend`, and RunNotFoundError."""
        return report_run(self.reader, run_query(wanted, pairs))

    def explain(self, wanted: str) -> Explanation:
        """Explain one call.

        Raises:
            CallNotFoundError: no entry bears the id.
            QueryTimeoutError: it took too long.
        """
        return self._with_periods(explain_call(self.reader, wanted, self.card, self._rule))

    def card(self, card_id: str) -> RateCard | None:
        """Return a price card as the books keep it, None where they do not know it.

        Raises:
            BooksError: the books cannot be read.
            CardTextError: the stored card was changed.
        """
        return self._shelf.find([card_id]).get(card_id)
