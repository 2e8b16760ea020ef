"""Publish the budgets in force to the gateway's workers, within moments of their change."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.books.errors import BooksError
from tollbook.budgeting.shelf import changes_mark, in_force
from tollbook.budgets.bookkeeping import Made, write_made
from tollbook.budgets.rules import Rule, published_rules, rules_in_force
from tollbook.budgets.rulesfile import RulesFile, TopUp, read_rules_file, write_rules
from tollbook.budgets.seed import TABLE_FILE, fingerprint, seed_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tollbook.books.store import Books
    from tollbook.config import Config

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1
_LOOK_ALL_S: Final = 1.0
"""How often it is seen that a budget has begun or ended by its dates."""
_NOTICE_S: Final = 2
"""Workers count a new rule from so many seconds after its publication: they know it by then."""


class RulesPublisher:
    """Keeps ``DATA/budgets.rules`` as it should be.

    Args:
        config: the settings.
        source: their file, for errors.
        data_dir: where the file lies.
        books: where budgets and top-ups are kept; None: there are only the settings'.
        now_s: the wall clock.
        is_shared: whether several hosts share the limits.
    """

    def __init__(
        self, config: Config, source: str, data_dir: Path, books: Books | None,
        now_s: Callable[[], int], *, is_shared: bool = False,
    ) -> None:  # fmt: skip
        self._config = config
        self._source = source
        self._dir = data_dir
        self._books = books
        self._now_s = now_s
        self._is_shared = is_shared
        self._mark: tuple[int, int] | None = None
        self._published: RulesFile | None = None
        self._from_s: dict[str, int] = {}
        self._starts_at_once = True
        self._said: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="budget rules", daemon=True)
        self.rules: tuple[Rule, ...] = ()
        """As published last."""
        self.fresh_inode: int | None = None
        """Of a table that has been made empty for rules that came while workers served."""

    def begin(self, since: Mapping[str, int], *, has_table: bool) -> None:
        """Publish for the first time.

        Args:
            since: from when on workers count the rules that the table has, by what they count.
            has_table: whether there is a table that workers count in.

        Raises:
            ConfigError: a budget of the settings that cannot be used.
        """
        rules_in_force(self._config.budgets, (), {}, self._source)
        self._from_s = dict(since)
        for rule in published_rules(self._dir) or () if has_table else ():
            # Workers have been told of it by an earlier life of this process.
            self._from_s.setdefault(rule.counted, rule.from_us // 1_000_000)
        self._starts_at_once = not has_table
        self.publish()
        self._starts_at_once = False

    def start(self) -> None:
        """Look for changes from now on, in a thread."""
        if self._books is not None:
            self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def begin_anew(self, *, is_counting: bool) -> None:
        """Have workers count every rule anew: the table is made anew.

        ``is_counting``: workers run, and have settled what is not booked yet.
        """
        with self._lock:
            self._from_s = {}
            self._starts_at_once = not is_counting
            self._publish()
            self._starts_at_once = False

    def publish(self) -> None:
        """Write the file if it is not as it should be."""
        with self._lock:
            self._publish()

    def _publish(self) -> None:
        budgets, top_ups = list(self._config.budgets), []
        ends_s: dict[str, int] = {}
        if self._books is not None:
            found = in_force(self._books, self._config.budgets, clock.unix_ns())
            budgets = list(found.budgets)
            top_ups = [
                TopUp(
                    rule=one.budget, owner=one.owner, amount=one.amount,
                    expires_at_s=one.expires_at_ns // clock.NS_PER_S, reason=one.reason,
                )
                for one in found.top_ups
            ]  # fmt: skip
            ends_s = {
                name: -(-document.effective_until_ns // clock.NS_PER_S)
                for name, document in found.documents.items()
                if document.effective_until_ns is not None
            }
            self._tell(found.problems)
        rules = rules_in_force(budgets, top_ups, {}, self._source)
        is_first = self._published is None
        starts_s = 0 if self._starts_at_once else self._now_s() + _NOTICE_S
        self._from_s = {rule.counted: self._from_s.get(rule.counted, starts_s) for rule in rules}
        from_s = {rule.budget.name: self._from_s[rule.counted] for rule in rules}
        fresh = RulesFile(
            settings=fingerprint(self._config.budgets), budgets=budgets, top_ups=top_ups,
            from_s={name: at_s for name, at_s in from_s.items() if at_s},
            ends_s=ends_s,
            is_shared=self._is_shared,
        )  # fmt: skip
        if is_first:
            there = read_rules_file(self._dir)
            self._published = there if isinstance(there, RulesFile) else None
            if there is None and not budgets:
                self._published = fresh  # nobody need read that there is none
        if rules and not self._starts_at_once and not (self._dir / TABLE_FILE).exists():
            # Workers serve already, and need not wait for the ledger to have counters.
            seed_table(self._dir / TABLE_FILE, self._now_s(), ())
            self.fresh_inode = (self._dir / TABLE_FILE).stat().st_ino
            write_made(self._dir, Made(self.fresh_inode, 0, 0, {}))
        if fresh != self._published:
            write_rules(self._dir, fresh)
        self._published = fresh
        self.rules = tuple(
            rule._replace(from_us=self._from_s[rule.counted] * 1_000_000) for rule in rules
        )

    def _run(self) -> None:
        looked = 0.0
        while not self._stop.wait(_LOOK_S):
            looked += _LOOK_S
            try:
                assert self._books is not None
                mark = changes_mark(self._books)
                if mark != self._mark or looked >= _LOOK_ALL_S:
                    self._mark, looked = mark, 0.0
                    self.publish()
            except (BooksError, OSError) as error:
                self._tell((f"budgets cannot be published: {error}",))

    def _tell(self, problems: tuple[str, ...]) -> None:
        for problem in problems:
            if problem not in self._said:
                log.warning("%s", problem)
        self._said = problems
