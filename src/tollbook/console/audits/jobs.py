"""Audits of people: one at a time, each in a directory of its own that goes with it.

Reports are kept in memory for half an hour, for whoever handed the files in and nobody else. What
was handed in is removed as soon as it is audited, and what a killed process left at the next start.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.books.events import record_event
from tollbook.console.audits.beside import Beside
from tollbook.console.audits.errors import AuditBusyError, AuditFailedError, NoSuchAuditError
from tollbook.console.audits.limits import DEFAULT
from tollbook.console.audits.worker import FILES, Task, Told
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.audit.report import Audit
    from tollbook.books.store import Books
    from tollbook.console.audits.asked import Asked
    from tollbook.console.audits.limits import Limits
    from tollbook.console.audits.received import Received

_FOLDER: Final = "uploads"
_PRIVATE: Final = 0o700


class Job:
    """One audit, from when its files came until it is forgotten."""

    def __init__(self, owner: str, directory: Path, received: Received) -> None:
        self.job_id = directory.name
        self.owner = owner
        self.directory = directory
        self.files = tuple(received.files)
        self.size_bytes = received.size_bytes
        self.begun_ns = clock.monotonic_ns()
        self.made_at = clock.utc_now()
        self.told = Told()
        self.is_running = False
        self.report: Future[Audit] = Future()

    @property
    def audit(self) -> Audit | None:
        """The report; None while it is worked on, and where there is none."""
        is_there = self.report.done() and self.report.exception() is None
        return self.report.result() if is_there else None

    @property
    def problem(self) -> str | None:
        """Why there is no report; None while there may be one."""
        if not self.report.done():
            return None
        error = self.report.exception()
        return error.message if isinstance(error, TollbookError) else None


class Jobs:
    """All audits of this process; safe to use from several threads.

    Args:
        data_dir: files are kept below it while they are audited.
        books: where it is noted that somebody audited something.
        config_path: of the house's own prices; None: list prices.
        limits: how much is taken and kept.
    """

    def __init__(
        self, data_dir: Path, books: Books, config_path: Path | None = None,
        limits: Limits = DEFAULT,
    ) -> None:  # fmt: skip
        self._folder = data_dir / _FOLDER
        self._books, self._config_path = books, config_path
        self.limits = limits
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="trace-audit")
        self._running: Beside | None = None
        self._is_closed = False
        shutil.rmtree(self._folder, ignore_errors=True)

    def place(self) -> Path:
        """Return a new private directory that files can be received in.

        Raises:
            AuditBusyError: enough audits wait already.
        """
        with self._lock:
            waiting = sum(not one.report.done() for one in self._jobs.values())
        if waiting > self.limits.waiting_max:
            raise AuditBusyError(waiting)
        directory = self._folder / secrets.token_urlsafe(18)
        self._folder.mkdir(_PRIVATE, parents=True, exist_ok=True)
        directory.mkdir(_PRIVATE)
        (directory / FILES).mkdir(_PRIVATE)
        return directory

    def submit(self, owner: str, directory: Path, received: Received, asked: Asked) -> Job:
        """Begin an audit of what was received in a directory; the directory goes with it.

        Args:
            owner: who asked, by the name of the principal.
            directory: of :meth:`place`.
            received: what came.
            asked: how the audit is made.
        """
        job = Job(owner, directory, received)
        with self._lock:
            if self._is_closed:
                discard(directory)
                raise AuditFailedError("the console is stopping")
            self._jobs[job.job_id] = job
            self._forget_some(owner)
            self._pool.submit(self._run, job, asked)
        return job

    def of(self, owner: str, job_id: str) -> Job:
        """Return an audit of somebody.

        Raises:
            NoSuchAuditError: it is not kept, or is somebody else's.
        """
        with self._lock:
            self._forget_some(owner)
            job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise NoSuchAuditError
        return job

    def all_of(self, owner: str) -> list[Job]:
        """Return the audits of somebody that are kept, the newest first."""
        with self._lock:
            self._forget_some(owner)
            return [one for one in reversed(self._jobs.values()) if one.owner == owner]

    def close(self) -> None:
        """End what runs, and remove what was handed in."""
        with self._lock:
            self._is_closed = True
            running = self._running
        if running is not None:
            running.stop()
        self._pool.shutdown(cancel_futures=True)
        for job in self._jobs.values():
            if not job.report.done():
                job.report.set_exception(AuditFailedError("the console is stopping"))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _forget_some(self, owner: str) -> None:
        oldest_ns = clock.monotonic_ns() - self.limits.kept_s * clock.NS_PER_S
        done = [one for one in self._jobs.values() if one.report.done()]
        gone = [one for one in done if one.begun_ns < oldest_ns]
        own = [one for one in done if one.owner == owner]
        gone += own[: max(0, len(own) - self.limits.kept_max_each)]
        gone += done[: max(0, len(done) - self.limits.kept_max)]
        for one in gone:
            self._jobs.pop(one.job_id, None)

    def _run(self, job: Job, asked: Asked) -> None:
        try:
            made = self._made(job, asked)
        except TollbookError as error:
            outcome: Audit | TollbookError = error
        except Exception as error:  # noqa: BLE001 -- whoever waits must hear of it
            outcome = AuditFailedError(type(error).__name__)
        else:
            outcome = made
        discard(job.directory)  # before anybody hears of the end
        if isinstance(outcome, TollbookError):
            job.report.set_exception(outcome)
        else:
            job.report.set_result(outcome)

    def _made(self, job: Job, asked: Asked) -> Audit:
        def told(one: Told) -> None:
            job.told = one

        beside = Beside(self._task(job, asked), self.limits.time_max_s, told)
        with self._lock:
            self._running = beside
            if self._is_closed:
                beside.stop()
        job.is_running = True
        try:
            made = beside.run()
        finally:
            self._running = None
        self._note(job, made)
        return made

    def _task(self, job: Job, asked: Asked) -> Task:
        return Task(
            directory=str(job.directory), files=job.files, kind=asked.kind,
            settings=asked.settings, memory_max_bytes=self.limits.memory_max_bytes,
            spill_max_bytes=self.limits.spill_max_bytes,
            time_max_s=int(self.limits.time_max_s) + 1,
            config_path=None if self._config_path is None else str(self._config_path.absolute()),
        )  # fmt: skip

    def _note(self, job: Job, made: Audit) -> None:
        """Write to the audit trail that it was done: numbers, neither names nor content."""
        record_event(
            self._books, actor=job.owner, action="trace_audit.run",
            detail={
                "files": len(job.files), "size_bytes": job.size_bytes, "spans": made.spans,
                "calls": made.calls, "findings": len(made.findings),
            },
        )  # fmt: skip


def discard(directory: Path) -> None:
    """Remove a directory with all that was handed in."""
    shutil.rmtree(directory, ignore_errors=True)
