"""The receiver's process: OTLP over HTTP and gRPC, and frames of SDKs; part of ``tollbook up``.

``python -m tollbook.console.receiver_process --data DIR [--config FILE] [--exit-on-stdin-eof]``.
It prints one line once it listens. SIGTERM, SIGINT or the end of standard input end it: what is in
hand is answered first. It needs no ledger; what it takes is in the spool.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tollbook.books.directory import KeyDirectory
from tollbook.capture.intake import Intake
from tollbook.capture.otlp.door import Door
from tollbook.capture.otlp.grpc_server import GrpcReceiver
from tollbook.capture.otlp.http import HttpReceiver
from tollbook.config import load_config
from tollbook.config.receiver import needs_key
from tollbook.console.receiver_desk import desk_of
from tollbook.console.receiver_http import HttpServer
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.config import Config

log = logging.getLogger(__name__)
_STDIN: Final = 0


class ReceiverListenError(TollbookError):
    """An address of the receiver cannot be used."""

    def __init__(self, host: str, port: int, setting: str, problem: str) -> None:
        super().__init__(
            f"the receiver cannot listen on {host}:{port}: {problem}; stop the other program or"
            f" set {setting} (TOLLBOOK_{setting.replace('.', '__').upper()})"
        )


async def serve(
    config: Config, data_dir: Path, stopping: asyncio.Event, *, said: Callable[[str], object]
) -> None:
    """Listen until stopped.

    Args:
        config: the settings.
        data_dir: where spool and keys are.
        stopping: ends it.
        said: told in one line what is listened on, once it is.

    Raises:
        ReceiverListenError: an address cannot be used, and the settings ask for it.
    """
    settings = config.receiver
    intake = Intake(data_dir, config.spool, label="otlp")
    desk = desk_of(config, intake)
    door = Door(lambda: KeyDirectory(data_dir), requires_key=needs_key(settings, settings.host))
    http = HttpServer(HttpReceiver(desk, door, settings), settings.header_timeout_s)
    grpc = GrpcReceiver(desk, door, settings)
    open_ports: list[str] = []
    tending = asyncio.create_task(_tend(intake, config.spool.sync_interval_s))
    try:
        for name, port, setting, listen in (
            ("HTTP", settings.http_port, "receiver.http_port", http.listen),
            ("gRPC", settings.grpc_port, "receiver.grpc_port", grpc.listen),
        ):
            if not port:
                continue
            try:
                open_ports.append(f"{name} on {settings.host}:{await listen(settings.host, port)}")
            except OSError as error:
                problem = (error.strerror or str(error)).lower()
                if settings.enabled:
                    raise ReceiverListenError(settings.host, port, setting, problem) from error
                log.warning("no OTLP over %s: %s:%d: %s", name, settings.host, port, problem)
        said(f"receiver: OTLP over {' and '.join(open_ports) or 'nothing'}")
        await stopping.wait()
    finally:
        await asyncio.gather(http.stop(settings.shutdown_timeout_s), grpc.stop())
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending
        desk.close()
        intake.close()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- its supervisor waits for this line


async def _tend(intake: Intake, interval_s: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(interval_s)
        await loop.run_in_executor(None, intake.tend)


def run_receiver(config: Config, data_dir: Path, *, exit_on_stdin_eof: bool) -> int:
    """Run the process and return its exit code.

    Raises:
        TollbookError: it cannot start; one line says why.
    """

    async def main_loop() -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        if exit_on_stdin_eof:
            loop.add_reader(_STDIN, _read_stdin, loop, stopping)
        await serve(config, data_dir, stopping, said=_say)

    asyncio.run(main_loop())
    return 0


def _read_stdin(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(_STDIN, 4096):
        loop.remove_reader(_STDIN)
        stopping.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; return the exit code."""
    parser = argparse.ArgumentParser(prog="tollbook receiver")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s receiver: %(message)s", level=logging.WARNING
    )
    try:
        config = load_config(options.config, os.environ)
        data_dir = options.data or Path(config.store.dir)
        return run_receiver(config, data_dir, exit_on_stdin_eof=options.exit_on_stdin_eof)
    except TollbookError as error:
        print(f"tollbook: {error.message}", file=sys.stderr)  # noqa: T201 -- the one line
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
