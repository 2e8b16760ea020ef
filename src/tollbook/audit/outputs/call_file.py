"""The file of ``--calls``: each call with its score, as CSV or JSON Lines by the file's name."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from tollbook.audit.outputs.calls import csv_writer, jsonl_writer
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.scoring import CallScore
    from tollbook.audit.trace import Trace

    EachCall = Callable[[Trace, SpanFact, CallScore], None]


class OutputError(TollbookError):
    """A file that cannot be written to."""

    def __init__(self, option: str, path: str, problem: str) -> None:
        super().__init__(f"{option} {path}: {problem}; name a file that can be written")


@contextmanager
def calls_to(path: str) -> Iterator[EachCall]:
    """Open the file and give what writes a call to it.

    Raises:
        OutputError: it cannot be written to.
    """
    is_table = path.lower().endswith(".csv")
    try:
        file = Path(path).open("w", encoding="utf-8", errors="replace", newline="")  # noqa: SIM115 -- closed below
    except OSError as error:
        raise OutputError("--calls", path, error.strerror or "cannot be written") from error
    with file:
        yield csv_writer(file) if is_table else jsonl_writer(cast("IO[bytes]", file.buffer))
