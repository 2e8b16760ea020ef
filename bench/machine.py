"""Facts of the machine and the software: a speed without them says nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.figures import Figure
from tollbook import clock

ROOT = Path(__file__).resolve().parent.parent
PROXY_CORE = 0
LOAD_CORE = 1
_PACKAGES = ("tollbook", "uvloop", "httptools", "msgspec", "duckdb", "pyarrow", "ibis-framework")


def facts() -> list[Figure]:
    """Return the machine, versions, commit and date as figures without baseline."""
    found = {
        "date": clock.utc_now().isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "peers": ", ".join(filter(None, (_peer("nginx", "-v"), _peer("wrk", "-v")))) or "none",
        "priority": "nice -20; for latencies load generator and provider real-time"
        if os.geteuid() == 0
        else "normal",
        "load at start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return [
        Figure(name="machine.cores", value=os.cpu_count(), unit="cores"),
        Figure(name="machine.memory", value=memory, unit="MiB"),
        *(Figure(name=f"machine.{key}", value=text, unit="") for key, text in found.items()),
    ]


def find_program(name: str) -> str | None:
    """Return the path of a program, also where only root has it on its path; None without it."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def pin(core: int) -> None:
    """Keep this process (and what it starts) on one core; a smaller machine takes its last one."""
    os.sched_setaffinity(0, {min(core, (os.cpu_count() or 1) - 1)})


def go_first() -> None:
    """Take precedence over whatever else the machine does, the same for every peer; needs root.

    Call it in a session of its own.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    # With autogroups (sched(7)) a nice value counts within a session only; the session's own is
    # this file. The kernel may be built without it.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("-20", encoding="ascii")


def go_real_time(pid: int = 0) -> None:
    """Let a process run the moment it is woken, before anything else on its core; needs root.

    For latencies only: the generator and the canned provider share a core, and the scheduler's
    slices of milliseconds would otherwise be larger than what is measured.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _commit() -> str:
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return result.stdout.strip() or "unknown"


def _peer(name: str, option: str) -> str:
    path = find_program(name)
    if path is None:
        return ""
    result = subprocess.run([path, option], capture_output=True, text=True, check=False)
    first = (result.stderr + result.stdout).strip().splitlines()[:1]
    return first[0].replace("nginx version: ", "").split("[")[0].strip() if first else name
