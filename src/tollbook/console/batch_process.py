"""The process that fetches results of batches; started by ``tollbook up`` if ``[batch] fetch``.

``python -m tollbook.console.batch_process --data DIR [--config FILE] [--exit-on-stdin-eof]``. It
asks the running ledger what is open and writes what it reads into the spool, like a gateway worker.
SIGTERM, SIGINT or the end of standard input end it; what it was reading is read again later.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook import __version__
from tollbook.capture.batch.fetcher import Fetcher, OpenBatch
from tollbook.config import load_config
from tollbook.console.client import running_ledger
from tollbook.errors import TollbookError
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.config import Config

_QUESTION: Final = [("states", "open,waiting,settled"), ("since", "30d"), ("limit", "1000")]
"""Providers keep results for about a month."""


class NoLedgerYetError(TollbookError):
    """The ledger is not running, or not answering yet."""

    def __init__(self) -> None:
        super().__init__("it is not running")


def open_batches(data_dir: Path) -> list[OpenBatch]:
    """Return the batches that the running ledger waits for.

    Raises:
        TollbookError: there is none, or it does not answer.
    """
    ledger = running_ledger(data_dir)
    if ledger is None:
        raise NoLedgerYetError
    return msgspec.convert(ledger.ask("batches", _QUESTION)["rows"], list[OpenBatch])


def run_fetcher(
    config: Config, environ: Mapping[str, str], data_dir: Path, stop: threading.Event
) -> int:
    """Fetch until stopped and return the exit code.

    Raises:
        TollbookError: the data directory cannot be used.
    """
    name = new_writer_name(0).replace("-w000-", "-batch-", 1)
    writer = SpoolWriter(data_dir / "spool", name, config.spool, version=__version__)
    try:
        fetcher = Fetcher(config, environ, writer, lambda: open_batches(data_dir), stop)
        print("batch fetcher: follows open batches", flush=True)  # noqa: T201 -- its supervisor waits for this line
        fetcher.run()
    finally:
        writer.close()
    return 0


def _stop_at_end_of_input(stop: threading.Event) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop.set()

    threading.Thread(target=watch, name="stdin", daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; return the exit code."""
    parser = argparse.ArgumentParser(prog="tollbook batch fetcher")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s batch fetcher: %(message)s", level=logging.WARNING
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    if options.exit_on_stdin_eof:
        _stop_at_end_of_input(stop)
    try:
        config = load_config(options.config, os.environ)
        data_dir = options.data or Path(config.store.dir)
        return run_fetcher(config, os.environ, data_dir, stop)
    except TollbookError as error:
        print(f"tollbook: {error.message}", file=sys.stderr)  # noqa: T201 -- the one line
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
