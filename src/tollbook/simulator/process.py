"""Run the simulated providers: ``python -m tollbook.simulator.process --port 0 --log DIR``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import uvloop

from tollbook.errors import TollbookError
from tollbook.simulator.faults import parse_fault
from tollbook.simulator.params import BadParamsError
from tollbook.simulator.provider.server import ProviderServer, ServerSettings
from tollbook.simulator.truth import TruthLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DRAIN_S = 2.0
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0


class SimulatorStartError(TollbookError):
    """The simulator process did not come up."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"simulator: {problem}; run it by hand to see why")


class SimulatorPortError(TollbookError):
    """The port cannot be listened on."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(
            f"simulator: cannot listen on {host}:{port} ({problem}); give another --port"
        )


class SimulatorOptionError(TollbookError):
    """An option has a value that cannot be used."""

    def __init__(self, option: str, value: str, problem: str) -> None:
        super().__init__(f"simulator: {option} {value!r}: {problem}")


async def serve(
    settings: ServerSettings, log_dir: Path, host: str, port: int, *, exit_on_stdin_eof: bool
) -> None:
    """Serve until SIGTERM, SIGINT or (if asked) the end of standard input."""
    loop = asyncio.get_running_loop()
    log = TruthLog(log_dir)
    server = ProviderServer(settings, log)
    try:
        listener = await server.listen(host, port)
    except OSError as error:
        raise SimulatorPortError(host, port, error.strerror or str(error)) from error
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if exit_on_stdin_eof:
        loop.add_reader(sys.stdin.fileno(), _read_stdin, stopped)
    print(f"listening {listener.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 -- the parent reads it
    await stopped.wait()
    listener.close()
    await server.drain(_DRAIN_S)
    log.close()


def _read_stdin(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stopped.set()
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


class Simulator(NamedTuple):
    """A running simulator process."""

    port: int
    log_dir: Path
    pid: int

    @property
    def base_url(self) -> str:
        """Where both providers are, each below its own prefix (/openai, /anthropic)."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def start_in_subprocess(
    log_dir: Path, *, port: int = 0, settings: ServerSettings | None = None
) -> Iterator[Simulator]:
    """Run the providers in a child process for the length of a ``with``.

    Args:
        log_dir: directory of the truth log; created if absent.
        port: on 127.0.0.1; 0 takes a free one.
        settings: seed, keys and drawn faults.

    Raises:
        SimulatorStartError: the process ended or stayed silent.
    """
    chosen = settings or ServerSettings()
    command = [
        sys.executable,
        "-m",
        "tollbook.simulator.process",
        f"--port={port}",
        f"--log={log_dir}",
        f"--settings={msgspec.json.encode(chosen).decode()}",
        "--exit-on-stdin-eof",
    ]
    # The child ends with its parent: its standard input closes, however the parent dies.
    process = subprocess.Popen(  # noqa: S603 -- our own module, no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Simulator(_await_port(process), log_dir, process.pid)
    finally:
        _stop(process)


def _await_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    watchdog = _kill_later(process)
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    word, _, port = line.strip().partition(" ")
    if word != "listening" or not port.isdigit():
        raise SimulatorStartError(f"no port announced (exit code {process.poll()})")
    return int(port)


def _kill_later(process: subprocess.Popen[str]) -> threading.Timer:
    timer = threading.Timer(_START_TIMEOUT_S, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdin.close()
    process.stdout.close()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tollbook.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--log", type=Path, required=True, help="directory of the truth log")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC:PER_MILLION",
        help="draw a fault, such as 'rate_limit;times=1:20000'",
    )
    parser.add_argument("--settings", help="all settings as one JSON object")
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    return parser.parse_args(arguments)


def _settings(options: argparse.Namespace) -> ServerSettings:
    if options.settings is not None:
        try:
            return msgspec.json.decode(options.settings, type=ServerSettings)
        except msgspec.MsgspecError as error:
            raise SimulatorOptionError("--settings", options.settings, str(error)) from error
    faults: dict[str, int] = {}
    for option in options.fault:
        spec, _, share = option.rpartition(":")
        try:
            parse_fault(spec)
        except BadParamsError as error:
            raise SimulatorOptionError("--fault", option, str(error)) from error
        if not share.isdigit():
            raise SimulatorOptionError("--fault", option, "end it with :PER_MILLION")
        faults[spec] = int(share)
    return ServerSettings(seed=options.seed, faults_per_million=faults)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit code."""
    options = _parse(arguments)
    try:
        serving = serve(
            _settings(options),
            options.log,
            options.host,
            options.port,
            exit_on_stdin_eof=options.exit_on_stdin_eof,
        )
        uvloop.run(serving)
    except TollbookError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 -- a command's own last word
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
