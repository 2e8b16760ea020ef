"""``tollbook up``: gateway, ledger and API on one host, until interrupted."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tollbook.capture.gateway.credentials.build import unset_variables
from tollbook.cli.options import place_options
from tollbook.config import load_config
from tollbook.config.known_providers import KNOWN_NAMES
from tollbook.config.schema import default_providers
from tollbook.console.client import running_ledger
from tollbook.supervisor.preflight import DataDirectory
from tollbook.supervisor.run import Supervisor, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config import Config

_CLIENT_BASE_PATHS = {"openai": "/v1"}
"""What an official SDK wants after the provider prefix in its base URL."""


@click.command()
@place_options
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
        options = [
            f" {name} {shlex.quote(str(path))}"
            for name, path in (("--config", config_path), ("--data", data_dir))
            if path is not None
        ]
        receiver = supervisor.receivers[0].first_line if supervisor.receivers else ""
        setup = setup_link(directory)
        lines = greeting(config, directory, os.environ, "".join(options), receiver, setup)
        click.echo("\n".join(lines))
        sys.stdout.flush()
        try:
            supervisor.watch()
        finally:
            click.echo("stopping: finishing calls in flight, then reading the spool to its end ...")
            supervisor.stop()


def base_url(config: Config, provider: str) -> str:
    """Return the base URL that an official SDK of the provider's dialect is given."""
    host = "127.0.0.1" if config.gateway.host in {"0.0.0.0", "::"} else config.gateway.host  # noqa: S104 -- compared, not bound
    path = _CLIENT_BASE_PATHS.get(config.providers[provider].dialect, "")
    return f"http://{host}:{config.gateway.port}/{provider}{path}"


def program() -> str:
    """Return how this program is called from here: by its name if it is on the path."""
    if shutil.which("tollbook") is not None:
        return "tollbook"
    path, here = Path(sys.argv[0]).absolute(), Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def setup_link(data_dir: Path) -> str | None:
    """Return the link that makes the first owner of the console; None where there is an account."""
    running = running_ledger(data_dir)
    if running is None:
        return None
    link: str | None = running.finance("POST", "/people/setup", {})["link"]
    return link


def greeting(
    config: Config,
    data_dir: Path,
    environ: Mapping[str, str],
    options: str = "",
    receiver: str = "",
    setup: str | None = None,
) -> list[str]:
    """Return the lines a person reads first: where things are and what to do next.

    Args:
        config: the settings.
        data_dir: where everything durable lives.
        environ: where the providers' keys are.
        options: what the commands shown need, to find the same settings and directory.
        receiver: what the receiver's process says of itself, if there is one.
        setup: link that makes the first owner of the console; None where there is an account.
    """
    workers = config.gateway.workers
    lines = [
        f"tollbook is up: {workers} gateway worker{'s' * (workers != 1)}, ledger in {data_dir}",
        "",
    ]
    width = max(map(len, [*config.providers, "console"])) + 2
    known, unused = default_providers(), []
    for name, provider in sorted(config.providers.items()):
        problem = unset_variables(provider, environ)
        is_as_known = name in KNOWN_NAMES and provider == known.get(name)
        if is_as_known and problem:
            unused.append(name)
            continue
        state = f"   ({problem}: only callers' own keys work)" if problem else ""
        lines.append(f"  {name:{width}}{base_url(config, name)}{state}")
    if unused:
        lines.append(f"  also, with callers' own keys: {', '.join(unused)}")
    lines += [
        f"  {'console':{width}}http://{config.console.host}:{config.console.port}",
        f"  {'API':{width}}http://{config.console.host}:{config.console.port}/api/v1",
        *([f"  {'OTLP':{width}}{receiver.partition('OTLP over ')[2]}"] if receiver else []),
        "",
        *([f"  the console's first owner: {setup}"] if setup is not None else []),
        f"  a key for an application:  {program()} keys create my-app{options}",
        f"  who spent it:              {program()} report spend --by tenant,model{options}",
        "",
        "Stop with Ctrl-C.",
    ]
    return lines
