"""Take the budgets in force while the gateway serves, and have running calls keep to them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.budgets.guard import Guard
from tollbook.budgets.rules import read_rules, rules_in_force
from tollbook.budgets.rulesfile import RULES_FILE, RulesFile, read_rules_file
from tollbook.budgets.seed import TABLE_FILE, fingerprint
from tollbook.budgets.waiting import WaitingRoom
from tollbook.config.problems import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.budgets.rules import Rule
    from tollbook.capture.gateway.cost_report import Costs
    from tollbook.capture.gateway.service import Service
    from tollbook.config import Config

logger = logging.getLogger(__name__)

_STOPS_EVERY_S: Final = 1.0


class BudgetWatch:
    """The budgets of one worker, as they come and go.

    Args:
        config: the settings; they hold until there is a file of rules made of them.
        source: their file, for errors.
        data_dir: where rules and counters lie.
        writer: name of this worker's spool writer.
        costs: the ledger's prices.

    Raises:
        ConfigError: a budget of the settings that cannot be used.
    """

    def __init__(
        self, config: Config, source: str, data_dir: Path, writer: str, costs: Costs
    ) -> None:
        self._dir = data_dir
        self._writer = writer
        self._costs = costs
        self._seen: tuple[int, int, int] | None = None
        self._checked_s = 0.0
        self._is_loading = False
        self.rules: tuple[Rule, ...] = read_rules(config.budgets, source)
        self.is_shared = False
        seen = self._stat()
        found = read_rules_file(data_dir) if seen is not None else None
        if isinstance(found, RulesFile) and found.settings == fingerprint(config.budgets):
            self._seen = seen
            self._read(found)

    def guard(self) -> Guard | None:
        """Return the guard of the rules in force, None where there are none."""
        if not self.rules:
            return None
        return Guard(
            self.rules, self._dir / TABLE_FILE, self._writer, self._costs, _now_s,
            is_shared=self.is_shared,
        )  # fmt: skip

    def tick(self, service: Service) -> None:
        """Look whether the rules are others; some times a second."""
        seen = self._stat()
        if seen != self._seen and seen is not None:
            self._seen = seen
            found = read_rules_file(self._dir)
            if isinstance(found, RulesFile):
                self._read(found)
                self._take(service)
            elif found is not None:
                logger.warning("%s; the budgets stay as they are", found)
        guard = service.guard
        if guard is not None:
            if not guard.has_table:
                guard.refresh()
            if guard.stops and service.wheel.now - self._checked_s >= _STOPS_EVERY_S:
                self._checked_s = service.wheel.now
                stop_running(service, guard)

    def _read(self, found: RulesFile) -> None:
        try:
            rules = rules_in_force(
                found.budgets, found.top_ups, found.from_s, RULES_FILE, ends_s=found.ends_s
            )
        except ConfigError as error:
            logger.warning("%s; the budgets stay as they are", error.message)
            return
        self.rules, self.is_shared = rules, found.is_shared

    def _take(self, service: Service) -> None:
        """Have the service keep to the rules that have been read."""
        guard = service.guard
        if guard is None and not self.rules:
            return
        rules = self.rules
        if not self._costs.is_ready:
            # What can be told without prices holds at once: whoever is stopped, is.
            rules = tuple(
                rule for rule in rules
                if rule.unit in {"requests", "concurrent"} or not (rule.limit or rule.top_ups)
            )  # fmt: skip
            if not self._is_loading:
                self._is_loading = True
                self._costs.when_ready(lambda: self._take(service))
        if guard is None:
            guard = Guard(
                rules, self._dir / TABLE_FILE, self._writer, self._costs, _now_s,
                is_shared=self.is_shared,
            )  # fmt: skip
            service.take_guard(guard)
        else:
            guard.set_rules(rules, is_shared=self.is_shared)
            guard.refresh()
        for exchange in list(service.exchanges):
            exchange.budgets_changed(guard)
        stop_running(service, guard)

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = (self._dir / RULES_FILE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def room_of(guard: Guard) -> WaitingRoom:
    """Return where calls wait for room in a guard's budgets."""
    loop = asyncio.get_running_loop()
    return WaitingRoom(guard, loop.call_later, loop.time)


def stop_running(service: Service, guard: Guard) -> None:
    """Cut the running answers of owners that a rule stops."""
    if not guard.stops:
        return
    for exchange in list(service.exchanges):
        exchange.stop_if_spent(guard)
    for session in list(service.sockets):
        session.stop_if_spent(guard)


def _now_s() -> int:
    return clock.unix_ns() // clock.NS_PER_S
