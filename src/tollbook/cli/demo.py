"""``tollbook demo``: the whole of it against simulated providers, held against their true bill."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import threading
from contextlib import ExitStack
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tollbook import clock
from tollbook.books import open_books
from tollbook.books.keys import create_key
from tollbook.cli.demo_outcome import show_outcome
from tollbook.cli.up import base_url, program
from tollbook.config import Config, load_config
from tollbook.console.client import ApiSource, running_ledger
from tollbook.errors import CheckFailedError, TollbookError
from tollbook.prices.listprices import list_provider_ids
from tollbook.simulator.process import Simulator, start_in_subprocess
from tollbook.simulator.traffic import Mix, Plan, make_plan
from tollbook.simulator.truth import read_truth
from tollbook.supervisor.preflight import DataDirectory, PortInUseError, check_port
from tollbook.supervisor.run import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.simulator.outcomes import DriveResult
    from tollbook.simulator.outcomes import Progress as Done

_MARKER: Final = "made-by-tollbook-demo"
_SIM_KEY: Final = "sk-sim-gateway"
_OWNER: Final = "demo"
_PASSWORD_BYTES: Final = 12
_KEYED_TENANTS: Final = 12
_COMPLETE_TIMEOUT_S: Final = 60.0
_OUTCOMES: Final = {
    "ok": "answered",
    "error": "refused by the provider",
    "hung_up": "hung up by the product",
    "broken": "broken off by the provider",
}


class NotADemoError(TollbookError):
    """The directory holds something that the demo did not make."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was not made by tollbook demo; choose another with --data")


class IncompleteError(CheckFailedError):
    """Some calls did not end."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"calls are still open {timeout_s:.0f} s after the last was sent")


class _Run(NamedTuple):
    """What the parts of the demo share."""

    config: Config
    config_path: Path
    data_dir: Path
    simulator: Simulator
    environ: dict[str, str]
    err: Console


@click.command()
@click.option("--calls", default=3000, show_default=True, type=click.IntRange(10, 1_000_000),
              help="How many calls to send.")  # fmt: skip
@click.option("--tenants", default=40, show_default=True, type=click.IntRange(5, 200),
              help="How many customers the simulated product has.")  # fmt: skip
@click.option("--seed", default=2026, show_default=True, help="Of everything that is drawn.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64),
              help="Gateway processes.")  # fmt: skip
@click.option("--fast", is_flag=True, help="Plain HTTP instead of the official SDKs.")
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C.")
@click.option("--data", "data_dir", default=Path("demo-data"), show_default=True,
              type=click.Path(path_type=Path), help="Its directory, made anew.")  # fmt: skip
def demo(
    calls: int,
    tenants: int,
    seed: int,
    workers: int,
    fast: bool,  # noqa: FBT001 -- a command-line flag
    keep: bool,  # noqa: FBT001 -- a command-line flag
    data_dir: Path,
) -> None:
    """See it all work: simulated providers and a product, the gateway, the ledger, the bill.

    Sends calls through the official SDKs, reports them by tenant and holds the ledger against the
    simulated providers' own bill. Exit code 1 if they differ by anything.
    """
    err = Console(stderr=True, highlight=False)
    home = data_dir.absolute()
    _make_home(home)
    plan = make_plan(seed=seed, calls=calls, tenants=tenants, mix=Mix())
    with ExitStack() as stack:
        err.print(f"simulated providers: OpenAI and Anthropic (seed {seed})")
        simulator = stack.enter_context(start_in_subprocess(home / "provider-log"))
        run = _settle(home, simulator, workers, err)
        stack.enter_context(DataDirectory(run.data_dir))
        supervisor = Supervisor(
            run.config, config_path=run.config_path, data_dir=run.data_dir, environ=run.environ
        )
        stack.callback(supervisor.stop)
        err.print(f"gateway on port {run.config.gateway.port}, ledger in {run.data_dir}")
        supervisor.start()
        _drive(run, plan, is_fast=fast)
        source = running_ledger(run.data_dir)
        assert source is not None, "the supervisor has seen it listen"
        err.print("reading the spool to its end ...")
        _await_complete(source, clock.utc_now())
        holds = show_outcome(source, plan, read_truth(simulator.log_dir))
        click.echo("\n".join(_next_steps(run)))
        if keep:
            click.echo("\n".join(_owner(source, run.config)))
            sys.stdout.flush()
            supervisor.watch()
    if holds is not None:
        raise holds


def _make_home(home: Path) -> None:
    if home.exists():
        if any(home.iterdir()) and not (home / _MARKER).exists():
            raise NotADemoError(home)
        shutil.rmtree(home)
    home.mkdir(parents=True, mode=0o700)
    (home / _MARKER).touch()


def _settle(home: Path, simulator: Simulator, workers: int, err: Console) -> _Run:
    """Write the settings that a real installation would have, towards the simulator."""
    config_path, data_dir = home / "tollbook.toml", home / "data"
    config_path.write_text(
        f"""# Made by tollbook demo. With real providers base_url is left out.
[gateway]
port = {_port("the gateway", 8080, "gateway.port")}
workers = {workers}

[console]
port = {_port("the ledger's API", 8081, "console.port")}

[store]
dir = "{data_dir}"

