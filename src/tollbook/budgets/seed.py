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
) -> Change:
    """Return what follows for the table from what has been booked.

    Only this process changes bases, so they stay as they are until the change is made.
    """
    sums: dict[bytes, list[int]] = {}
    parts = []
    for rule, one in booked:
        owner = rule.owner(one.fields)
        if owner is None or rule.unit == "concurrent":
            continue
        hold = hold_of(rule, owner, 0, 0, one.at_s)
        if hold.span.end_s <= now_s:
            continue
        amount = one.amount(rule)
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
            slot = table.look(key)
            bases.append(BaseSet(key, end_s, amount + (0 if slot is None else table.base(slot))))
    return Change(bases, parts, list(ended))


def apply(table: BudgetTable, change: Change, now_s: int) -> None:
    """Make a change, all of it under the lock."""
    with table.locked():
        for one in change.bases:
            slot = table.find(one.key, one.end_s, now_s)
            if slot is not None:
                table.set_base(slot, one.amount)
        for part in change.parts:
            slot = table.find(part.key, part.end_s, now_s)
            if slot is not None:
                spend_in(table, slot, part.bucket, part.amount)
        claimed = table.claimed()
        places = [place for place, writer in change.ended if claimed.get(writer) == place]
        if places:
            for slot in table.used():
                for place in places:
                    table.clear_place(slot, place)
            for place in places:
                table.vacate(place)


def fingerprint(budgets: Sequence[Budget]) -> str:
    """Return what tells one set of budgets from another."""
    return hashlib.blake2b(msgspec.json.encode(list(budgets)), digest_size=8).hexdigest()
