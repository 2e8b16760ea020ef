"""The process that audits what was handed in: ``python -P -m tollbook.console.audits.worker``.

It reads its task as JSON from standard input, works in the directory that it names, tells how far
it is as lines of JSON on standard output, and leaves the report there as a file. It may take so
much time, memory and disk and no more, and knows neither the ledger nor any key of a provider.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.audit.engine import audit, encode_audit
from tollbook.audit.settings import AuditSettings
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.audit.engine import Pricer
    from tollbook.audit.read import Input, InputRead

FILES: Final = "files"
"""The directory of what was handed in, below that of the task."""
REPORT: Final = "report.json"
_EVERY_NS: Final = clock.NS_PER_S // 4
_NICE: Final = 5
"""The ledger comes first."""
_LISTED_MAX: Final = 3


class Task(Struct, frozen=True, kw_only=True):
    """What is to be done."""

    directory: str
    files: tuple[str, ...]
    kind: str | None
    settings: AuditSettings
    memory_max_bytes: int
    spill_max_bytes: int
    time_max_s: int
    config_path: str | None = None
    """Of the house's own prices; None: list prices."""


class Told(Struct, frozen=True, omit_defaults=True):
    """A line on standard output."""

    read_bytes: int = 0
    spans: int = 0
    done_traces: int = 0
    problem: str | None = None
    """Why there is no report; the last line then."""


class Teller:
    """Tells how far an audit is, some times a second."""

    def __init__(self) -> None:
        self._next_ns = 0
        self._reads: dict[int, InputRead] = {}

    def reading(self, read: InputRead) -> None:
        """Tell how much was read."""
        self._reads[id(read)] = read
        self._tell(0)

    def judging(self, done_traces: int) -> None:
        """Tell how many traces were looked at."""
        self._tell(done_traces)

    def _tell(self, done_traces: int) -> None:
        now_ns = clock.monotonic_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + _EVERY_NS
        reads = self._reads.values()
        read_bytes = sum(one.read_bytes for one in reads)
        say(Told(read_bytes, sum(one.spans for one in reads), done_traces))


def say(told: Told) -> None:
    """Write a line."""
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


def run(task: Task) -> None:
    """Audit the files and leave the report.

    Raises:
        TollbookError: nothing could be read.
    """
    from tollbook.audit.advice.advise import with_advice  # noqa: PLC0415 -- after the limits
    from tollbook.audit.inputs.sources import open_inputs  # noqa: PLC0415 -- as above

    os.chdir(Path(task.directory) / FILES)
    inputs: list[Input] = open_inputs(list(task.files), kind=task.kind)
    made = audit(inputs, _pricer(task), task.settings, Teller(), finish=with_advice)
    if not made.spans:
        raise NothingReadError([one.problem for one in made.troubles[:_LISTED_MAX]])
    report = Path(task.directory) / REPORT
    report.write_bytes(encode_audit(made))


class NothingReadError(TollbookError):
    """No file held a span."""

    def __init__(self, problems: list[str]) -> None:
        told = "; ".join(problems) or "nothing is in it"
        super().__init__(f"no spans were read: {told}")


def _pricer(task: Task) -> Pricer:
    from tollbook.audit import pricing  # noqa: PLC0415 -- after the limits

    if task.config_path is not None:
        return pricing.BookPricer(Path(task.config_path))
    return pricing.ListPricer()


def bind(task: Task) -> None:
    """Take no more than is allowed: the kernel ends whoever does (setrlimit(2))."""
    for which, most in (
        (resource.RLIMIT_AS, task.memory_max_bytes), (resource.RLIMIT_FSIZE, task.spill_max_bytes),
        (resource.RLIMIT_CPU, task.time_max_s), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        hard = resource.getrlimit(which)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (limit, limit))
    os.nice(_NICE)


def main() -> int:
    """Carry the task out and return the exit code."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    bind(task)
    try:
        run(task)
    except TollbookError as error:
        say(Told(problem=error.message))
        return error.exit_code
    except MemoryError:
        say(Told(problem="it needs more memory than an audit may have here"))
        return 1
    except Exception as error:  # noqa: BLE001 -- its own words may hold what was read
        say(Told(problem=f"a defect of Tollbook, {type(error).__name__} at {_place(error)}"))
        return 1
    return 0


def _place(error: Exception) -> str:
    """Return where in our own code it came from."""
    frames = [one for one in extract_tb(error.__traceback__) if "tollbook" in one.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


if __name__ == "__main__":
    sys.exit(main())
