"""Processes are kept running, told when to stop, and do not outlive their supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tollbook.supervisor.child import Child, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD = """
import sys
print("listening", flush=True)
sys.stdin.buffer.read()
"""
REFUSES = """
import sys
print("tollbook: no such luck", file=sys.stderr)
sys.exit(2)
"""


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    children: list[Child] = []

    def build(source: str) -> Child:
        (tmp_path / "toy_process.py").write_text(source)
        child = Child(
            Role.WORKER, "toy", ["toy_process"], {**os.environ, "PYTHONPATH": str(tmp_path)}
        )
        children.append(child)
        return child

    yield build
    for child in children:
        child.kill()
        child.wait(5)


def test_a_child_is_ready_once_it_says_so(make: Callable[[str], Child]) -> None:
    child = make(GOOD)
    child.start()

    assert child.ready.wait(10)
    assert child.first_line == "listening"
    assert child.is_running


def test_a_killed_child_is_planned_once_and_started_again(make: Callable[[str], Child]) -> None:
    child = make(GOOD)
    child.start()
    assert child.ready.wait(10)
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not child.is_running)
    pause_s = child.schedule_restart()
    assert child.is_planned
    wait_until(lambda: child.is_due)
    child.start()

    assert child.ready.wait(10)
    assert (child.exit_code, child.restarts) == (None, 1)
    assert child.pid != first
    assert 0 < pause_s <= 1


def test_pauses_grow_for_a_child_that_keeps_dying(make: Callable[[str], Child]) -> None:
    child = make(REFUSES)
    pauses = []
    for _ in range(3):
        child.start()
        assert child.wait(10)
        pauses.append(child.schedule_restart())

    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    assert child.exit_code == 2


def test_a_child_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    (tmp_path / "toy_process.py").write_text(GOOD)
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import os, time\n"
                "from tollbook.supervisor.child import Child, Role\n"
                "child = Child(Role.WORKER, 'toy', ['toy_process'], dict(os.environ))\n"
                "child.start(); child.ready.wait(10)\n"
                "print(child.pid, flush=True); time.sleep(60)\n"
            ),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    with supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        supervisor.kill()

    def is_gone() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        return state == "Z"

    wait_until(is_gone)
