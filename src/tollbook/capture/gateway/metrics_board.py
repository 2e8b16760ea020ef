"""Where the workers of one gateway put their metrics, so that whichever is asked answers for all.

Each worker writes ``DATA/metrics/STARTER.WORKER.prom`` once a second where something changed, and
before each answer of its own: so what one has told, no other tells less of later. A worker that is
started again takes over the counts of its last life, so sums never fall and a scrape in between
loses nothing but what that life counted in its last second. STARTER is the process that started
the workers: files of another one are nobody's, and the supervisor removes them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook import clock
from tollbook.capture.gateway.metrics_text import (
    Family,
    added,
    counters,
    parse,
    render,
    render_workers,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tollbook.capture.gateway.metrics_text import Families

FOLDER: Final = "metrics"
MAX_SIZE_BYTES: Final = 256 * 1024
"""A larger text is neither written nor read."""
_TOUCHED_EVERY_S: Final = 15.0
_SILENT_AFTER_S: Final = 60.0
_STATES: Final = ("live", "silent", "ended", "unread")


class _Written(NamedTuple):
    """What was written last."""

    number: int
    """Texts are numbered in the order in which they were taken."""
    text: bytes
    at_s: float


class MetricsBoard:
    """The metrics of one worker, and those of its colleagues.

    For one thread, but for what :meth:`offer` returns. No method raises: without the disk a worker
    answers for itself, and says that the others are ``unread``.

    Args:
        data_dir: where everything durable lives.
        worker: number of this worker, from 0.
        workers: how many there are.
        starter: process id of what started them; this process's parent by default.
    """

    def __init__(
        self, data_dir: Path, worker: int, workers: int, *, starter: int | None = None
    ) -> None:
        self._folder = data_dir / FOLDER
        self._worker = worker
        self._workers = workers
        self._starter = os.getppid() if starter is None else starter
        last = self._read(worker)
        self._earlier: Families = {} if last is None else counters(last[0])
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()
        self._written = _Written(0, b"", 0.0)

    def offer(self, text: bytes) -> Callable[[], object] | None:
        """Return what writes this worker's metrics, None where that need not be.

        It is for another thread: making a file takes a millisecond, and more on a busy disk.
        """
        if not self._is_due(text):
            return None
        return partial(self._publish, next(self._numbers), text)

    def publish(self, text: bytes) -> Families:
        """Write what this worker counts, if that changed; return it with its earlier lives."""
        return self._publish(next(self._numbers), text)

    def _publish(self, number: int, text: bytes) -> Families:
        families = added(parse(text.decode()) or {}, self._earlier)
        with self._writing:
            # What was offered before may come to be written after: it would tell less.
            if number > self._written.number and self._is_due(text):
                shown = render(families)
                if len(shown) <= MAX_SIZE_BYTES:
                    with contextlib.suppress(OSError):
                        self._write(f"# pid {os.getpid()}\n{shown}")
                        self._written = _Written(number, text, _now_s())
        return families

    def _is_due(self, text: bytes) -> bool:
        written = self._written
        return text != written.text or _now_s() - written.at_s > _TOUCHED_EVERY_S

    def answer(self, text: bytes) -> bytes:
        """Return the metrics of all workers; ``text`` is what this one counts now."""
        states = dict.fromkeys(_STATES, 0)
        found: list[tuple[int, Families]] = []
        for number in range(self._workers):
            if number == self._worker:
                found.append((number, self.publish(text)))
                states["live"] += 1
                continue
            read = self._read(number)
            if read is None:
                states["unread"] += 1
                continue
            families, state = read
            states[state] += 1
            # What was open in a worker that is gone is not open any more; what it counted, was.
            found.append((number, families if state == "live" else counters(families)))
        own = Family(
            "gauge",
            "Workers by whether this answer tells of them.",
            {f'{{state="{state}"}}': count for state, count in states.items()},
        )
        return (render_workers(found) + render({"tollbook_gateway_workers": own})).encode()

    def _path(self, worker: int) -> Path:
        return self._folder / f"{self._starter}.{worker}.prom"

    def _write(self, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(self._worker)
        draft = path.with_suffix(".new")
        try:
            draft.write_text(text)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def _read(self, worker: int) -> tuple[dict[str, Family], str] | None:
        """Return what a worker wrote last, and how it is."""
        try:
            with self._path(worker).open(encoding="utf-8") as file:
                text = file.read(MAX_SIZE_BYTES + 100)
                age_s = clock.unix_ns() / clock.NS_PER_S - os.fstat(file.fileno()).st_mtime
        except (OSError, UnicodeDecodeError):
            return None
        first, _, rest = text.partition("\n")
        pid = first.removeprefix("# pid ")
        families = parse(rest)
        if families is None or not pid.isdigit() or len(rest) > MAX_SIZE_BYTES:
            return None
        if not _is_alive(int(pid)):
            return families, "ended"
        return families, "live" if age_s < _SILENT_AFTER_S else "silent"


def clear_board(data_dir: Path) -> None:
    """Remove what workers of this data directory have written; none may be running."""
    shutil.rmtree(data_dir / FOLDER, ignore_errors=True)


def _now_s() -> float:
    return clock.monotonic_ns() / clock.NS_PER_S


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
