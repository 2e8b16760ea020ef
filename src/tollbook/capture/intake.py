"""The way into the spool for what other processes saw: on file, or sent back to come again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tollbook import __version__
from tollbook.spool.writer import SpoolHealth, SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tollbook.call import Frame
    from tollbook.config.schema import Spool

_NOTHING_YET = SpoolHealth(ok=True, error=None, ring_bytes=0, frames_lost=0, bytes_written=0)


class Intake:
    """A spool writer of its own, begun with the first frames; callable from any thread.

    Args:
        data_dir: where the spool is.
        settings: of the spool.
        label: what its writers are called by (``otlp``).
    """

    def __init__(self, data_dir: Path, settings: Spool, *, label: str) -> None:
        self._root, self._settings, self._label = data_dir / "spool", settings, label
        self._writer: SpoolWriter | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def put(self, frames: Sequence[Frame]) -> bool:
        """Return whether all the frames are on file.

        Nothing is taken while the disk refuses writes, so that the memory of the writer never
        holds more than what was in hand when it began to; whoever sent that sends it again, and
        the ledger knows it by its ids.

        Raises:
            SpoolError: the spool's directory cannot be made.
        """
        with self._lock:
            if self._is_closed:
                return False
            if self._writer is None:
                name = new_writer_name(0).replace("-w000-", f"-{self._label}-", 1)
                self._writer = SpoolWriter(self._root, name, self._settings, version=__version__)
            if not self._writer.flush():
                return False
            for frame in frames:
                self._writer.append(frame)
            return self._writer.flush()

    def tend(self) -> None:
        """Write what waits and force it to disk; called every ``[spool] sync_interval_s``."""
        with self._lock:
            writer = self._writer
            if writer is not None:
                writer.flush()
        if writer is not None:
            writer.sync()  # may take long, and may run beside the rest

    @property
    def writer_name(self) -> str | None:
        """Name of the spool writer; None before the first frames."""
        return None if self._writer is None else self._writer.name

    @property
    def health(self) -> SpoolHealth:
        """How the writer is doing."""
        writer = self._writer
        return _NOTHING_YET if writer is None else writer.health

    def close(self) -> None:
        """Write what is left and give the writer up; from now on nothing is taken."""
        with self._lock:
            self._is_closed = True
            if self._writer is not None:
                self._writer.close()
