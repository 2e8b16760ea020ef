"""Runs one audit in a process beside this one, and reads what it tells."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.audit.engine import decode_audit
from tollbook.console.audits.errors import AuditFailedError, AuditTimeoutError, UploadError
from tollbook.console.audits.worker import REPORT, Task, Told

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.report import Audit

_MODULE: Final = "tollbook.console.audits.worker"
_PASSED_ON: Final = ("LANG", "LC_ALL", "PATH", "PYTHONPATH", "TZ")
"""Of the environment; keys of providers are in it too, and are nobody's business here."""
_REPORT_MAX_BYTES: Final = 256 * 1024 * 1024
_BAD_INPUT: Final = 2
_LINE_MAX_BYTES: Final = 65_536


class Beside:
    """One run; it can be stopped from another thread.

    Args:
        task: what is to be done.
        time_max_s: after so long it is ended.
        told: is called with how far it is.
    """

    def __init__(self, task: Task, time_max_s: float, told: Callable[[Told], None]) -> None:
        self._task, self._time_max_s, self._told = task, time_max_s, told
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_late = self._is_stopped = False

    def run(self) -> Audit:
        """Run it and return the report.

        Raises:
            UploadError: the files cannot be read.
            AuditTimeoutError: it took too long.
            AuditFailedError: it ended without a report.
        """
        with self._lock:
            if self._is_stopped:
                raise AuditFailedError("the console is stopping")
            process = self._process = self._started()
        timer = threading.Timer(self._time_max_s, self._end_late)
        timer.daemon = True
        timer.start()
        try:
            problem = self._follow(process)
        finally:
            timer.cancel()
            process.kill()
            code = process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if self._is_late:
            raise AuditTimeoutError(self._time_max_s)
        if problem is not None and code == _BAD_INPUT:
            raise UploadError(problem)
        report = Path(self._task.directory) / REPORT
        if problem is not None or not report.is_file():
            raise AuditFailedError(problem or f"its process ended with {code}")
        if report.stat().st_size > _REPORT_MAX_BYTES:
            raise AuditFailedError("the report is too large for the console")
        return decode_audit(report.read_bytes())

    def stop(self) -> None:
        """End it."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        process = subprocess.Popen(  # noqa: S603 -- our own module in this interpreter
            [sys.executable, "-P", "-m", _MODULE], cwd=self._task.directory,
            env=environ | {"TMPDIR": self._task.directory, "HOME": self._task.directory},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(self._task))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already; its exit code says so
        return process

    def _follow(self, process: subprocess.Popen[bytes]) -> str | None:
        """Read what it tells until it ends; return why there is no report."""
        assert process.stdout is not None
        problem = None
        while line := process.stdout.readline(_LINE_MAX_BYTES):
            try:
                told = msgspec.json.decode(line, type=Told)
            except msgspec.DecodeError:
                continue  # something else wrote there
            problem = told.problem
            self._told(told)
        process.wait()
        return problem

    def _end_late(self) -> None:
        self._is_late = True
        with self._lock:
            if self._process is not None:
                self._process.kill()
