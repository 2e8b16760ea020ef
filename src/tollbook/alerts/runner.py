"""Alerts in the ledger process: one thread evaluates, one sends; neither hinders the other."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.alerts.delivery import Courier
from tollbook.alerts.service import AlertService
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.desk import Desk

log = logging.getLogger(__name__)
SEND_EVERY_S: Final = 2.0
_JOIN_S: Final = 30.0


class AlertRunner:
    """Evaluates rules and sends what is due until it is stopped.

    Args:
        desk: the ledger, for reading, and the books.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._said: dict[str, str] = {}

    def start(self) -> None:
        """Start the threads."""
        settings = self._desk.config.alerts
        courier = Courier(self._desk.books, self._desk.environ, self._desk.data_dir)
        jobs = [("alerts-send", SEND_EVERY_S, lambda: courier.deliver_due(clock.utc_now()))]
        if settings.enabled:
            service = AlertService(self._desk)
            jobs.append(("alerts", settings.interval_s, lambda: self._turn(service)))
        for name, pause_s, job in jobs:
            thread = threading.Thread(
                target=self._repeat, args=(name, pause_s, job), name=name, daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the threads; what is being sent is sent."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _turn(self, service: AlertService) -> int:
        turn = service.turn(clock.utc_now())
        problems = () if turn.evaluation is None else turn.evaluation.problems
        self._tell("rules", "; ".join(problems))
        return turn.told

    def _repeat(self, name: str, pause_s: float, job: Callable[[], int]) -> None:
        while not self._stop.wait(pause_s):
            try:
                job()
            except TollbookError as error:
                self._tell(name, error.message)
            except Exception:  # the ledger goes on; its log says what is wrong with alerts
                if not self._stop.is_set():
                    log.exception("%s: a turn failed", name)

    def _tell(self, name: str, words: str) -> None:
        """Log a problem once, until it is another one."""
        if words and self._said.get(name) != words:
            log.error("%s", words)
        self._said[name] = words
