"""Invoices, marks and mappings: what people add to ``tollbook statements``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tollbook.books.documents import Subject, put_document
from tollbook.books.events import current_user
from tollbook.books.store import open_books
from tollbook.chargeback.statements.answers import STATEMENT_TABLE, statement_row
from tollbook.chargeback.statements.errors import StatementError
from tollbook.chargeback.statements.formats.mapped import parse_mapping
from tollbook.chargeback.statements.invoices import Invoice, keep_invoice, read_bytes
from tollbook.chargeback.statements.marks import mark_statement
from tollbook.chargeback.statements.pdf import PDF_MAX_BYTES, read_pdf
from tollbook.chargeback.statements.shelf import statement
from tollbook.cli.finance import show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options

if TYPE_CHECKING:
    from tollbook.chargeback.statements.pdf import Finds
    from tollbook.cli.options import Place

_MAPPING_MAX_BYTES = 1024 * 1024
_FILES = click.Path(path_type=Path)


@click.command()
@click.option("--provider", required=True, metavar="NAME", help="Whose invoice it is.")
@click.option("--period", metavar="MONTH", help="Month that it is for: 2026-10.")
@click.option("--id", "invoice_id", metavar="NUMBER", help="Number of the invoice.")
@click.option("--amount", metavar="AMOUNT", help="What is payable, taxes in and credits off.")
@click.option("--tax", metavar="AMOUNT", help="Of it; taxes.")
@click.option("--credit", metavar="AMOUNT", help="What was taken off.")
@click.option("--fee", metavar="AMOUNT", help="Of it; fees of the platform.")
@click.option("--currency", metavar="CODE", help="Of the amounts.  [default: USD]")
@click.option("--account", metavar="ID", help="Account that is billed.")
@click.option(
    "--pdf", type=_FILES, metavar="FILE", help="The document, read for what is not given."
)
@click.option("--accept", is_flag=True, help="What was read out of the PDF is right.")
@format_option
@place_options
def invoice(
    pdf: Path | None,
    accept: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    **given: str | None,
) -> None:
    """Keep an invoice: its totals typed in, or read out of a PDF and confirmed.

    What a PDF seems to say is shown with the lines that it was read from, and kept only with
    --accept, or once you say so.
    """
    at = place(config_path, data_dir)
    document: tuple[bytes, str] | None = None
    if pdf is not None:
        document = (read_bytes(pdf, PDF_MAX_BYTES), pdf.name)
        given = _confirmed(read_pdf(document[0], pdf.name), given, is_accepted=accept)
    lacking = [
        f"--{name.removeprefix('invoice_')}"
        for name in ("period", "invoice_id", "amount")
        if not given[name]
    ]
    if lacking:
        raise StatementError("invoice", f"{', '.join(lacking)} is missing")
    told = {name: value for name, value in given.items() if value is not None}
    with open_books(at.data_dir) as books:
        one, is_new = keep_invoice(books, Invoice(**told), pdf=document)
    show_kept([statement_row(one) | {"new": is_new}], list(one.problems), output_format)


def _confirmed(
    finds: Finds, given: dict[str, str | None], *, is_accepted: bool
) -> dict[str, str | None]:
    """Return what was given, and of what was read what a person has said is right."""
    read = {
        name: find for name, find in finds._asdict().items() if find is not None
    }  # fmt: skip
    for name, find in read.items():
        click.echo(f"{name:11} {find.value:20} read from: {find.line}", err=True)
    wanted = {name: find.value for name, find in read.items() if name in given and not given[name]}
    if not wanted:
        return given
    if not is_accepted:
        if not sys.stdin.isatty():
            raise StatementError(
                "invoice",
                f"{', '.join(sorted(wanted))} would be taken from the PDF; check the lines above "
                "and say --accept, or type them in",
            )
        click.confirm(f"Take {', '.join(sorted(wanted))} from the PDF?", abort=True, err=True)
    return given | wanted


def show_kept(rows: list[dict[str, Any]], problems: list[str], output_format: str | None) -> None:
    """Write statements that were kept, and what of them could not be read."""
    chosen = chosen_format(output_format)
    show_rows({"rows": rows, "problems": problems}, chosen, [*STATEMENT_TABLE, "new"])
    if chosen != "json":
        for problem in problems:
            click.echo(problem, err=True)


def _mark(statement_id: str, mark: str, reason: str, at: Place, output_format: str | None) -> None:
    with open_books(at.data_dir) as books:
        one = statement(books, statement_id)
        mark_statement(books, one.statement_id, mark, author=current_user(), reason=reason)
        rows = [statement_row(statement(books, one.statement_id))]
    show_rows({"rows": rows}, chosen_format(output_format), STATEMENT_TABLE)


@click.command()
@click.argument("statement_id", metavar="ID")
@click.option("--reason", required=True, help="Why: the invoice it agrees with, the date.")
@format_option
@place_options
def finalize(
    statement_id: str,
    reason: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Say that a statement is final: no later provisional one takes its place."""
    _mark(statement_id, "final", reason, place(config_path, data_dir), output_format)


@click.command()
@click.argument("statement_id", metavar="ID")
@click.option("--reason", required=True, help="Why: entered twice, of another company.")
@format_option
@place_options
def withdraw(
    statement_id: str,
    reason: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Say that a statement does not count; it is kept, and shown with list --withdrawn."""
    _mark(statement_id, "withdrawn", reason, place(config_path, data_dir), output_format)


@click.command("map")
@click.argument("name")
@click.argument("file", type=_FILES)
@click.option("--reason", required=True, help="Why it is so.")
@format_option
@place_options
def map_(
    name: str, file: Path, reason: str, output_format: str | None, config_path: Path | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Keep FILE (TOML) as the mapping NAME, for tollbook statements import --as csv:NAME."""
    at = place(config_path, data_dir)
    try:
        body = read_bytes(file, _MAPPING_MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise StatementError(str(file), "is not UTF-8 text") from error
    parse_mapping(body, name)
    with open_books(at.data_dir) as books:
        document, is_new = put_document(
            books, Subject.STATEMENT_MAPPING, name, body, effective_from_ns=0, reason=reason
        )
    row = {"document": document.document_id, "mapping": name, "new": is_new}
    show_rows({"rows": [row]}, chosen_format(output_format))