[providers.openai]
base_url = "{simulator.base_url}/openai"
api_key_env = "DEMO_PROVIDER_KEY"

[providers.anthropic]
base_url = "{simulator.base_url}/anthropic"
api_key_env = "DEMO_PROVIDER_KEY"
{_live_providers()}""",
        encoding="utf-8",
    )
    data_dir.mkdir(mode=0o700)
    environ = {**os.environ, "DEMO_PROVIDER_KEY": _SIM_KEY}
    config = load_config(config_path, environ)
    return _Run(config, config_path, data_dir, simulator, environ, err)


def _live_providers() -> str:
    """Return sections for real providers whose keys are set; nothing is sent there by itself."""
    return "".join(
        f"""
[providers.{name}-live]
dialect = "{provider.dialect}"
base_url = "{provider.base_url}"
api_key_env = "{provider.api_key_env}"
list_prices = "{provider.list_prices or name}"
"""
        for name, provider in Config().providers.items()
        if provider.api_key_env is not None
        and provider.api_key_env in os.environ
        and (provider.list_prices or name) in list_provider_ids()
    )


def _port(what: str, usual: int, setting: str) -> int:
    """Return the usual port, or a free one where that is taken."""
    try:
        check_port(what, "127.0.0.1", usual, setting)
    except PortInUseError:
        with socket.create_server(("127.0.0.1", 0)) as free:
            chosen: int = free.getsockname()[1]
            return chosen
    return usual


def _drive(run: _Run, plan: Plan, *, is_fast: bool) -> DriveResult:
    """Send the plan's calls through the gateway, some tenants with keys of their own."""
    with open_books(run.data_dir) as books:
        product = create_key(books, label="product", actor="demo")[1]
        keys = {
            tenant.id: create_key(books, label=tenant.id, tenant_id=tenant.id, actor="demo")[1]
            for tenant in plan.tenants[:_KEYED_TENANTS]
        }
    log_path = run.data_dir.parent / "product-log.jsonl"
    url = f"http://127.0.0.1:{run.config.gateway.port}"
    columns = [
        TextColumn("calls through the {task.fields[how]}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    # In a file or a pipe a bar that moves is noise; the line after it says what came of it.
    with Progress(*columns, console=run.err, disable=not run.err.is_terminal) as progress:
        how = "gateway" if is_fast else "official SDKs"
        task = progress.add_task("", total=len(plan.requests), how=how)

        def tell(done: Done) -> None:
            progress.update(task, completed=done.done)

        drive = import_module(f"tollbook.simulator.drive_{'raw' if is_fast else 'sdk'}")
        send: Callable[..., DriveResult] = getattr(drive, "drive_raw" if is_fast else "drive_sdk")
        done = send(plan.requests, url, log_path, api_key=product, virtual_keys=keys, progress=tell)
    outcomes = ", ".join(
        f"{count:,} {_OUTCOMES.get(name, name)}" for name, count in done.outcomes.items() if count
    )
    run.err.print(
        f"{done.total:,} calls through the {how} in {done.duration_ns // 10**9} s: {outcomes}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return done


def _await_complete(source: ApiSource, moment: datetime) -> None:
    """Wait until every call that began before a moment is in the ledger.

    Streams whose client hung up are still read on when the product is done.
    """
    deadline_ns = clock.monotonic_ns() + int(_COMPLETE_TIMEOUT_S * clock.NS_PER_S)
    while clock.monotonic_ns() < deadline_ns:
        source.catch_up()
        until = source.ask("spend", [("since", "24h")])["completeness"]["complete_until"]
        if until is not None and datetime.fromisoformat(until) >= moment:
            return
        threading.Event().wait(0.1)
    raise IncompleteError(_COMPLETE_TIMEOUT_S)


def _short(path: Path) -> str:
    """Return a path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _owner(source: ApiSource, config: Config) -> list[str]:
    """Make an owner of the console, and say how to sign in; there is none other in a demo."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    asked = {"name": _OWNER, "role": "owner", "password": password}
    source.finance("POST", "/people", asked)
    url = f"http://127.0.0.1:{config.console.port}"
    return ["", f"Sign in to the console: {url} as {_OWNER}, password {password}"]


def _next_steps(run: _Run) -> list[str]:
    where = f"--config {_short(run.config_path)}"
    command = program()
    url = base_url(Config(), "openai")
    return [
        "Look around (nothing needs to run):",
        f"  {command} report rollup {where} --since 24h",
        f"  {command} calls {where} --where status=error",
        f"  {command} explain CALL_ID {where}",
        f"  {command} verify {where}",
        "",
        "The same in a browser (prints an address and a password, runs until Ctrl-C):",
        f"  {command} demo --keep",
        *[
            f"Your {name.removesuffix('-live')} key is set: {base_url(run.config, name)} (--keep)"
            for name in run.config.providers
            if name.endswith("-live")
        ],
        "",
        "Point a real application at it:",
        "  export OPENAI_API_KEY=... ANTHROPIC_API_KEY=...   # of the provider, for the gateway",
        f"  {command} up &",
        f"  {command} keys create my-app --tenant acme",
        f"  OPENAI_BASE_URL={url} OPENAI_API_KEY=tb_... python my_app.py",
    ]
