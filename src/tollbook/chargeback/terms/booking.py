"""Bring the ledger to what the terms of a month come to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tollbook.chargeback.terms.compute import TYPES, Result, compute_terms
from tollbook.chargeback.terms.posting import (
    Booked,
    Posting,
    book_difference,
    booked_runs,
    difference,
    whole_of,
)
from tollbook.chargeback.terms.spent import RUNS as _ALL
from tollbook.chargeback.terms.spent import spent_before

if TYPE_CHECKING:
    from tollbook.chargeback.periods.period import Period
    from tollbook.desk import Desk


class Standing(NamedTuple):
    """One term in a month: what it comes to, and what is booked of it."""

    name: str
    results: list[Result]
    """Of its versions; none where it was withdrawn and had booked before."""
    wanted: dict[Posting, int]
    booked: dict[Posting, int]

    @property
    def documents(self) -> str:
        """The versions that it rests on, for a reason."""
        names = [one.in_force.document.document_id for one in self.results]
        return ", ".join(names) or f"price_terms/{self.name}, which is not in force"


class Applied(NamedTuple):
    """What was booked of one term."""

    standing: Standing
    run_id: str | None
    """None: nothing was lacking."""
    entries: int


def standings(desk: Desk, period: Period) -> tuple[list[Standing], Booked]:
    """Return every term of a month, and the runs that have booked.

    Raises:
        TermError: a document cannot be used.
        QueryTimeoutError: it took too long.
    """
    runs = booked_runs(desk, period, f"{_ALL}{period.name}:", TYPES)
    by_name: dict[str, list[Result]] = {}
    for result in compute_terms(desk, period.name, partial(spent_before, desk)):
        by_name.setdefault(result.in_force.name, []).append(result)
    for run_id in sorted(runs):
        by_name.setdefault(run_id.split(":")[2], [])
    found = []
    for name, results in by_name.items():
        wanted: dict[Posting, int] = {}
        for result in results:
            for at, amount in result.amounts.items():
                wanted[at] = wanted.get(at, 0) + amount
        own = {one: runs[one] for one in runs if one.split(":")[2] == name}
        found.append(Standing(name, results, wanted, whole_of(own)))
    return found, runs


def unapplied(desk: Desk, period: Period) -> list[tuple[str, int]]:
    """Return the terms whose booked amounts are not what they come to, with how much is not.

    That is the sum of all differences in pico, whichever way they go.

    A check before a month is reconciled: nothing where all is applied.

    Raises:
        TermError: a document cannot be used.
        QueryTimeoutError: it took too long.
    """
    found, _ = standings(desk, period)
    lacking = [(one.name, difference(one.booked, one.wanted)) for one in found]
    return [(name, sum(map(abs, amounts.values()))) for name, amounts in lacking if amounts]


def apply_terms(desk: Desk, period: Period) -> list[Applied]:
    """Book what the terms of a month come to, or the difference to what was booked before.

    The same again books nothing. Once the month is closed, differences belong to the month that is
    open, as every late entry does, and name the run that they correct.

    Raises:
        TermError: a document cannot be used.
        QueryTimeoutError: it took too long.
    """
    # The lock of the one writer: two runs at a time would both book the difference.
    with desk.store.transaction():
        found, runs = standings(desk, period)
        applied = []
        for standing in found:
            run_id, entries = book_difference(
                desk, period, f"{_ALL}{period.name}:{standing.name}:", runs, standing.wanted,
                standing.documents,
            )  # fmt: skip
            applied.append(Applied(standing, run_id, entries))
    return applied
