"""Spend that was committed to: what was drawn, and what is due for the rest when a window ends."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tollbook.chargeback.terms.exact import number, pico_of, ratio_percent
from tollbook.chargeback.terms.model import Commitment
from tollbook.chargeback.terms.spans import Window, moment_of, ns_of
from tollbook.money import usd_text
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.chargeback.terms.model import Term


class Drawn(NamedTuple):
    """A window of a commitment: what was committed and drawn, in pico."""

    window: Window
    committed: int
    drawn: int
    is_over: bool

    @property
    def shortfall(self) -> int:
        """What is due without having been used; 0 while the window runs."""
        return max(self.committed - self.drawn, 0) if self.is_over else 0

    def facts(self) -> dict[str, str | int | None]:
        """Return what to show of it."""
        return {
            "from": moment_of(self.window.start_ns).isoformat(),
            "until": moment_of(self.window.end_ns).isoformat(),
            "committed_usd": usd_text(self.committed), "drawn_usd": usd_text(self.drawn),
            "remaining_usd": usd_text(max(self.committed - self.drawn, 0)),
            "used_percent": ratio_percent(Fraction(self.drawn), Fraction(self.committed)),
        }  # fmt: skip


def draw_windows(term: Term) -> Iterator[Window]:
    """Yield the windows of a commitment, each with the whole amount; the last may be cut."""
    what = term.what
    assert isinstance(what, Commitment)
    end_ns = None if term.end is None else ns_of(term.end)
    if what.every_months is None:
        assert end_ns is not None, "checked when it was read"
        yield Window(ns_of(term.start), end_ns)
        return
    count = 0
    while True:
        window = Window(_after_months(term, count), _after_months(term, count + what.every_months))
        if end_ns is not None and window.start_ns >= end_ns:
            return
        yield window if end_ns is None else Window(window.start_ns, min(window.end_ns, end_ns))
        count += what.every_months


def _after_months(term: Term, count: int) -> int:
    """Return the moment so many months after the start; the 31st becomes the last of a month."""
    if not count:
        return ns_of(term.start)
    zone = zone_of(term.timezone)
    local = term.start.astimezone(zone)
    months = local.month - 1 + count
    year, month = local.year + months // 12, months % 12 + 1
    day = min(local.day, monthrange(year, month)[1])
    return ns_of(local.replace(year=year, month=month, day=day, fold=0).astimezone(UTC))


def drawn_in(
    name: str, term: Term, month: Window, now_ns: int, spent: Callable[[Window], int]
) -> list[Drawn]:
    """Return the windows of a commitment that end in a month or run through it.

    Args:
        name: of the term, for errors.
        term: which commitment.
        month: the part of a month that its version holds for.
        now_ns: the time it is asked at.
        spent: returns what was spent in the scope in a time, in pico.
    """
    what = term.what
    assert isinstance(what, Commitment)
    amount = round(pico_of(number(what.amount_usd, name, "amount_usd")))
    found: list[Drawn] = []
    for window in draw_windows(term):
        if window.start_ns >= month.end_ns:
            break
        if window.end_ns <= month.start_ns:
            continue
        is_over = window.end_ns <= month.end_ns and window.end_ns <= now_ns
        seen = Window(window.start_ns, min(window.end_ns, month.end_ns))
        found.append(Drawn(window, amount, spent(seen), is_over))
    return found
