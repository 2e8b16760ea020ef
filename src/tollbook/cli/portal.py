"""``tollbook portal``: tokens of tenants' portals, their keys, and how portals look."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import write_json
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.desk import Operation

FILE_MAX_BYTES: Final = 200_000
PARTS: Final = ("usage", "billed", "budget", "statements", "projection")


class SettingsFileError(TollbookError):
    """A file of settings that cannot be read."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def _operation(name: str) -> Operation:
    from tollbook.console.portal.operations import OPERATIONS  # noqa: PLC0415 -- on use

    return next(one for one in OPERATIONS if one.name == name)


@click.group()
def portal() -> None:
    """Let a tenant see its own usage, what it is billed, and nothing else."""


@portal.command("token")
@click.argument("tenant")
@click.option("--lifetime-s", type=click.IntRange(30, 86_400), default=900, show_default=True,
              help="Seconds until it opens nothing.")  # fmt: skip
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True,
              help="What it opens, once or more.  [default: all that is shown]")  # fmt: skip
@click.option("--url", "base_url", metavar="URL",
              help="Print a link on this address of Tollbook instead of the token.")  # fmt: skip
@format_option
@place_options
def token(
    tenant: str,
    lifetime_s: int,
    parts: tuple[str, ...],
    base_url: str | None,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Make a token that opens TENANT's portal; it is shown this once."""
    where = place(config_path, data_dir)
    given: dict[str, Any] = {"tenant": tenant, "lifetime_s": lifetime_s}
    if parts:
        given["parts"] = list(parts)
    answer = ask(_operation("portal.token"), where, given, config_path=config_path)
    if output_format == "json":
        write_json(answer)
    elif base_url is not None:
        click.echo(base_url.rstrip("/") + answer["path"])
    else:
        click.echo(answer["token"])
    click.echo(f"opens {tenant}'s portal until {answer['expires_at']}", err=True)


@portal.command("tokens")
@click.option("--tenant", metavar="ID", help="Only this tenant's.")
@format_option
@place_options
def tokens(
    tenant: str | None,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """List the tokens that have not expired."""
    where = place(config_path, data_dir)
    answer = ask(_operation("portal.tokens"), where, {"tenant": tenant}, config_path=config_path)
    for row in answer["rows"]:
        row["parts"] = ",".join(row["parts"])
    show_rows(answer, chosen_format(output_format), title="Tokens")


@portal.command("revoke")
@click.argument("kind", type=click.Choice(["token", "tenant", "key"]))
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="For the audit trail.")
@format_option
@place_options
def revoke(
    kind: str,
    name: str,
    reason: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Revoke a token (by its jti), all of a tenant's so far, or all that a key has signed."""
    where = place(config_path, data_dir)
    given = {"kind": kind, "name": name, "reason": reason}
    answer = ask(_operation("portal.revoke"), where, given, config_path=config_path)
    _say(answer, output_format, f"revoked {kind} {name} at {answer['revoked_at']}")


@portal.command("rotate")
@click.option("--reason", required=True, metavar="TEXT", help="For the audit trail.")
@format_option
@place_options
def rotate(
    reason: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Make a new key that signs; the one before it opens what it signed for a day more."""
    where = place(config_path, data_dir)
    answer = ask(_operation("portal.rotate"), where, {"reason": reason}, config_path=config_path)
    _say(answer, output_format, f"key {answer['kid']} signs from now on")


@portal.command("keys")
@format_option
@place_options
def keys(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List the keys that sign, without their secrets."""
    where = place(config_path, data_dir)
    answer = ask(_operation("portal.keys"), where, {}, config_path=config_path)
    show_rows(answer, chosen_format(output_format), title="Keys")


@portal.command("show")
@click.option("--tenant", metavar="ID", help="The portal of this tenant.  [default: of all]")
@format_option
@place_options
def show(
    tenant: str | None, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Show what a portal shows and how it looks; as JSON where nothing else is asked for."""
    where = place(config_path, data_dir)
    answer = ask(_operation("portal.settings"), where, {"tenant": tenant}, config_path=config_path)
    _say(answer, output_format or "json", "")


@portal.command("set")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tenant", metavar="ID", help="The portal of this tenant.  [default: of all]")
@click.option("--reason", required=True, metavar="TEXT", help="For the audit trail.")
@format_option
@place_options
def set_(
    file: Path,
    tenant: str | None,
    reason: str,
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Set what a portal shows and how it looks from FILE (JSON; ``-`` is standard input)."""
    where = place(config_path, data_dir)
    given = _read(file) | {"tenant": tenant, "reason": reason}
    answer = ask(_operation("portal.set"), where, given, config_path=config_path)
    end = "" if answer["is_new"] else ": unchanged"
    _say(answer, output_format, f"{answer['document_id']}{end}")


def _say(answer: dict[str, Any], output_format: str | None, words: str) -> None:
    """Write an answer that is one thing: in words, unless another format was asked for."""
    if output_format == "json":
        write_json(answer)
    elif output_format is None or output_format == "table":
        click.echo(words or msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        show_rows({"rows": [answer]}, output_format)


def _read(file: Path) -> dict[str, Any]:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(FILE_MAX_BYTES + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsFileError(file, (error.strerror or str(error)).lower()) from error
    if len(content) > FILE_MAX_BYTES:
        raise SettingsFileError(file, f"is larger than {FILE_MAX_BYTES:,} bytes")
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise SettingsFileError(file, f"is no JSON object ({error})") from error
