"""Recompute the seal of a closed period, and say what is not as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from tollbook.chargeback.periods.cutoffs import closes, the_period
from tollbook.chargeback.periods.errors import PeriodError
from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.periods.seal import (
    FORM,
    ChainError,
    KeptSeal,
    Seal,
    digest,
    kept_seal,
    make_seal,
)
from tollbook.chargeback.periods.sums import period_query, sums
from tollbook.money import usd_text
from tollbook.reports import measures
from tollbook.reports.query import SpendQuery
from tollbook.reports.wide import wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.periods.seal import Part
    from tollbook.chargeback.periods.seal_entries import Slice
    from tollbook.desk import Desk


class Change(NamedTuple):
    """One thing that is not as it was sealed."""

    part: str
    name: str
    problem: str

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.part} {self.name}: {self.problem}".replace("  ", " ")


def verify_period(desk: Desk, name: str) -> tuple[KeptSeal, list[Change]]:
    """Compare a closed period with its seal.

    Raises:
        PeriodError: it was not closed, or its seal is not there.
        QueryTimeoutError: a query took too long.
        BooksError: the books cannot be read.
    """
    period = the_period(desk.books, desk.config, name)
    close = next((one for one in closes(desk.books) if one.period == period.name), None)
    if close is None:
        raise PeriodError(period.name, "was not closed, so there is no seal to compare with")
    kept = kept_seal(desk.books, close.seal)
    if kept is None:
        raise PeriodError(period.name, f"its seal {close.seal[:16]} is not in the books")
    found = []
    if digest(kept.body) != close.seal:
        found.append(Change("seal", "", "its body is not what was hashed"))
    if close.cutoff_entry_id != kept.cutoff_entry_id:
        found.append(Change("seal", "", "the period ends at another entry than was sealed"))
    found += changed_parts(desk, kept, known_before_ns=kept.prepared_at_ns)
    return kept, found


def changed_parts(desk: Desk, kept: KeptSeal, known_before_ns: int | None) -> list[Change]:
    """Return what a period rests on now and did not when it was sealed, or the other way round."""
    try:
        sealed = kept.read()
    except msgspec.DecodeError:
        return [Change("seal", "", "its body cannot be read")]
    if sealed.form != FORM:
        return [Change("seal", "", f"was made in form {sealed.form}; this program knows {FORM}")]
    period = Period(sealed.period, sealed.timezone)
    try:
        now = make_seal(desk, period, sealed.upto_entry, sealed.accepted, known_before_ns)
    except ChainError as error:
        return [Change("entries", "", error.message)]
    now = replace(now, mode=sealed.mode)
    return list(_compared(sealed, now))


def _compared(sealed: Seal, now: Seal) -> Iterator[Change]:
    if sealed.chain != now.chain:
        yield Change("entries", "", "the chain of hashes up to the last entry is another")
    if sealed.after_entry != now.after_entry:
        yield Change("entries", "", "the period before ends at another entry")
    yield from _slices(sealed.entries, now.entries)
    for part in ("statements", "reconciliations", "allocations", "documents"):
        yield from _parts(part, getattr(sealed, part), getattr(now, part))
    if sealed.previous != now.previous:
        yield Change("seal", "", "the period before has another seal")


def _slices(sealed: Iterable[Slice], now: Iterable[Slice]) -> Iterator[Change]:
    before, after = {one.day: one for one in sealed}, {one.day: one for one in now}
    for day in sorted(before.keys() | after.keys()):
        old, new = before.get(day), after.get(day)
        if old == new:
            continue
        if old is None or new is None:
            one = old or new
            assert one is not None
            verb = "are gone" if new is None else "were not there"
            yield Change("entries", f"of {day}", f"{one.entries:,} {verb}, {one.cost_usd} USD")
        elif (old.entries, old.cost_usd) == (new.entries, new.cost_usd):
            yield Change("entries", f"of {day}", "as many and as dear, and not the same")
        else:
            yield Change(
                "entries", f"of {day}",
                f"{old.entries:,} of {old.cost_usd} USD were sealed, "
                f"there are {new.entries:,} of {new.cost_usd} USD",
            )  # fmt: skip


def _parts(part: str, sealed: Iterable[Part], now: Iterable[Part]) -> Iterator[Change]:
    before, after = {one.name: one.digest for one in sealed}, {one.name: one.digest for one in now}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Change(part, name, "is gone")
        elif name not in before:
            yield Change(part, name, "was not there")
        elif before[name] != after[name]:
            yield Change(part, name, "has other content")


def came_later(desk: Desk, name: str) -> dict[str, str | int]:
    """Return what was booked for a closed month since: it is in the months after.

    Raises:
        QueryTimeoutError: a query took too long.
    """
    period = the_period(desk.books, desk.config, name)
    shown = (measures.CALLS, measures.COST)
    (billed,) = sums(desk, period, shown=shown, only_own=True)
    query = period_query(desk, period, shown=shown, only_own=True)
    assert query.entry_window is not None
    query = replace(query, entry_window=replace(query.entry_window, upto_entry=None))
    (known,) = wide_rows(desk.reader, query)
    # What is dated in the month and names a later one, as a true-up after the close does.
    dated = SpendQuery(
        since=period.start, until=period.end, tz=period.timezone, by=("named_period",),
        measures=shown,
    )  # fmt: skip
    rows = [known] + [
        row for row in wide_rows(desk.reader, dated) if (row["named_period"] or "") > period.name
    ]
    cost, calls = (sum(row[name] or 0 for row in rows) for name in (measures.COST, measures.CALLS))
    before = billed[measures.COST] or 0
    return {
        "as_billed_usd": usd_text(before),
        "as_known_now_usd": usd_text(cost),
        "came_later_usd": usd_text(cost - before),
        "came_later_calls": calls - (billed[measures.CALLS] or 0),
    }
