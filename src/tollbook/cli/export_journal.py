"""``tollbook export journal`` and the accounts it posts to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.chargeback.journal.mapping import MappingError
from tollbook.chargeback.journal.operations import OPERATIONS
from tollbook.cli.exported import show_exported
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from tollbook.desk import Operation

_BY_NAME: Final[dict[str, Operation]] = {one.name: one for one in OPERATIONS}
_SHOWN: Final = ("transaction_id", "account", "cost_center", "text", "amount_usd")
_path = click.Path(path_type=Path)


@click.command()
@click.option("--period", required=True, metavar="MONTH", help="Such as 2026-10; as billed.")
@click.option(
    "--accounts", "mapping", default="default", show_default=True, metavar="NAME",
    help="Mapping of accounts; see journal-accounts.",
)  # fmt: skip
@click.option("--output", type=_path, metavar="DIR", help="Copy the files there.")
@click.option("--preview", is_flag=True, help="Show the postings and write nothing.")
@click.option("--without-open", is_flag=True, help="No 'open' lines in the beancount text.")
@format_option
@place_options
def journal(
    period: str, mapping: str, output: Path | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
    preview: bool, without_open: bool,  # noqa: FBT001 -- command-line flags
) -> None:  # fmt: skip
    """Write a month's journal entries: CSV for an accounting system, and beancount text.

    Example: tollbook export journal --period 2026-10 --output books
    """
    where, chosen = place(config_path, data_dir), chosen_format(output_format)
    given: dict[str, Any] = {"period": period, "mapping": mapping}
    if preview:
        answer = ask(_BY_NAME["journal.preview"], where, given, config_path=config_path)
        show_rows(answer, chosen, _SHOWN if chosen == "table" else None)
        return
    given["open_accounts"] = not without_open
    answer = ask(_BY_NAME["journal.export"], where, given, config_path=config_path)
    show_exported(answer, chosen, output)


@click.command("journal-accounts")
@click.argument("file", type=_path, required=False)
@click.option(
    "--name", default="default", show_default=True, metavar="NAME", help="Of the mapping."
)
@click.option("--from", "first", metavar="MONTH", help="The first month.  [default: all months]")
@click.option("--reason", metavar="TEXT", help="Why; kept with it.")
@format_option
@place_options
def journal_accounts(
    file: Path | None, name: str, first: str | None, reason: str | None,
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Keep the account mapping in FILE (JSON); without a file, list those that are kept.

    Example: tollbook export journal-accounts accounts.json --reason "chart of accounts 2026"
    """
    where, chosen = place(config_path, data_dir), chosen_format(output_format)
    if file is None:
        answer = ask(_BY_NAME["journal.list_accounts"], where, {}, config_path=config_path)
        show_rows(answer, chosen)
        return
    given = {"name": name, "body": _read(file), "period": first, "reason": reason or ""}
    answer = ask(_BY_NAME["journal.keep_accounts"], where, given, config_path=config_path)
    show_rows(answer, chosen)


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise MappingError(f"{file}: {error.strerror}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MappingError(f"{file}: {error}") from error
