"""The ledger process makes the budgets' shared counters, and adds what it alone knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from tollbook import clock
from tollbook.budgets.bookkeeping import Made, Since, read_made, write_made
from tollbook.budgets.seed import TABLE_FILE, Booked, apply, change_of, seed_table
from tollbook.budgets.table import BudgetTable, BudgetTableError
from tollbook.console.budgetrules import RulesPublisher
from tollbook.ledger.budgetsums import (
    booked_in,
    booked_of_life,
    ended_before,
    finished_among,
    not_settled_after,
)
from tollbook.spool.errors import SpoolError
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.budgets.rules import Rule
    from tollbook.config import Config
    from tollbook.ledger.budgetsums import Fetch

SPOOL_DIR: Final = "spool"
_QUARTER_S: Final = 900
_SETTLING_S: Final = 600
"""How long after a rule began calls may still be booked that ended before it did."""


class BudgetKeeper:
    """Called after each step of the ledger, from its thread.

    Args:
        config: the settings.
        source: their file, for errors.
        data_dir: where the table lies.
        fetch: asks the ledger.
        books: where further budgets are kept; None: there are only the settings'.
        is_shared: whether several hosts share the limits.

    Raises:
        ConfigError: a budget that cannot be used.
    """

    def __init__(
        self, config: Config, source: str, data_dir: Path, fetch: Fetch,
        books: Books | None = None, *, is_shared: bool = False,
    ) -> None:  # fmt: skip
        self._dir = data_dir
        self._fetch = fetch
        self.publisher = RulesPublisher(
            config, source, data_dir, books, _now_s, is_shared=is_shared
        )
        self._made = self._still_valid()
        known = {} if self._made is None else self._made.rules
        since = {counted: one.from_s for counted, one in known.items()}
        self.publisher.begin(since, has_table=self._made is not None)

    def after_step(self, has_read_all: bool) -> None:  # noqa: FBT001 -- a callback
        """Add what is new; make the table once everything has been read, or when it is gone.

        While gateway workers live, a table of theirs counts on: it holds what the ledger has not
        seen yet.
        """
        rules = self.publisher.rules
        if not rules and self._made is None:
            return
        path = self._dir / TABLE_FILE
        inode = path.stat().st_ino if path.exists() else None
        if self._made is None and inode is not None and inode == self.publisher.fresh_inode:
            # Workers count from a moment that is told them; what was before is added to it.
            self._made = Made(inode, 0, 0, {})
        if self._made is not None and inode is not None:
            self._keep_up(self._made, rules)
        elif has_read_all:
            self._make()

    def _still_valid(self) -> Made | None:
        """Return what is known of a table that living workers count in; None: make another one."""
        made, path = read_made(self._dir), self._dir / TABLE_FILE
        if made is None or not self._workers_live():
            return None
        try:
            table = BudgetTable(path)
        except BudgetTableError:
            return None
        try:
            if table.inode != made.inode:
                return None
            if made.pending is not None:
                apply(table, made.pending, _now_s(), is_again=True)
        finally:
            table.close()
        return structs.replace(made, pending=None)

    def _keep_up(self, made: Made, rules: tuple[Rule, ...]) -> None:
        """Count what no gateway has settled, rules that are new, and lives that have ended."""
        last = self._last_entry()
        try:
            table = BudgetTable(self._dir / TABLE_FILE)
        except BudgetTableError:
            self._made = None  # it is made anew at the next step
            return
        try:
            with table.locked():
                claimed = table.claimed()
            ended = finished_among(self._fetch, list(claimed))
            since = {
                rule.counted: made.rules[rule.counted]
                for rule in rules
                if rule.counted in made.rules
            }
            new = [rule for rule in rules if _entry_of(since, rule) is None]
            if last == made.last_entry_id and not ended and not new and not made.pending:
                return
            now_s = _now_s()
            booked = [
                *(self._news(made, rules, list(claimed)) if last > made.last_entry_id else ()),
                *self._of_new(new, now_s),
            ]
            for rule in new:  # what was interrupted up to here is in it already
                since[rule.counted] = Since(rule.from_us // 1_000_000, last)
            booked += self._of_lives(made.made_entry_id, since, rules, ended, now_s)
            places = [(claimed[one], one) for one in ended]
            change = change_of(table, booked, places, now_s, new=new)
            fresh = Made(made.inode, made.made_entry_id, last, since, change)
            if change.bases or change.parts or change.ended:
                write_made(self._dir, fresh)
                apply(table, change, now_s)
            self._made = structs.replace(fresh, pending=None)
            write_made(self._dir, self._made)
        finally:
            table.close()

    def _news(
        self, made: Made, rules: tuple[Rule, ...], writers: list[str]
    ) -> Iterator[tuple[Rule, Booked]]:
        """Yield what has been booked since the last look and no worker has counted."""
        known = [rule for rule in rules if _entry_of(made.rules, rule) is not None]
        after, now_s = made.last_entry_id, _now_s()
        part_s = 1 if any(rule.bucket_s for rule in known) else _QUARTER_S
        for one in not_settled_after(self._fetch, after, writers=writers, part_s=part_s):
            for rule in known:
                # What was interrupted counts when its worker's life is put right, all at once;
                # a rolling window does not know who spent what.
                if rule.bucket_s or not one.has_place:
                    yield rule, one
        for rule in known:
            if rule.from_us and now_s < rule.from_us // 1_000_000 + _SETTLING_S:
                window = rule.window(now_s)
                for one in ended_before(self._fetch, rule, window, rule.from_us, after_entry=after):
                    yield rule, one

    def _of_new(self, rules: list[Rule], now_s: int) -> Iterator[tuple[Rule, Booked]]:
        for rule in rules:
            if rule.unit == "concurrent":
                continue
            before_us = rule.from_us or None
            for one in booked_in(self._fetch, rule, rule.window(now_s), before_us=before_us):
                yield rule, one

    def _of_lives(
        self,
        made_entry: int,
        since: dict[str, Since],
        rules: tuple[Rule, ...],
        ended: list[str],
        now_s: int,
    ) -> Iterator[tuple[Rule, Booked]]:
        """Yield what workers came to that have ended; their places are emptied with it."""
        for writer in ended:
            for rule in rules:
                if not rule.has_calendar:
                    continue
                for one in booked_of_life(
                    self._fetch, rule, rule.window(now_s), writer,
                    table_entry=made_entry, rule_entry=_entry_of(since, rule) or made_entry,
                ):  # fmt: skip
                    yield rule, one

    def _make(self) -> None:
        self.publisher.begin_anew(is_counting=self._workers_live())
        last, now_s, rules = self._last_entry(), _now_s(), self.publisher.rules
        path = self._dir / TABLE_FILE
        seed_table(path, now_s, self._of_new(list(rules), now_s))
        since = {rule.counted: Since(rule.from_us // 1_000_000, last) for rule in rules}
        self._made = Made(path.stat().st_ino, last, last, since)
        write_made(self._dir, self._made)

    def _last_entry(self) -> int:
        found: Any = self._fetch("SELECT coalesce(max(entry_id), 0) FROM entries", [])[0][0]
        return int(found)

    def _workers_live(self) -> bool:
        try:
            writers = SpoolReader(self._dir / SPOOL_DIR).writers()
        except SpoolError:
            return False
        return any(one.is_alive for one in writers)


def _entry_of(since: dict[str, Since], rule: Rule) -> int | None:
    found = since.get(rule.counted)
    is_same = found is not None and found.from_s == rule.from_us // 1_000_000
    return found.entry_id if found is not None and is_same else None


def _now_s() -> int:
    return clock.unix_ns() // clock.NS_PER_S
