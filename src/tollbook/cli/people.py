"""``tollbook people``: accounts, sessions, API tokens, and who did and saw what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.cli.tables import write_json
from tollbook.console.client import running_ledger
from tollbook.desk import Desk
from tollbook.desk.permits import Role
from tollbook.ledger.errors import NoLedgerError
from tollbook.ledger.store import LEDGER_FILE
from tollbook.people.errors import AccountInputError
from tollbook.people.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BY_NAME: Final = {one.name: one for one in OPERATIONS}
_ROLES: Final = click.Choice([role.value for role in Role])
_PASSWORD_MAX_BYTES: Final = 4096
_LOG_COLUMNS: Final = ("at", "who", "what", "outcome", "path", "detail", "address")


class _NoLedger:
    """Stands where the ledger would be read: people can be made before there is one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Refuse: nothing of people is in the ledger.

        Raises:
            NoLedgerError: always.
        """
        del sql, values
        raise NoLedgerError(self._path)


def _do(
    name: str, config_path: Path | None, data_dir: Path | None, /, **given: Any
) -> dict[str, Any]:  # fmt: skip
    """Carry an operation out: in the running ledger, or on the books themselves."""
    where = place(config_path, data_dir)
    operation = _BY_NAME[name]
    if running_ledger(where.data_dir) is not None:
        return ask(operation, where, given, config_path=config_path)
    # Only now: asking a running ledger needs none of it.
    from tollbook.books.store import open_books  # noqa: PLC0415 -- see above
    from tollbook.console.finance import carry_out  # noqa: PLC0415 -- see above

    with open_books(where.data_dir) as books:
        desk = Desk(
            reader=_NoLedger(where.data_dir / LEDGER_FILE), books=books, config=where.config,
            data_dir=where.data_dir, environ={},
        )  # fmt: skip
        plain = {key: value for key, value in given.items() if value is not None}
        return carry_out(operation, desk, msgspec.to_builtins(plain))


def _show(answer: dict[str, Any], output_format: str | None, title: str) -> None:
    if "rows" not in answer:
        chosen = chosen_format(output_format)
        rows = {"rows": [answer]}
        if chosen == "json":
            write_json(answer)
        else:
            show_rows(rows, chosen)
        return
    show_rows(answer, chosen_format(output_format), title=title)


@click.group()
def people() -> None:
    """Accounts of the console: who may sign in, as what, and who did what."""


@people.command("list")
@format_option
@place_options
def list_(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List all accounts."""
    _show(_do("people.list", config_path, data_dir), output_format, "Accounts")


