"""The file of ``--calls``: each call with its score, as CSV or JSON Lines by the file's name."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from tollbook.audit.grouping import Grouping
from tollbook.audit.outputs.calls import csv_rows, jsonl_rows
from tollbook.audit.outputs.held_calls import HeldCalls
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.scoring import CallScore
    from tollbook.audit.trace import Trace

    EachCall = Callable[[Trace, SpanFact, CallScore], None]


_HELD_MAX_BYTES: Final = 16 * 1024 * 1024
"""Of lines in memory whose cause is not known yet."""


class OutputError(TollbookError):
    """A file that cannot be written to."""

    def __init__(self, option: str, path: str, problem: str) -> None:
        super().__init__(f"{option} {path}: {problem}; name a file that can be written")


@contextmanager
def calls_to(path: str) -> Iterator[EachCall]:
    """Open the file and give what writes a call to it; the last lines are written at the end.

    Raises:
        OutputError: it cannot be written to.
    """
    is_table = path.lower().endswith(".csv")
    try:
        file = Path(path).open("w", encoding="utf-8", errors="replace", newline="")  # noqa: SIM115 -- closed below
    except OSError as error:
        raise OutputError("--calls", path, error.strerror or "cannot be written") from error
    with file, Grouping(_HELD_MAX_BYTES) as held:
        rows = csv_rows(file) if is_table else jsonl_rows(cast("IO[bytes]", file.buffer))
        calls = HeldCalls(rows, held)
        yield calls
        calls.finish()
