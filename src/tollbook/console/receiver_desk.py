"""The receiver's core by the settings: in a process of its own, and on the port of the API."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tollbook.books.directory import KeyDirectory
from tollbook.capture.intake import Intake
from tollbook.capture.otlp.desk import Desk
from tollbook.capture.otlp.door import Door
from tollbook.capture.otlp.http import SIGNALS, HttpReceiver
from tollbook.capture.otlp.readers import readers
from tollbook.capture.otlp.receiver import Receiver
from tollbook.config.receiver import needs_key

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.config import Config


def desk_of(config: Config, intake: Intake) -> Desk:
    """Return what takes requests and writes them to a spool."""
    receiver = Receiver(
        intake,
        readers(config),
        max_decoded_bytes=config.receiver.max_decoded_bytes,
        default_environment=config.gateway.environment,
    )
    return Desk(receiver, config.receiver)


class Mounted:
    """An application before which OTLP and frames are taken, on the same port.

    Args:
        app: answers every other path.
        config: the settings.
        data_dir: where spool and keys are.
    """

    def __init__(self, app: Any, config: Config, data_dir: Path) -> None:
        self._app = app
        settings = config.receiver
        self._intake = Intake(data_dir, config.spool, label="api")
        self._desk = desk_of(config, self._intake)
        door = Door(
            lambda: KeyDirectory(data_dir),
            requires_key=needs_key(settings, config.console.host),
        )
        self._receiver = HttpReceiver(self._desk, door, settings)
        self._interval_s = config.spool.sync_interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="intake", daemon=True)
        self._thread.start()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        is_ours = scope["type"] == "http" and scope["path"] in SIGNALS
        await (self._receiver if is_ours else self._app)(scope, receive, send)

    def close(self) -> None:
        """Write down what is in hand; nothing is taken any more."""
        self._stop.set()
        self._thread.join()
        self._desk.close()
        self._intake.close()

    def _tend(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._intake.tend()
