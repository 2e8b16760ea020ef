"""``tollbook up``: gateway, ledger and API on one host, until interrupted."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tollbook.config import load_config
from tollbook.supervisor.preflight import DataDirectory
from tollbook.supervisor.run import Supervisor, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config import Config

_CLIENT_BASE_PATHS = {"openai": "/v1", "anthropic": ""}
"""What an official SDK wants after the provider prefix in its base URL."""


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Settings file.")
@click.option("--data", "data_dir", type=click.Path(path_type=Path), help="Data directory.")
def up(config_path: Path | None, data_dir: Path | None) -> None:
    """Run the gateway, the ledger and its API on this host until interrupted."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    config = load_config(config_path, os.environ)
    directory = (data_dir or Path(config.store.dir)).absolute()
    with DataDirectory(directory):
        supervisor = Supervisor(
            config, config_path=config_path, data_dir=directory, environ=os.environ
        )
        stop_on_signals(supervisor)
        supervisor.start()
        click.echo("\n".join(greeting(config, directory, os.environ)))
        sys.stdout.flush()
        try:
            supervisor.watch()
        finally:
            click.echo("stopping: finishing calls in flight, then reading the spool to its end ...")
            supervisor.stop()


def base_url(config: Config, provider: str) -> str:
    """Return the base URL that an official SDK of the provider's dialect is given."""
    host = "127.0.0.1" if config.gateway.host in {"0.0.0.0", "::"} else config.gateway.host  # noqa: S104 -- compared, not bound
    path = _CLIENT_BASE_PATHS[config.providers[provider].dialect]
    return f"http://{host}:{config.gateway.port}/{provider}{path}"


def greeting(config: Config, data_dir: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the lines a person reads first: where things are and what to do next."""
    lines = [
        f"tollbook is up: {config.gateway.workers} gateway worker(s), ledger in {data_dir}",
        "",
    ]
    for name, provider in sorted(config.providers.items()):
        variable = provider.api_key_env
        state = ""
        if variable and variable not in environ:
            state = f"   ({variable} is not set: only callers' own keys work)"
        lines.append(f"  {name:12} {base_url(config, name)}{state}")
    lines += [
        f"  {'API':12} http://{config.console.host}:{config.console.port}/api/v1",
        "",
        "  a key for an application:  tollbook keys create my-app --tenant acme",
        "  who spent it:              tollbook report spend --by tenant,model",
        "",
        "Stop with Ctrl-C.",
    ]
    return lines
