"""``tollbook mcp``: a server of the Model Context Protocol on standard input and output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tollbook.cli.options import place, place_options
from tollbook.console.assistant import Asker, AssistantError, make_server
from tollbook.console.auth import read_announcement

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_VARIABLE = "TOLLBOOK_API_TOKEN"  # noqa: S105 -- the name of a variable


@click.command()
@click.option("--url", help="Console of a Tollbook elsewhere.  [default: the one running here]")
@place_options
def mcp(url: str | None, config_path: Path | None, data_dir: Path | None) -> None:
    """Let assistants ask who spent what; start it from an assistant's settings.

    It may see what the API token in TOLLBOOK_API_TOKEN may see. Without one, and without --url, it
    uses that of the ledger that runs on this machine, which may see everything.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if url is None:
        announced = read_announcement(place(config_path, data_dir).data_dir)
        if announced is None:
            raise AssistantError("no ledger is running here; start one with tollbook up, or --url")
        address, own = announced
        host = "127.0.0.1" if address.host in {"0.0.0.0", ""} else address.host  # noqa: S104 -- compared
        url, token = f"http://{host}:{address.port}", token or own
    if token is None:
        raise AssistantError(
            f"give an API token in {TOKEN_VARIABLE}; make one with tollbook people"
        )
    make_server(Asker(url, token)).run("stdio")
