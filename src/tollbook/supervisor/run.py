"""The supervisor of ``tollbook up``: starts ledger and gateway workers, keeps them alive."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

from tollbook import clock
from tollbook.capture.gateway.metrics_board import clear_board
from tollbook.config.receiver import receiver_ports
from tollbook.errors import ToldError, TollbookError
from tollbook.supervisor.child import Child, Role
from tollbook.supervisor.preflight import PortInUseError, check_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.config.receiver import Receiver

log = logging.getLogger(__name__)

_WATCH_INTERVAL_S = 0.1
_START_TIMEOUT_S = 60.0
_LEDGER_STOP_TIMEOUT_S = 120.0
_BAD_INPUT = 2


class StartError(TollbookError):
    """A process ended, or did not answer, while starting."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} did not start: {problem}")


class ChildRefusedError(ToldError):
    """A process refused its input and has said why on standard error itself."""


class Supervisor:
    """N gateway workers on one port, a receiver and one ledger process on one data directory.

    Any of them may die at any moment: it is started again, and what it left in the spool is read.

    Args:
        config: the settings, already checked.
        config_path: file the processes read them from again; None for the default place.
        data_dir: where everything durable lives; must be locked by the caller.
        environ: environment of the processes.
    """

    def __init__(
        self,
        config: Config,
        *,
        config_path: Path | None,
        data_dir: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._config = config
        options = ["--data", str(data_dir), "--exit-on-stdin-eof"]
        if config_path is not None:
            options += ["--config", str(config_path)]
        self.ledger = Child(Role.LEDGER, "ledger", ["tollbook.console.process", *options], environ)
        self.workers = [
            Child(
                Role.WORKER,
                f"gateway worker {number}",
                ["tollbook.supervisor.gateway", *options, "--worker", str(number)],
                environ,
            )
            for number in range(config.gateway.workers)
        ]
        self.fetchers: list[Child] = []
        """The process that fetches results of batches, if there is to be one."""
        if config.batch.fetch:
            self.fetchers.append(
                Child(
                    Role.WORKER,
                    "batch fetcher",
                    ["tollbook.console.batch_process", *options],
                    environ,
                )
            )
        self.sharers: list[Child] = []
        """The process that shares budgets with other hosts, if they are to be shared."""
        if config.budgets_shared.address(environ) is not None:
            module = "tollbook.console.leasekeeper"
            self.sharers.append(Child(Role.WORKER, "budget leases", [module, *options], environ))
        self.receivers: list[Child] = []
        """The process that exporters and SDKs send to, if there is to be one; set by start."""
        self._receiver_command = ["tollbook.console.receiver_process", *options]
        self._environ = environ
        self._data_dir = data_dir
        self._stopping = threading.Event()

    @property
    def _capturing(self) -> list[Child]:
        """What writes the spool, all that the ledger reads; and what they need beside it."""
        return [*self.sharers, *self.workers, *self.fetchers, *self.receivers]

    def start(self) -> None:
        """Check the ports, start everything and return when all of it answers.

        Raises:
            PortInUseError: a port is taken.
            StartError: a process ended or stayed silent.
            ChildRefusedError: a process ended with exit code 2, having said why.
        """
        gateway, console = self._config.gateway, self._config.console
        check_port("the gateway", gateway.host, gateway.port, "gateway.port")
        check_port("the ledger's API", console.host, console.port, "console.port")
        if is_receiver_wanted(self._config.receiver):
            self.receivers = [Child(Role.WORKER, "receiver", self._receiver_command, self._environ)]
        clear_board(self._data_dir)
        try:
            # The ledger first: it makes the stores that the workers read their keys from.
            for group in ([self.ledger], self._capturing):
                for child in group:
                    child.start()
                for child in group:
                    self._await_ready(child)
        except TollbookError:
            self.stop()
            raise

    def watch(self) -> None:
        """Restart what dies, until :meth:`request_stop`."""
        while not self._stopping.wait(_WATCH_INTERVAL_S):
            self.tend()

    def tend(self) -> None:
        """Look at each process once: plan a restart for one that ended, start one that is due."""
        for child in [self.ledger, *self._capturing]:
            if child.is_running:
                continue
            if child.exit_code is not None and not child.is_planned:
                pause_s = child.schedule_restart()
                log.error("%s ended (exit code %s); starting it again in %.1f s",
                          child.name, child.exit_code, pause_s)  # fmt: skip
            elif child.is_due:
                child.start()

    def request_stop(self) -> None:
        """End :meth:`watch`; safe to call from a signal handler or another thread."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop the workers (they finish what is in flight), then the ledger (it reads the rest)."""
        self._stopping.set()
        grace_s = self._config.gateway.shutdown_timeout_s + 5.0
        self._stop_all(self._capturing, grace_s)
        clear_board(self._data_dir)
        self._stop_all([self.ledger], _LEDGER_STOP_TIMEOUT_S)

    def _stop_all(self, children: list[Child], timeout_s: float) -> None:
        for child in children:
            child.terminate()
        deadline_ns = clock.monotonic_ns() + int(timeout_s * clock.NS_PER_S)
        for child in children:
            left_s = max(0.0, (deadline_ns - clock.monotonic_ns()) / clock.NS_PER_S)
            if not child.wait(left_s):
                log.error("%s did not stop within %.0f s; killed", child.name, timeout_s)
                child.kill()
                child.wait(5.0)

    def _await_ready(self, child: Child) -> None:
        deadline_ns = clock.monotonic_ns() + int(_START_TIMEOUT_S * clock.NS_PER_S)
        while not child.ready.wait(_WATCH_INTERVAL_S):
            if not child.is_running:
                if child.exit_code == _BAD_INPUT:
                    raise ChildRefusedError
                raise StartError(child.name, f"it ended with exit code {child.exit_code}")
            if self._stopping.is_set():
                raise StartError(child.name, "stopped while starting")
            if clock.monotonic_ns() > deadline_ns:
                raise StartError(child.name, f"it did not listen within {_START_TIMEOUT_S:.0f} s")


def is_receiver_wanted(settings: Receiver) -> bool:
    """Whether to start the receiver: where nobody asks for it, only if it finds a free port.

    4317 and 4318 belong to every OpenTelemetry collector; one that runs here is no reason not to
    start the gateway.

    Raises:
        PortInUseError: the settings ask for it, and one of its ports is taken.
    """
    ports = receiver_ports(settings)
    if settings.enabled is False or not ports:
        return False
    free = 0
    for port, setting in ports:
        try:
            check_port("the receiver", settings.host, port, setting)
            free += 1
        except PortInUseError as error:
            if settings.enabled:
                raise
            log.warning("%s, or receiver.enabled = false", error.message)
    return free > 0


def stop_on_signals(supervisor: Supervisor) -> None:
    """Let SIGTERM and SIGINT end the watch; the caller then calls ``stop``."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: supervisor.request_stop())
