"""``python -m tollbook.capture.gateway.worker``: one gateway process, started by the supervisor."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop
from msgspec import structs

from tollbook import __version__
from tollbook.books.directory import KeyDirectory
from tollbook.capture.gateway.allocator import keep_freed_memory
from tollbook.capture.gateway.budget_watch import BudgetWatch
from tollbook.capture.gateway.cost_report import NoCosts
from tollbook.capture.gateway.metrics_board import MetricsBoard
from tollbook.capture.gateway.service import BACKLOG, Service
from tollbook.config import Config, load_config
from tollbook.config.load import DEFAULT_FILE
from tollbook.dialects.registry import dialect_named
from tollbook.errors import TollbookError
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.capture.gateway.ports import Prices

_STDIN: Final = 0


class ListenError(TollbookError):
    """The gateway's address cannot be listened on."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(
            f"gateway.port: {host}:{port} cannot be listened on: {problem};"
            " stop what uses it or set gateway.port"
        )


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address that further workers may bind too (SO_REUSEPORT).

    Raises:
        ListenError: the address is in use, not ours, or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise ListenError(host, port, error.strerror or str(error)) from error
    sock.setblocking(False)
    return sock


def run_worker(
    config: Config,
    worker: int,
    *,
    environ: Mapping[str, str],
    exit_on_stdin_eof: bool = False,
    prices: Prices | None = None,
    source: str = DEFAULT_FILE,
) -> int:
    """Serve until told to stop (SIGTERM, SIGINT, end of standard input); return the exit code.

    ``source`` is the file of the settings, for errors.

    Raises:
        TollbookError: the address or the data directory cannot be used.
    """
    sock = bound_socket(config.gateway.host, config.gateway.port)
    data_dir = Path(config.store.dir)
    name = new_writer_name(worker)
    writer = SpoolWriter(data_dir / "spool", name, config.spool, version=__version__)
    keys = KeyDirectory(data_dir)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        if exit_on_stdin_eof:
            loop.add_reader(_STDIN, _read_stdin, loop, stopping)
        costs = prices or NoCosts()
        budgets = BudgetWatch(config, source, data_dir, name, costs)
        if budgets.rules:
            ready: asyncio.Future[None] = loop.create_future()
            costs.when_ready(lambda: ready.set_result(None))
            await ready
        service = Service(
            config,
            spool=writer,
            keys=keys,
            dialect_named=dialect_named,
            environ=environ,
            worker=worker,
            price_of=None if prices is None else prices.list_price,
            costs=prices,
            budgets=budgets,
            board=MetricsBoard(data_dir, worker, config.gateway.workers),
        )
        await service.listen(sock)
        host, port = sock.getsockname()[:2]
        print(f"gateway worker {worker} listens on {host}:{port}", flush=True)  # noqa: T201 -- the supervisor reads it
        # What lives by now lives for ever: spare the collector, and the p99, from walking it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        await stopping.wait()
        await service.stop()

    keep_freed_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    keys.close()
    return 0


def _read_stdin(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(_STDIN, 4096):
        loop.remove_reader(_STDIN)
        stopping.set()


def main(
    arguments: Sequence[str] | None = None,
    *,
    prices_of: Callable[[Config, Path | None], Prices] | None = None,
) -> int:
    """Read the settings and run one worker; exit code 2 with one line for what is wrong.

    Args:
        arguments: of the command line.
        prices_of: makes the worker's prices of the settings and their file; None for a worker
            that cannot tell what calls cost.
    """
    parser = argparse.ArgumentParser(prog="tollbook.capture.gateway.worker", description=__doc__)
    parser.add_argument("--config", type=Path, help="settings file; default: tollbook.toml here")
    parser.add_argument("--data", type=Path, help="data directory; overrides store.dir")
    parser.add_argument("--worker", type=int, default=0, help="number of this worker")
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        environ = dict(os.environ)
        config = load_config(options.config, environ)
        if options.data is not None:
            store = structs.replace(config.store, dir=str(options.data))
            config = structs.replace(config, store=store)
        return run_worker(
            config,
            options.worker,
            environ=environ,
            exit_on_stdin_eof=options.exit_on_stdin_eof,
            prices=None if prices_of is None else prices_of(config, options.config),
            source=str(options.config or DEFAULT_FILE),
        )
    except TollbookError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 -- for the person who started it
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
