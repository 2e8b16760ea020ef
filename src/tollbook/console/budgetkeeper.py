"""The ledger process makes the budgets' shared counters, and adds what it alone knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.budgets.rules import read_rules
from tollbook.budgets.seed import TABLE_FILE, add_booked, fingerprint, seed_table
from tollbook.budgets.table import BudgetTable, BudgetTableError
from tollbook.ledger.budgetsums import booked_in, not_settled_after
from tollbook.spool.errors import SpoolError
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.budgets.rules import Rule
    from tollbook.config import Config
    from tollbook.ledger.budgetsums import Fetch

MADE_FILE: Final = "budgets.json"
SPOOL_DIR: Final = "spool"


class _Made(Struct, frozen=True):
    """What a table was made of."""

    fingerprint: str
    last_entry_id: int
    """The table has everything up to here."""


class BudgetKeeper:
    """Called after each step of the ledger, from its thread.

    Args:
        config: the settings.
        source: their file, for errors.
        data_dir: where the table lies.
        fetch: asks the ledger.

    Raises:
        ConfigError: a budget that cannot be used.
    """

    def __init__(self, config: Config, source: str, data_dir: Path, fetch: Fetch) -> None:
        self._rules: tuple[Rule, ...] = read_rules(config.budgets, source)
        self._print = fingerprint(config.budgets)
        self._dir = data_dir
        self._fetch = fetch
        self._last_entry_id = 0
        self._is_made = False

    def after_step(self, has_read_all: bool) -> None:  # noqa: FBT001 -- a callback
        """Add what is new; make the table once everything has been read, or when it is gone.

        While gateway workers live, a table of theirs counts on: it holds what the ledger has not
        seen yet.
        """
        if not self._rules:
            return
        if not self._is_made:
            made = self._read_made()
            if made is not None and made.fingerprint == self._print and self._workers_live():
                self._last_entry_id, self._is_made = made.last_entry_id, True
        if self._is_made and (self._dir / TABLE_FILE).exists():
            self._add_news()
        elif has_read_all:
            self._make()

    def _add_news(self) -> None:
        """Count what no gateway has settled: interrupted calls, lines of batches, corrections."""
        last = self._last_entry()
        if last == self._last_entry_id:
            return
        news = list(not_settled_after(self._fetch, self._last_entry_id))
        if news:
            try:
                table = BudgetTable(self._dir / TABLE_FILE)
            except BudgetTableError:
                return  # it is made anew at the next step
            now_s = _now_s()
            for at_s, booked in news:
                add_booked(table, self._rules, at_s, booked, now_s)
            table.close()
        self._last_entry_id = last
        self._write_made()

    def _make(self) -> None:
        last = self._last_entry()
        seed_table(
            self._dir / TABLE_FILE,
            self._rules,
            _now_s(),
            lambda rule, span: booked_in(self._fetch, rule, span),
        )
        self._last_entry_id, self._is_made = last, True
        self._write_made()

    def _last_entry(self) -> int:
        found: Any = self._fetch("SELECT coalesce(max(entry_id), 0) FROM entries", [])[0][0]
        return int(found)

    def _workers_live(self) -> bool:
        if not (self._dir / TABLE_FILE).exists():
            return False
        try:
            writers = SpoolReader(self._dir / SPOOL_DIR).writers()
        except SpoolError:
            return False
        return any(one.is_alive for one in writers)

    def _read_made(self) -> _Made | None:
        try:
            return msgspec.json.decode((self._dir / MADE_FILE).read_bytes(), type=_Made)
        except (OSError, msgspec.DecodeError):
            return None

    def _write_made(self) -> None:
        path = self._dir / MADE_FILE
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(_Made(self._print, self._last_entry_id)))
        os.replace(fresh, path)  # noqa: PTH105 -- atomic on every system


def _now_s() -> int:
    return clock.unix_ns() // clock.NS_PER_S
