"""The process that shares budgets with other hosts; started by ``tollbook up`` if they are to.

``python -m tollbook.console.leasekeeper --data DIR [--config FILE] [--exit-on-stdin-eof]``. One for
each data directory whose gateways use a limit together with other hosts'. SIGTERM, SIGINT or the
end of standard input end it; while none runs, workers use what has been granted.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.budgets.leases import Authority, LeaseAgent
from tollbook.budgets.seed import TABLE_FILE
from tollbook.config import load_config
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.config import Config
    from tollbook.config.budgets_shared import BudgetsShared

HOST_FILE: Final = "budgets.host"
_FIRST_LINE: Final = "budget leases: sharing"
_ID_BYTES: Final = 8
_FILE_MAX_BYTES: Final = 65_536


class NotSharedError(TollbookError):
    """There is nobody to share with."""

    def __init__(self) -> None:
        super().__init__("budgets are not shared: set [budgets_shared] url or url_env")


class NoClientError(TollbookError):
    """The library that speaks with Valkey is missing, or cannot use the address."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"[budgets_shared]: {problem}")


class _Host(Struct, frozen=True):
    """Who this data directory is among those that share, and whom it knows."""

    host: str
    peers: list[str] = []


def read_host(data_dir: Path) -> _Host:
    """Return this host's name and the hosts it knows; a name is made where there is none."""
    path = data_dir / HOST_FILE
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_FILE_MAX_BYTES), type=_Host)
    except (OSError, msgspec.DecodeError):
        made = _Host(secrets.token_hex(_ID_BYTES))
        write_host(data_dir, made)
        return made


def write_host(data_dir: Path, host: _Host) -> None:
    """Replace the file.

    Raises:
        OSError: it cannot be written.
    """
    path = data_dir / HOST_FILE
    fresh = path.with_name(f"{HOST_FILE}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 -- the mode
        file.write(msgspec.json.encode(host))
    os.replace(fresh, path)  # noqa: PTH105 -- atomic on every system


def connect(address: str, settings: BudgetsShared) -> tuple[Any, tuple[type[Exception], ...]]:
    """Return a client with time limits, and what it raises when Valkey is down.

    Raises:
        NoClientError: redis-py is not installed, or the address is none.
    """
    try:
        import redis  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise NoClientError('install "tollbook[valkey]"') from error
    try:
        client = redis.Redis.from_url(
            address, socket_timeout=settings.timeout_s, decode_responses=True,
            socket_connect_timeout=settings.timeout_s,
        )  # fmt: skip
    except ValueError as error:
        raise NoClientError("the url is none; expected redis://host:6379/0") from error
    return client, (redis.RedisError, OSError)


def run_leases(
    config: Config, environ: Mapping[str, str], data_dir: Path, stop: threading.Event
) -> int:
    """Share until stopped and return the exit code.

    Raises:
        NotSharedError: there is nobody to share with.
        NoClientError: Valkey cannot be spoken with.
    """
    settings = config.budgets_shared
    address = settings.address(environ)
    if address is None:
        raise NotSharedError
    client, faults = connect(address, settings)
    own = read_host(data_dir)
    agent = LeaseAgent(
        Authority(client, settings.prefix, own.host, settings), data_dir / TABLE_FILE, settings,
        now_s=lambda: clock.unix_ns() // clock.NS_PER_S,
        monotonic_s=lambda: clock.monotonic_ns() / clock.NS_PER_S,
        faults=faults, peers=own.peers,
    )  # fmt: skip
    print(_FIRST_LINE, flush=True)  # noqa: T201 -- its supervisor waits for this line
    try:
        while not stop.wait(settings.interval_s):
            agent.step()
            if list(agent.peers) != own.peers:
                own = _Host(own.host, list(agent.peers))
                write_host(data_dir, own)
    finally:
        agent.close()
        client.close()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; return the exit code."""
    parser = argparse.ArgumentParser(prog="tollbook budget leases")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s budget leases: %(message)s", level=logging.WARNING
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    if options.exit_on_stdin_eof:
        threading.Thread(target=_until_eof, args=(stop,), name="stdin", daemon=True).start()
    try:
        config = load_config(options.config, os.environ)
        return run_leases(config, os.environ, options.data or Path(config.store.dir), stop)
    except TollbookError as error:
        print(f"tollbook: {error.message}", file=sys.stderr)  # noqa: T201 -- the one line
        return error.exit_code


def _until_eof(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
