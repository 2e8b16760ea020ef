"""``tollbook billing push`` and its like: what is delivered to Stripe, Lago and OpenMeter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tollbook.chargeback.billing.log import State
from tollbook.chargeback.billing.operations import OPERATIONS
from tollbook.chargeback.billing.system import BillingSystemError
from tollbook.cli.finance import ask, show_rows
from tollbook.cli.options import chosen_format, format_option, place, place_options
from tollbook.errors import CheckFailedError

if TYPE_CHECKING:
    from tollbook.desk import Operation

_BY_NAME: Final[dict[str, Operation]] = {one.name: one for one in OPERATIONS}
_path = click.Path(path_type=Path)
_states: Final = [one.value for one in State]
_PLANNED: Final = (
    "meter", "tenant", "customer", "bucket", "quantity", "state", "detail",
)  # fmt: skip


class NotDeliveredError(CheckFailedError):
    """A push ended with something that is not delivered."""


@click.command()
@click.argument("file", type=_path, required=False)
@click.option("--name", metavar="NAME", help="Of the system, with FILE.")
@click.option("--reason", metavar="TEXT", help="Why; kept with it.")
@format_option
@place_options
def systems(
    file: Path | None, name: str | None, reason: str | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """List billing systems, or set one up from FILE (JSON).

    Example: tollbook billing systems stripe.json --name stripe --reason "first set up"
    """
    where, chosen = place(config_path, data_dir), chosen_format(output_format)
    if file is None:
        show_rows(ask(_BY_NAME["billing.systems"], where, {}, config_path=config_path), chosen)
        return
    given = {"name": name or file.stem, "body": _read(file), "reason": reason or ""}
    show_rows(ask(_BY_NAME["billing.keep_system"], where, given, config_path=config_path), chosen)


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise BillingSystemError(f"{file}: {error.strerror}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BillingSystemError(f"{file}: {error}") from error


@click.command()
@click.argument("system")
@click.option("--dry-run", is_flag=True, help="Show what would be sent; write and send nothing.")
@format_option
@place_options
def push(
    system: str, output_format: str | None, config_path: Path | None, data_dir: Path | None,
    dry_run: bool,  # noqa: FBT001 -- command-line flag
) -> None:  # fmt: skip
    """Deliver what is new to a billing system. Exit code 1: something needs attention.

    Example: tollbook billing push stripe --dry-run
    """
    where, chosen = place(config_path, data_dir), chosen_format(output_format)
    given = {"system": system, "dry_run": dry_run}
    answer = ask(_BY_NAME["billing.push"], where, given, config_path=config_path)
    show_rows(answer, chosen, _PLANNED if dry_run and chosen == "table" else None)
    if chosen == "table":
        for meter, quantity in answer["unattributed"].items():
            click.echo(f"{meter}: {quantity} of nobody, not delivered")
    if dry_run:
        return
    if answer["problem"] is not None:
        raise NotDeliveredError(f"{system}: {answer['problem']}; push again to go on")
    if answer["needs_attention"]:
        raise NotDeliveredError(
            f"{system}: held, refused or uncertain: {answer['needs_attention']}; "
            f"see tollbook billing log {system}"
        )


@click.command()
@click.argument("system")
@format_option
@place_options
def status(
    system: str, output_format: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Show for each meter what the ledger has and what the billing system has.

    Example: tollbook billing status stripe
    """
    answer = ask(
        _BY_NAME["billing.status"], place(config_path, data_dir), {"system": system},
        config_path=config_path,
    )  # fmt: skip
    show_rows(answer, chosen_format(output_format))


@click.command()
@click.argument("system")
@click.option("--state", type=click.Choice(_states), help="Deliveries that are in it now.")
@click.option("--limit", type=int, metavar="N", help="At most so many.  [default: 1000]")
@format_option
@place_options
def log(
    system: str, state: str | None, limit: int | None, output_format: str | None,
    config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Show the delivery log, the newest first, or the deliveries in one state.

    Example: tollbook billing log stripe --state held
    """
    answer = ask(
        _BY_NAME["billing.log"], place(config_path, data_dir),
        {"system": system, "state": state, "limit": limit}, config_path=config_path,
    )  # fmt: skip
    show_rows(answer, chosen_format(output_format))


@click.command()
@click.argument("system")
@click.argument("keys", nargs=-1)
@click.option("--state", type=click.Choice(_states), help="All that are in it, instead of keys.")
@click.option(
    "--as", "how", type=click.Choice(["again", "replan", "there", "settled"]), default="again",
    show_default=True,
    help="Send again under the same id, plan anew, it is there, or it was settled otherwise.",
)  # fmt: skip
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the log.")
@format_option
@place_options
def retry(
    system: str, keys: tuple[str, ...], state: str | None, how: str, reason: str,
    output_format: str | None, config_path: Path | None, data_dir: Path | None,
) -> None:  # fmt: skip
    """Decide about deliveries that were refused, held, or are uncertain.

    Example: tollbook billing retry stripe --state refused --reason "meter was created"
    """
    given = {"system": system, "keys": list(keys), "state": state, "how": how, "reason": reason}
    answer = ask(
        _BY_NAME["billing.retry"], place(config_path, data_dir), given, config_path=config_path
    )
    show_rows(answer, chosen_format(output_format))


COMMANDS: Final = (systems, push, status, log, retry)
"""Of the group ``tollbook billing``."""
