"""Part ``console``: every page over a year of ten million calls, seen first and seen again.

The ledger process is started anew for each range, so that a first view is the first of its kind
(pages that are alike share statements that were compiled). Time is what the browser waits for the
server: from the request to the last byte of HTML.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from bench import machine
from bench.figures import Aim, Figure, figure
from bench.procs import BenchError
from tollbook import clock
from tollbook.console.auth import read_announcement
from tollbook.console.pages.page import pages

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS: Final = 10_000_000
_KEPT: Final = "TOLLBOOK_BENCH_YEAR"
"""Directory of a year that was made before, to save the minutes of making it."""
_FIRST_AIM: Final = Aim("value", "at most", 1.0)
_AGAIN_AIM: Final = Aim("value", "at most", 0.2)
_TIMEOUT_S: Final = 120.0
_RANGES: Final = ("30d", "365d")


class Asked(NamedTuple):
    """What a page answered."""

    status: int
    seconds: float
    size_bytes: int


class Console:
    """A running console."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token

    def get(self, path: str) -> tuple[Asked, bytes]:
        """Ask for a path."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        start = clock.monotonic_ns()
        connection.request("GET", path, headers={"authorization": f"Bearer {self._token}"})
        response = connection.getresponse()
        body = response.read()
        took_s = (clock.monotonic_ns() - start) / clock.NS_PER_S
        connection.close()
        return Asked(response.status, took_s, len(body)), body

    def json(self, path: str) -> dict[str, Any]:
        """Ask the API."""
        return msgspec.json.decode(self.get(path)[1], type=dict[str, Any])


def run() -> list[Figure]:
    """Make the year, or take one that is there, and look at every page."""
    kept = os.environ.get(_KEPT)
    with tempfile.TemporaryDirectory(prefix="tollbook-bench-") as name:
        directory = Path(kept or name)
        if kept is None:
            make = [sys.executable, "-m", "examples.year", name, "--calls", str(CALLS)]
            subprocess.run(make, cwd=machine.ROOT, check=True, stderr=subprocess.DEVNULL)
        return [one for since in _RANGES for one in _looked(directory, since)]


def _looked(directory: Path, since: str) -> list[Figure]:
    figures = []
    with _serving(directory) as console:
        console.get("/healthz")
        ids = _ids(console)
        for path in sorted(pages()):
            asked = {"since": since} | ids.get(path, {})
            url = f"{path}?{urlencode(asked)}"
            first, body = console.get(url)
            name = f"console.{since}.{path.strip('/') or 'overview'}"
            if first.status != http.client.OK:
                problem = body[:200].decode("utf-8", "replace") if first.status >= 500 else ""
                note = f"HTTP {first.status}: needs something that is not there {problem}".strip()
                figures.append(figure(f"{name}.first", None, "s", note=note))
                continue
            again, _ = console.get(url)
            figures += [
                figure(f"{name}.first", first.seconds, "s", aim=_FIRST_AIM,
                       note=f"{first.size_bytes / 1024:.0f} KiB of HTML"),
                figure(f"{name}.again", again.seconds, "s", aim=_AGAIN_AIM),
            ]  # fmt: skip
    return figures


def _ids(console: Console) -> dict[str, dict[str, str]]:
    """Return what pages about one thing need, of things that are there."""
    tenant = console.json("/api/v1/spend?since=30d&by=tenant&limit=1")["rows"][0]["tenant"]
    call = console.json("/api/v1/calls?since=30d&limit=1")["rows"][0]["call_id"]
    run_id = console.json("/api/v1/runs?since=7d&limit=1")["rows"][0]["run"]
    return {"/tenant": {"id": tenant}, "/call": {"id": call}, "/run": {"id": run_id}}


@contextmanager
def _serving(directory: Path) -> Iterator[Console]:
    """Run the ledger process over a directory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tollbook.console.process", "--data", str(directory)],
        cwd=directory, stdout=subprocess.PIPE, env=os.environ | {"TOLLBOOK_CONSOLE__PORT": "18089"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise BenchError("the ledger process did not start")
        announced = read_announcement(directory)
        if announced is None:
            raise BenchError("the ledger process did not say where it is")
        yield Console(announced[0].port, announced[1])
    finally:
        process.terminate()
        process.wait(60)