@people.command()
@click.argument("name")
@click.option("--role", type=_ROLES, required=True, help="What the account may do.")
@click.option("--tenant", metavar="ID", help="Of role tenant: the only one that it sees.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--link", is_flag=True, help="Print a link to choose a password, instead of asking.")
@format_option
@place_options
def add(
    name: str,
    role: str,
    tenant: str | None,
    password_stdin: bool,  # noqa: FBT001 -- a command-line flag
    link: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """Make an account called NAME; asks for its password."""
    password = None if link else _password(is_piped=password_stdin)
    answer = _do(
        "people.add", config_path, data_dir, name=name, role=role, tenant=tenant, password=password
    )
    _show(answer, output_format, "Account")


def _password(*, is_piped: bool) -> str:
    if is_piped:
        return sys.stdin.readline(_PASSWORD_MAX_BYTES).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise AccountInputError("password", "give it with --password-stdin, or use --link")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return given


@people.command()
@format_option
@place_options
def setup(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """Print the link that makes the first owner, while there is no account."""
    _show(_do("people.setup", config_path, data_dir), output_format, "First owner")


@people.command()
@click.argument("name")
@click.argument("role", type=_ROLES)
@click.option("--tenant", metavar="ID", help="Of role tenant: the only one that it sees.")
@format_option
@place_options
def role(
    name: str, role: str, tenant: str | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Give the account NAME another role; its sessions end."""
    answer = _do("people.role", config_path, data_dir, name=name, role=role, tenant=tenant)
    _show(answer, output_format, "Account")


@people.command()
@click.argument("name")
@format_option
@place_options
def disable(
    name: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Keep the account NAME from signing in; its sessions end."""
    _show(_do("people.disable", config_path, data_dir, name=name), output_format, "Account")


@people.command()
@click.argument("name")
@format_option
@place_options
def enable(
    name: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Let the disabled account NAME sign in again."""
    _show(_do("people.enable", config_path, data_dir, name=name), output_format, "Account")


@people.command()
@click.argument("name")
@format_option
@place_options
def reset(
    name: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Print a link that works once, for NAME to choose another password."""
    _show(_do("people.reset", config_path, data_dir, name=name), output_format, "Account")


@people.command()
@click.argument("name")
@click.option("--issuer", required=True, metavar="URL", help="The provider's issuer.")
@click.option("--subject", required=True, metavar="ID", help="Who it is there (claim sub).")
@format_option
@place_options
def link(
    name: str, issuer: str, subject: str, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Say who NAME is at the provider of single sign-on."""
    answer = _do("people.link", config_path, data_dir, name=name, issuer=issuer, subject=subject)
    _show(answer, output_format, "Account")


@people.command()
@click.argument("name", required=False)
@click.option("--end", is_flag=True, help="End all sessions of NAME.")
@format_option
@place_options
def sessions(
    name: str | None,
    end: bool,  # noqa: FBT001 -- a command-line flag
    output_format: str | None,
    config_path: Path | None,
    data_dir: Path | None,
) -> None:
    """List the sessions of NAME, or of all; or end those of NAME."""
    if end:
        if name is None:
            raise AccountInputError("--end", "give the name of an account")
        answer = _do("people.end-sessions", config_path, data_dir, name=name)
    else:
        answer = _do("people.sessions", config_path, data_dir, name=name)
    _show(answer, output_format, "Sessions")


@people.group()
def tokens() -> None:
    """API tokens of programs."""


@tokens.command("list")
@format_option
@place_options
def list_tokens(output_format: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """List all tokens there ever were; never what opens them."""
    _show(_do("tokens.list", config_path, data_dir), output_format, "Tokens")


@tokens.command("create")
@click.argument("label")
@click.option("--permit", "permits", multiple=True, metavar="SCOPE:ACCESS",
              help="Such as spend:read or budgets:write; repeatable.")  # fmt: skip
@click.option("--tenant", metavar="ID", help="The only tenant it sees; then it needs no permits.")
@click.option("--expires", metavar="TIME", help="A date, or so long from now (12h, 90d).")
@format_option
@place_options
def create_token(
    label: str, permits: tuple[str, ...], tenant: str | None, expires: str | None,
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Make a token called LABEL and show it, this once."""
    answer = _do(
        "tokens.create", config_path, data_dir, label=label, permits=list(permits), tenant=tenant,
        expires=expires,
    )  # fmt: skip
    _show(answer, output_format, "Token")


@tokens.command("revoke")
@click.argument("name")
@format_option
@place_options
def revoke_token(
    name: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Revoke the token with the id or label NAME for good."""
    _show(_do("tokens.revoke", config_path, data_dir, name=name), output_format, "Token")


@people.command()
@click.option("--since", metavar="TIME", help="From when on.  [default: 30d]")
@click.option("--until", metavar="TIME", help="First moment left out.")
@click.option("--tz", metavar="ZONE", help="Zone of the times given.  [default: UTC]")
@click.option("--who", metavar="NAME", help="Beginning of a name, such as user:anna.")
@click.option("--what", metavar="TEXT", help="Beginning of what was done: account., export.")
@click.option("--where", metavar="TEXT", help="Part of the path or the detail.")
@click.option("--outcome", type=click.Choice(["ok", "denied", "failed"]), help="What came of it.")
@click.option("--kind", type=click.Choice(["deed", "seen"]), help="Only what was done, or seen.")
@click.option("--limit", type=int, help="How many.  [default: 200]")
@click.option("--before", metavar="CURSOR", help="next_before of an earlier answer.")
@format_option
@place_options
def log(
    output_format: str | None, config_path: Path | None, data_dir: Path | None, **asked: Any
) -> None:
    """Show who did, saw and exported what, newest first."""
    answer = _do("people.log", config_path, data_dir, **asked)
    show_rows(answer, chosen_format(output_format), _LOG_COLUMNS, title="Audit trail")
