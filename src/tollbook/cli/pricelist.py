"""How commands ask the price book: the running ledger, the files, or a data directory to be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tollbook import clock
from tollbook.chargeback.pricebook.files import TEXT_CHARS_MAX, PriceFileError
from tollbook.cli.finance import ask
from tollbook.ledger.errors import NoLedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.cli.options import Place
    from tollbook.desk import Operation

CARD_COLUMNS: Final = (
    "card_id", "provider", "model", "service_tier", "region", "source", "effective_from",
    "effective_until", "reason",
)  # fmt: skip
RATE_COLUMNS: Final = ("kind", "usd", "per", "step", "follows")
_TEXT_BYTES_MAX: Final = 4 * TEXT_CHARS_MAX


class _NoEntries:
    """Stands where the ledger of a new data directory will be."""

    def __init__(self, error: NoLedgerError) -> None:
        self._error = error

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        del sql, values
        raise self._error


def operation(name: str) -> Operation:
    """Return an operation of the price book by its name, without ``prices.``."""
    from tollbook.chargeback.pricebook.operations import (  # noqa: PLC0415 -- loads the price list
        OPERATIONS,
    )

    return next(one for one in OPERATIONS if one.name == f"prices.{name}")


def ask_prices(
    name: str, where: Place, given: Mapping[str, Any], config_path: Path | None
) -> dict[str, Any]:
    """Carry out an operation of the price book and return its answer.

    Cards may be there before the first call: without a ledger the books alone are used, and those
    that nothing was ever written into are not made just to be found empty.

    Raises:
        TollbookError: of the operation, of the ledger or its files, in one line.
    """
    wanted = operation(name)
    try:
        return ask(wanted, where, given, config_path=config_path)
    except NoLedgerError as error:
        return _without_ledger(wanted, where, given, config_path, error)


def _without_ledger(
    wanted: Operation, where: Place, given: Mapping[str, Any], config_path: Path | None,
    error: NoLedgerError,
) -> dict[str, Any]:  # fmt: skip
    from tollbook.books.records import FILE_NAME  # noqa: PLC0415 -- the books' libraries
    from tollbook.books.store import open_books  # noqa: PLC0415 -- as above
    from tollbook.console.finance import carry_out  # noqa: PLC0415 -- as above
    from tollbook.desk import Desk  # noqa: PLC0415 -- as above

    is_read = wanted.method == "GET" and not (where.data_dir / FILE_NAME).exists()
    with tempfile.TemporaryDirectory() as empty:
        directory = Path(empty) if is_read else where.data_dir
        with open_books(directory) as books:
            desk = Desk(
                reader=_NoEntries(error), books=books, config=where.config,
                data_dir=where.data_dir, environ=os.environ, config_path=config_path,
            )  # fmt: skip
            request = {name: value for name, value in given.items() if value is not None}
            return carry_out(wanted, desk, request)


def text_of_file(path: Path) -> str:
    """Return the text of a file of prices.

    Raises:
        PriceFileError: it cannot be read, is no text, or is too long.
    """
    try:
        if path.stat().st_size > _TEXT_BYTES_MAX:
            raise PriceFileError(str(path), "", f"is longer than {TEXT_CHARS_MAX:,} characters")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise PriceFileError(str(path), "", f"cannot be read: {problem}") from error
    except UnicodeDecodeError as error:
        raise PriceFileError(str(path), "", "is no text in UTF-8") from error


def say_counts(answer: Mapping[str, Any]) -> None:
    """Say what an import did or would do."""
    counts = ", ".join(f"{count} {words}" for words, count in answer["counts"].items() if count)
    done = "Imported" if answer["applied"] else "Nothing is imported yet"
    click.echo(f"{done}: {counts}.")
    today = clock.utc_now().date().isoformat()
    past = [row["effective_from"] for row in answer["rows"]
            if row["action"] != "unchanged" and row["effective_from"] < today]  # fmt: skip
    if past:
        click.echo(
            "Calls that are booked already keep their prices; see what would change with "
            f"tollbook prices rerate --since {min(past)[:10]}."
        )
    for name in answer["passed_over"]:
        click.echo(f"Goes before {name} of the settings, which no longer prices these calls.")
