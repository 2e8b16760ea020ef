"""Make the shared counters from what the ledger has booked, and set them right by it.

Gateway workers count what they settle. The ledger alone knows the rest: what was booked before a
table or a rule was made, interrupted calls, lines of batches, corrections. It also has the last
word on a worker's life that has ended: whatever that life had counted or held when it was killed is
replaced by what is booked of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from tollbook.budgets.hold import hold_of
from tollbook.budgets.ring import spend_in
from tollbook.budgets.table import BudgetTable, create_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tollbook.budgets.rules import Rule
    from tollbook.config.budgets import Budget

TABLE_FILE: Final = "budgets.table"
_US_PER_S: Final = 1_000_000


class Booked(NamedTuple):
    """What the ledger has of one owner."""

    fields: Mapping[str, str]
    """As :func:`tollbook.budgets.rules.fields_of` names them."""
    pico: int
    tokens: int
    requests: int
    unpriced: int
    """Metered calls whose cost is not known."""
    at_s: int = 0
    """A moment of the window, or of the part of a rolling one, that it belongs to."""
    has_place: bool = False
    """Of calls that were interrupted when a worker died that still has its place."""

    def amount(self, rule: Rule) -> int:
        """Return how much of a budget this is."""
        if rule.unit == "tokens":
            return self.tokens
        if rule.unit == "requests":
            return self.requests
        return self.pico + self.unpriced * rule.hold


class BaseSet(Struct, frozen=True, array_like=True):
    """A slot's base after a change: to be set, however often."""

    key: bytes
    end_s: int
    amount: int


class Part(Struct, frozen=True, array_like=True):
    """What is added to a part of a rolling window."""

    key: bytes
    end_s: int
    bucket: int
    amount: int


class Change(Struct, frozen=True):
    """Everything that one look at the ledger changes in the table; may be made again after a crash.

    Bases are set, not added to, and places are emptied: twice is once. Parts of rolling windows are
    added: a crash in the middle counts them twice, until they pass.
    """

    bases: list[BaseSet]
    parts: list[Part]
    ended: list[tuple[int, str]]
    """Places, and whose they were, that are given up."""
    resets: list[bytes] = []
    """Slots of rules that are new: what an earlier rule of the same name has left in them goes."""


def seed_table(path: Path, now_s: int, booked: Iterable[tuple[Rule, Booked]]) -> None:
    """Put a table in place that holds what is booked in the present windows, and no holds.

    To be called when the ledger has read everything and no gateway worker runs, or when there is
    no table.
    """
    fresh = path.with_suffix(".new")
    table = create_table(fresh)
    try:
        apply(table, change_of(table, booked, (), now_s), now_s)
    finally:
        table.close()
    fresh.rename(path)


def change_of(
    table: BudgetTable,
    booked: Iterable[tuple[Rule, Booked]],
    ended: Iterable[tuple[int, str]],
    now_s: int,
    *,
    new: Sequence[Rule] = (),
) -> Change:
    """Return what follows for the table from what has been booked.

    ``new`` are rules that have not been counted before. What is booked of them is all there is;
    what workers have counted of them goes, but only while they are not to count yet.
    Only this process changes bases, so they stay as they are until the change is made.
    """
    sums: dict[bytes, list[int]] = {}
    fresh: dict[bytes, bool] = {}
    is_early = {rule.counted: now_s * _US_PER_S < rule.from_us for rule in new}
    parts = []
    for rule, one in booked:
        owner = rule.owner(one.fields)
        if owner is None or rule.unit == "concurrent":
            continue
        hold = hold_of(rule, owner, 0, 0, one.at_s)
        if hold.span.end_s <= now_s:
            continue
        amount = one.amount(rule)
        if rule.counted in is_early:
            fresh[hold.key] = is_early[rule.counted]
        if rule.bucket_s:
            bucket = hold.span.start_s // rule.bucket_s
            parts.append(Part(hold.key, hold.span.end_s, bucket, amount))
        elif not amount:
            continue
        else:
            sums.setdefault(hold.key, [hold.span.end_s, 0])[1] += amount
    bases = []
    with table.locked():
        for key, (end_s, amount) in sums.items():
            slot = None if key in fresh else table.look(key)
            bases.append(BaseSet(key, end_s, amount + (0 if slot is None else table.base(slot))))
    return Change(bases, parts, list(ended), [key for key, early in fresh.items() if early])


def apply(table: BudgetTable, change: Change, now_s: int, *, is_again: bool = False) -> None:
    """Make a change, all of it under the lock.

    ``is_again``: it may have been made before, and workers have counted since.
    """
    with table.locked():
        for key in () if is_again else change.resets:
            stale = table.look(key)
            if stale is not None:
                table.reset(stale)
        for one in change.bases:
            slot = table.find(one.key, one.end_s, now_s)
            if slot is not None:
                table.set_base(slot, one.amount)
        for part in change.parts:
            slot = table.find(part.key, part.end_s, now_s)
            if slot is not None:
                spend_in(table, slot, part.bucket, part.amount)
        _give_up(table, change.ended)


def _give_up(table: BudgetTable, ended: Sequence[tuple[int, str]]) -> None:
    """Empty the places of lives that have ended."""
    claimed = table.claimed()
    places = [place for place, writer in ended if claimed.get(writer) == place]
    if not places:
        return
    for slot in table.used():
        for place in places:
            table.clear_place(slot, place)
    for place in places:
        table.vacate(place)


def fingerprint(budgets: Sequence[Budget]) -> str:
    """Return what tells one set of budgets from another."""
    return hashlib.blake2b(msgspec.json.encode(list(budgets)), digest_size=8).hexdigest()
