"""``tollbook keys``: virtual keys that bind an application to its owner."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook import clock
from tollbook.books.keys import create_key, list_keys, revoke_key
from tollbook.books.store import open_books
from tollbook.cli.options import TIMES_HELP, chosen_format, format_option, place, place_options
from tollbook.cli.tables import print_table, write_json
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
@click.option("--expires", metavar="TIME", help=f"First moment it is not valid. {TIMES_HELP}")
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
    expires_at_ns = None
    if expires is not None:
        at = parse_period(expires, zone_of(tz), clock.utc_now(), "--expires").start
        expires_at_ns = int(at.timestamp()) * clock.NS_PER_S
    with open_books(place(config_path, data_dir).data_dir) as books:
        record, secret = create_key(
            books, label=label, expires_at_ns=expires_at_ns, actor=_actor(), **binding
        )
    chosen = chosen_format(output_format)
    row = _row(record)
    if chosen == "json":
        write_json(row | {"secret": secret})
    elif chosen == "csv":
        sys.stdout.write(csv_text([row | {"secret": secret}], (*_COLUMNS, "secret")))
    else:
        print_table([row], _COLUMNS)
        click.echo(f"Secret, shown only now: {secret}")
        click.echo("Give it to the application as its provider key.")


@keys.command("list")
@format_option
@place_options
def list_(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List all keys there ever were, oldest first; never their secrets."""
    with open_books(place(config_path, data_dir).data_dir) as books:
        rows = [_row(record) for record in list_keys(books)]
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json({"rows": rows})
    elif chosen == "csv":
        sys.stdout.write(csv_text(rows, _COLUMNS))
    elif rows:
        print_table(rows, _COLUMNS)
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
    with open_books(place(config_path, data_dir).data_dir) as books:
        row = _row(revoke_key(books, name, actor=_actor()))
    chosen = chosen_format(output_format)
    if chosen == "json":
        write_json(row)
    elif chosen == "csv":
        sys.stdout.write(csv_text([row], _COLUMNS))
    else:
        click.echo(f"Revoked {row['api_key_id']} ({row['label']}).")


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
