"""The ledger process: reads the spool, keeps the store, answers questions.

``python -m tollbook.console.process --data DIR [--config FILE] [--exit-on-stdin-eof]``. It prints
one line on standard output once it answers. SIGTERM, SIGINT, or with ``--exit-on-stdin-eof`` the
end of standard input (its supervisor has died), make it read the spool to its end and exit 0.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tollbook.alerts.runner import AlertRunner
from tollbook.chargeback.periods.cutoffs import as_billed, with_periods
from tollbook.chargeback.reconcile.shelf import accepted_months
from tollbook.config import Config, load_config
from tollbook.config.load import DEFAULT_FILE
from tollbook.console.answers import Answers
from tollbook.console.app import Services, create_app
from tollbook.console.auth import Address, announce, new_token, withdraw
from tollbook.console.budgetkeeper import BudgetKeeper
from tollbook.console.doors import Doors
from tollbook.console.finance import READ_TIMEOUT_S, desk_of, finance_router
from tollbook.console.finance import Settings as FinanceSettings
from tollbook.console.ledgerfile import LedgerFiles, open_ledger
from tollbook.console.operations import LedgerOperations, Settings
from tollbook.console.pages.context import House
from tollbook.console.pages.warm import warm_up
from tollbook.console.pump import Pump
from tollbook.console.server import ApiServer, listen
from tollbook.desk.registry import operations as all_operations
from tollbook.errors import TollbookError
from tollbook.ledger.billing_rules import rule_of
from tollbook.ledger.rollups import Roller
from tollbook.reports.reader import DuckdbReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

_FINAL_INGEST_TIMEOUT_S: Final = 100.0
_FIRST_INGEST_TIMEOUT_S: Final = 10.0
_FAILED: Final = 1


class DataDirError(TollbookError):
    """The data directory cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"data directory {path}: {problem}; choose another with --data")


class DamagedSpoolError(TollbookError):
    """The spool is damaged: what is lost is the operator's decision."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)


def run_ledger(
    config: Config,
    environ: Mapping[str, str],
    *,
    data_dir: Path | None = None,
    config_path: Path | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Run until stopped and return the exit code.

    Args:
        config: the settings.
        environ: where settings are read from again, when a changed price card is previewed.
        data_dir: where everything durable lives; None for the configured one.
        config_path: file of the settings, for errors about price cards.
        stop: set to end the run.
        say: told one line when it is ready.

    Raises:
        TollbookError: it cannot start; one line says why.
    """
    stop = stop or threading.Event()
    directory = data_dir or Path(config.store.dir)
    _make_private(directory)
    with open_ledger(config, directory, config_path) as files:
        return _serve(Settings(config, config_path, environ, directory), files, stop, say)


def _serve(
    settings: Settings, files: LedgerFiles, stop: threading.Event, say: Callable[[str], None]
) -> int:
    config, directory = settings.config, settings.data_dir
    # Questions of people may be cut off when the process stops; those of the pump may not.
    reader, own = DuckdbReader(files.store.reader()), DuckdbReader(files.store.reader())
    of_desk = DuckdbReader(files.store.reader(), READ_TIMEOUT_S)
    keeper = BudgetKeeper(
        config, str(settings.config_path or DEFAULT_FILE), directory, own.fetch, files.books,
        is_shared=config.budgets_shared.address(settings.environ) is not None,
    )  # fmt: skip
    roller = Roller(files.store)

    def after_step(has_read_all: bool) -> None:  # noqa: FBT001 -- a callback
        keeper.after_step(has_read_all)
        roller.step()

    pump = Pump(
        files.ingester,
        poll_interval_s=config.ledger.poll_interval_s,
        retain_h=config.spool.retain_h,
        on_failure=stop,
        after_step=after_step,
    )
    withdraw(directory)  # what a killed life left behind
    # Damage shows where reading stops, so read some before serving; a long backlog comes later.
    pump.catch_up(_FIRST_INGEST_TIMEOUT_S)
    _check_spool(own, pump)
    token = new_token()
    operations = LedgerOperations(files, reader, pump, settings)
    answers = Answers(
        reader, files.shelf, as_billed=partial(as_billed, files.books, config),
        with_periods=partial(with_periods, files.books, config),
        accepted=partial(accepted_months, files.books), rule=partial(rule_of, files.books),
        late_identity_h=config.ledger.late_identity_window_h,
    )  # fmt: skip
    desk = desk_of(
        files, of_desk,
        FinanceSettings(config, directory, settings.environ, settings.config_path),
    )  # fmt: skip
    doors = Doors(files.books, config, settings.environ)
    app = create_app(Services(answers, operations, token, finance_router(desk), desk, doors))
    listener = listen(config.console.host, config.console.port)
    mounted = None
    if config.receiver.enabled is not False:
        # Only then imported: what reads OTLP takes a moment and some megabytes.
        from tollbook.console.receiver_desk import Mounted  # noqa: PLC0415 -- see above

        mounted = Mounted(app, config, directory)
    server = ApiServer(mounted or app, listener)
    alerts = AlertRunner(desk)
    try:
        server.start()
        doors.start()
        announce(directory, token, Address(config.console.host, server.port, os.getpid()))
        pump.start()
        keeper.publisher.start()
        alerts.start()
        warm = partial(warm_up, House(answers, desk, all_operations(), operations.status), stop)
        threading.Thread(target=warm, name="warm-up", daemon=True).start()
        say(f"ledger: API on http://{config.console.host}:{server.port}/api/v1")
        stop.wait()
    finally:
        withdraw(directory)
        app.state.audits.close()
        for part in (alerts, keeper.publisher, reader, of_desk, server):
            part.stop()
        if mounted is not None:
            mounted.close()
        doors.close()
        try:
            pump.stop(_FINAL_INGEST_TIMEOUT_S)
        finally:
            own.stop()
    return _FAILED if pump.failure is not None else 0


def _check_spool(reader: DuckdbReader, pump: Pump) -> None:
    """Refuse to start over a damaged spool; while running, the damaged writer is set aside."""
    damaged = reader.fetch("SELECT count(*) FROM spool_positions WHERE state = 'corrupt'")[0][0]
    if damaged:
        raise DamagedSpoolError(
            pump.problems[0] if pump.problems else "the spool is damaged; see tollbook doctor"
        )


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(directory, (error.strerror or str(error)).lower()) from error


def _stop_at_end_of_input(stop: threading.Event) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop.set()

    threading.Thread(target=watch, name="stdin", daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; return the exit code."""
    parser = argparse.ArgumentParser(prog="tollbook ledger process")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s ledger: %(message)s", level=logging.WARNING
    )
    # What DuckDB writes is for the owner only, whatever the mode of the directory.
    os.umask(0o077)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    if options.exit_on_stdin_eof:
        _stop_at_end_of_input(stop)
    try:
        config = load_config(options.config, os.environ)
        return run_ledger(
            config, os.environ, data_dir=options.data, config_path=options.config, stop=stop,
            say=partial(print, flush=True),  # its supervisor waits for this line
        )  # fmt: skip
    except TollbookError as error:
        print(f"tollbook: {error.message}", file=sys.stderr)  # noqa: T201 -- the one line
        return error.exit_code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed. Taking the interpreter apart as well would only have DuckDB's bindings
    # print pages of "leaked instance" for their own types.
    os._exit(code)
