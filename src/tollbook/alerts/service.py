"""One turn of the alerts of a data directory: evaluate what is due, book it, tell channels."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tollbook.alerts.cause import Causes
from tollbook.alerts.delivery import plan
from tollbook.alerts.evaluate import Evaluation, evaluate, is_due
from tollbook.alerts.finance import asker
from tollbook.alerts.keeper import Keeper, News
from tollbook.alerts.rules_shelf import rules_in_force
from tollbook.alerts.shelf import BooksShelf
from tollbook.alerts.source import LedgerSource
from tollbook.reports.freshness import read_freshness

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.config import Config
    from tollbook.desk import Desk

_LATE: Final = timedelta(minutes=2)
"""What the ledger has not read for so long is not taken for silence."""


class Turn:
    """What came of one turn."""

    def __init__(self, evaluation: Evaluation | None, news: list[News], told: int) -> None:
        self.evaluation, self.news, self.told = evaluation, news, told


class AlertService:
    """Evaluates the rules of one data directory, turn after turn.

    Args:
        desk: the ledger, for reading, and the books.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk._replace(writer=None)
        self.source = LedgerSource(desk.reader)
        self._causes = Causes(self.source)
        self._keeper = Keeper(BooksShelf(desk.books))
        self._last: dict[str, datetime] = {}
        self._ask = asker(desk)

    def turn(self, now: datetime) -> Turn:
        """Evaluate the rules that are due and book what they say.

        It is as of the moment up to which the ledger has read everything, where that is earlier:
        what was not read yet is not silence.

        Raises:
            BooksError: the books cannot be used.
        """
        complete = read_freshness(self._desk.reader).complete_until
        if complete is None:
            return Turn(None, [], 0)
        as_of = complete if now - complete > _LATE else now
        rules = rules_in_force(self._desk.books)
        due = [rule for rule in rules.values() if is_due(rule, self._last.get(rule.name), as_of)]
        self.source.forget(as_of)
        evaluation = evaluate(due, self.source, self._ask, as_of)
        for rule in due:
            self._last[rule.name] = as_of
        found = self._causes.of_all(evaluation.signals)
        news = self._keeper.apply(evaluation, found, rules)
        told = plan(self._desk.books, news, rules, base_url(self._desk.config), now)
        return Turn(evaluation, news, told)


def base_url(config: Config) -> str:
    """Return where people reach the console."""
    console = config.console
    return config.alerts.console_url or f"http://{console.host}:{console.port}"
