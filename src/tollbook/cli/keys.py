"""``tollbook keys``: virtual keys that bind an application to its owner."""

from __future__ import annotations

import getpass
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook import clock
from tollbook.books.errors import KeyInputError, KeyNotFoundError
from tollbook.books.keys import create_key, list_keys, revoke_key
from tollbook.books.records import FILE_NAME
from tollbook.books.store import open_books
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import print_table, write_json
from tollbook.reports.errors import QueryError
from tollbook.reports.query import LATEST
from tollbook.reports.tabular import csv_text
from tollbook.reports.times import parse_period
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.books.records import KeyRecord

_COLUMNS: Final = (
    "api_key_id", "label", "state", "tenant_id", "user_id", "team_id", "cost_center", "feature",
    "environment", "models", "created_at", "expires_at", "revoked_at",
)  # fmt: skip

_NARROW: Final = (
    "models", "created_at", "environment", "cost_center", "team_id", "user_id", "feature",
    "revoked_at", "expires_at",
)  # fmt: skip
"""What a narrow terminal does without, the first first."""
_OPTIONS: Final = {"label": "LABEL", "models": "--model", "expires_at": "--expires"}
_FROM_NOW: Final = re.compile(r"(?P<count>\d{1,5})(?P<unit>[mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def keys() -> None:
    """Create, list and revoke virtual keys."""


@keys.command()
@click.argument("label")
@click.option("--tenant", "tenant_id", metavar="ID", help="Book its calls to this tenant.")
@click.option("--user", "user_id", metavar="ID", help="Book its calls to this user.")
@click.option("--team", "team_id", metavar="ID", help="Book its calls to this team.")
@click.option("--cost-center", metavar="ID", help="Book its calls to this cost centre.")
@click.option("--feature", metavar="NAME", help="Book its calls to this feature.")
@click.option("--environment", metavar="NAME", help="Environment of its calls.")
@click.option("--model", "models", multiple=True, metavar="PATTERN", help="Models it may use.")
@click.option(
    "--expires", metavar="TIME",
    help="First moment it is not valid: date (2027-01-01), time (2027-01-01T08:00+01:00), or so "
    "long from now (12h, 90d, 4w).",
)  # fmt: skip
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="Zone of --expires.")
@format_option
@place_options
def create(
    label: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
    expires: str | None,
    tz: str,
    **binding: Any,
) -> None:
    """Create a key called LABEL and show its secret, this once."""
    expires_at_ns = None if expires is None else _expiry_ns(expires, tz)
    with open_books(place(config_path, data_dir).data_dir) as books:
        try:
            record, secret = create_key(
                books, label=label, expires_at_ns=expires_at_ns, actor=_actor(), **binding
            )
        except KeyInputError as error:
            raise _said_of_the_option(error) from error
    chosen = chosen_format(output_format)
    row = _row(record)
    if chosen == "json":
        write_json(row | {"secret": secret})
    elif chosen == "csv":
        sys.stdout.write(csv_text([row | {"secret": secret}], (*_COLUMNS, "secret")))
    else:
        print_table([row], _filled([row]))
        click.echo(f"Secret, shown only now: {secret}")
        click.echo("Give it to the application as its provider key.")


@keys.command("list")
@format_option
@place_options
def list_(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List all keys there ever were, oldest first; never their secrets."""
    directory = place(config_path, data_dir).data_dir
    rows = []
    # A mistyped directory is not made just to find it empty.
    if (directory / FILE_NAME).exists():
        with open_books(directory) as books:
            rows = [_row(record) for record in list_keys(books)]
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json({"rows": rows})
    elif chosen == "csv":
        sys.stdout.write(csv_text(rows, _COLUMNS))
    elif rows:
        print_table(rows, _filled(rows), optional=_NARROW)
    else:
        click.echo("No keys yet; make one: tollbook keys create my-app --tenant acme")


@keys.command()
@click.argument("name")
@format_option
@place_options
def revoke(
    name: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Revoke the key with the id or label NAME for good."""
    directory = place(config_path, data_dir).data_dir
    if not (directory / FILE_NAME).exists():
        raise KeyNotFoundError(name)
    with open_books(directory) as books:
        row = _row(revoke_key(books, name, actor=_actor()))
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(row)
    elif chosen == "csv":
        sys.stdout.write(csv_text([row], _COLUMNS))
    else:
        click.echo(f"Revoked {row['api_key_id']} ({row['label']}).")


def _expiry_ns(text: str, tz: str) -> int:
    """Return the moment a key ends: a time as everywhere, but a bare length counts from now on."""
    zone = zone_of(tz)
    ahead = _FROM_NOW.fullmatch(text.strip().lower())
    if ahead is not None:
        length = timedelta(**{_UNITS[ahead["unit"]]: int(ahead["count"])})
        at = clock.utc_now() + length
    else:
        at = parse_period(text, zone, clock.utc_now(), "--expires").start
    if at > LATEST:
        raise QueryError("--expires", "lies after 2200; leave it out for a key without an end")
    return int(at.timestamp()) * clock.NS_PER_S


def _said_of_the_option(error: KeyInputError) -> QueryError:
    """Return an error about a field as one about the option that gave it."""
    field = error.field
    usual = f"--{field.removesuffix('_id').replace('_', '-')}"
    return QueryError(_OPTIONS.get(field, usual), error.problem)


def _filled(rows: list[dict[str, Any]]) -> list[str]:
    """Return the columns that say something: what no key has is not shown."""
    return [name for name in _COLUMNS if any(row[name] is not None for row in rows)]


def _row(record: KeyRecord) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.structs.asdict(record)
    now_ns = clock.unix_ns()
    row["state"] = "active"
    if record.expires_at_ns is not None and record.expires_at_ns <= now_ns:
        row["state"] = "expired"
    if record.revoked_at_ns is not None:
        row["state"] = "revoked"
    row["models"] = ",".join(record.models) or "all"
    for name in ("created_at", "expires_at", "revoked_at"):
        row[name] = _moment(row[f"{name}_ns"])
    return {name: row[name] for name in _COLUMNS}


def _moment(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    return datetime.fromtimestamp(at_ns // clock.NS_PER_S, tz=UTC).isoformat()


def _actor() -> str:
    """Return who is at the keyboard, for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"
