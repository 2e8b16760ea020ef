"""Verification and re-rating as answers: for the running ledger and for a command on the file."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tollbook import clock
from tollbook.chargeback.pricebook.restated import restatement
from tollbook.config import load_config
from tollbook.config.load import DEFAULT_FILE
from tollbook.console.ledgerfile import SPOOL_DIR, price_book_of
from tollbook.errors import TollbookError
from tollbook.ledger.billing_rules import load_rules
from tollbook.ledger.rerate import apply, preview
from tollbook.ledger.verify import verify
from tollbook.reports.errors import QueryError
from tollbook.reports.params import gather
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from tollbook.books.store import Books
    from tollbook.config import Config
    from tollbook.console.ledgerfile import LedgerFiles
    from tollbook.ledger.cards import CardShelf
    from tollbook.reports.params import Pairs

RERATE_PARAMS = ("since", "until", "tz", "apply", "reason", "author")
_REASON_CHARS_MAX = 500


class PricesChangedError(TollbookError):
    """The price cards in the settings are not those the running ledger books with."""

    def __init__(self) -> None:
        super().__init__(
            "the price cards were changed after the ledger started, and new calls are still booked "
            "with the old ones; restart tollbook up, then apply"
        )


def verify_answer(
    connection: duckdb.DuckDBPyConnection,
    shelf: CardShelf,
    data_dir: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    books: Books,
) -> dict[str, Any]:
    """Check the whole ledger; ``findings`` are the first differences, ``total_findings`` counts."""
    report = verify(
        connection, shelf, data_dir / SPOOL_DIR, progress=progress, rules=load_rules(books).rules
    )
    return msgspec.json.decode(msgspec.json.encode(report), type=dict[str, Any])


def rerate_answer(
    files: LedgerFiles,
    config: Config,
    config_path: Path | None,
    environ: Mapping[str, str],
    pairs: Pairs,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return what today's price cards change, and book it where ``apply=true``.

    The settings are read anew, so that a changed card can be previewed before anything restarts.

    Args:
        files: the open ledger.
        config: the settings that new calls are booked with.
        config_path: where the settings are read from again.
        environ: likewise.
        pairs: ``since``, ``until``, ``tz``, ``apply``, ``reason`` and ``author``.
        progress: called with how many entries were looked at, and of how many.

    Raises:
        QueryError: a wrong option, or nothing that says why it is booked.
        ConfigError: the settings cannot be used.
        PricesChangedError: booking with cards that new calls are not booked with.
    """
    since_ns, until_ns, why = _read(pairs)
    current = load_config(config_path, environ)
    # A price book of its own: the one of ingest belongs to another thread.
    book = price_book_of(current, str(config_path or DEFAULT_FILE), files.books)
    if why is not None:
        if (current.prices, current.providers) != (config.prices, config.providers):
            raise PricesChangedError
        report = apply(
            files.store, files.books, book, since_ns, until_ns,
            actor=why.author, reason=why.reason, progress=progress,
        )  # fmt: skip
    else:
        with closing(files.store.reader()) as connection:
            report = preview(connection, book, since_ns, until_ns, progress)
    return restatement(files.books, report, is_applied=why is not None)


class _Why(NamedTuple):
    """Why something is booked, and who asked for it (None: this process's user)."""

    reason: str
    author: str | None


def _read(pairs: Pairs) -> tuple[int | None, int | None, _Why | None]:
    given, _ = gather(pairs, RERATE_PARAMS)
    zone, now = zone_of(given.get("tz", "UTC")), clock.utc_now()
    moments = [
        _unix_ns(parse_period(given[name], zone, now, f"--{name}").start) if name in given else None
        for name in ("since", "until")
    ]
    wanted = given.get("apply", "false")
    if wanted not in {"true", "false"}:
        raise QueryError("--apply", f"{wanted[:64]!r} is not true or false")
    if wanted == "false":
        return moments[0], moments[1], None
    reason = given.get("reason", "").strip()
    if not reason or len(reason) > _REASON_CHARS_MAX or not reason.isprintable():
        problem = f"say why it is booked, in a line of at most {_REASON_CHARS_MAX} characters"
        raise QueryError("--reason", problem)
    return moments[0], moments[1], _Why(reason, given.get("author"))


def _unix_ns(moment: datetime) -> int:
    return int(moment.timestamp()) * clock.NS_PER_S + moment.microsecond * 1000
