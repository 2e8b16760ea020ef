"""The same answers from the ledger file itself, while no ledger process runs."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.books.store import open_books
from tollbook.chargeback.periods.cutoffs import as_billed, with_periods
from tollbook.chargeback.reconcile.shelf import accepted_months
from tollbook.console.answers import READS, Answers
from tollbook.console.client import LedgerSilentError, NotRunningError
from tollbook.console.status import read_status
from tollbook.ledger.billing_rules import rule_of
from tollbook.ledger.cards import BooksShelf
from tollbook.ledger.errors import LedgerInUseError
from tollbook.ledger.store import LEDGER_FILE, connect_readonly
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.reports.params import Pairs


class LocalSource:
    """An open ledger file."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def ask(self, name: str, pairs: Pairs) -> dict[str, Any]:
        """Answer ``spend``, ``rollup``, ``calls`` or ``tail``.

        Raises:
            QueryError: a wrong option.
        """
        assert name in READS
        return _as_json(getattr(self._answers, name)(pairs))

    def explain(self, wanted: str) -> dict[str, Any]:
        """Explain one call.

        Raises:
            CallNotFoundError: no entry bears the id.
        """
        return _as_json(self._answers.explain(wanted))

    def run(self, wanted: str, pairs: Pairs) -> dict[str, Any]:
        """Return the tree of a run.

        Raises:
            RunNotFoundError: nothing bears the id.
            QueryError: a wrong option.
        """
        return _as_json(self._answers.run(wanted, pairs))

    def per(self, unit: str, pairs: Pairs) -> dict[str, Any]:
        """Return what one of a unit costs; raises as :meth:`ask`."""
        return _as_json(self._answers.per(unit, pairs))

    def status(self) -> dict[str, Any]:
        """Return how far the ledger is and what it has found wrong."""
        return read_status(self._answers.reader)

    def catch_up(self) -> None:
        """Refuse: only the ledger process reads the spool.

        Raises:
            NotRunningError: always.
        """
        raise NotRunningError("--wait")


def _as_json(answer: object) -> dict[str, Any]:
    """Return an answer just as it would come over HTTP."""
    return msgspec.json.decode(msgspec.json.encode(answer), type=dict[str, Any])


@contextmanager
def open_local(config: Config, data_dir: Path) -> Iterator[LocalSource]:
    """Open ledger and books for reading.

    Raises:
        LedgerSilentError: a ledger process holds the file, so it should have answered.
        LedgerFileError: the file is missing or cannot be used.
        BooksError: the books cannot be used.
    """
    path = data_dir / LEDGER_FILE
    try:
        connection = connect_readonly(path, memory_limit=config.ledger.memory_limit)
    except LedgerInUseError as error:
        who = f"process {error.pid} holds {path}" if error.pid else f"{path} is held"
        raise LedgerSilentError("on its API", who) from error
    try:
        with open_books(data_dir) as books:
            answers = Answers(
                DuckdbReader(connection), BooksShelf(books),
                as_billed=partial(as_billed, books, config),
                with_periods=partial(with_periods, books, config),
                accepted=partial(accepted_months, books), rule=partial(rule_of, books),
                late_identity_h=config.ledger.late_identity_window_h,
            )  # fmt: skip
            yield LocalSource(answers)
    finally:
        connection.close()
