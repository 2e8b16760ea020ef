"""What operations work on, and how they are told apart from one another.

An operation is a name, a request Struct and a function. The API makes a route of each, the command
line sends the same request to the running ledger or carries it out itself when none runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tollbook.desk.permits import Access, Permit, Scope
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from msgspec import Struct

    from tollbook.books.store import Books
    from tollbook.config import Config
    from tollbook.ledger.store import Store
    from tollbook.reports.reader import Reader

BODY_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of a request to an operation over the API."""


class ReadOnlyError(TollbookError):
    """An operation that books was asked of a ledger that is open for reading."""

    def __init__(self) -> None:
        super().__init__("the ledger is open for reading only; this is a defect of Tollbook")


def _silent(done: int, total: int | None) -> None:
    del done, total


class Desk(NamedTuple):
    """The open ledger and books of one data directory."""

    reader: Reader
    books: Books
    config: Config
    data_dir: Path
    environ: Mapping[str, str]
    config_path: Path | None = None
    writer: Store | None = None
    """None where the operation only reads."""
    progress: Callable[[int, int | None], None] = _silent
    """Called with how much is done and of how much; None is not known."""
    author: str | None = None
    """Who asks; None for this process's user."""

    @property
    def store(self) -> Store:
        """The ledger, open for writing.

        Raises:
            ReadOnlyError: the operation did not say that it writes.
        """
        if self.writer is None:
            raise ReadOnlyError
        return self.writer


class FileAnswer(NamedTuple):
    """A file in the data directory that an operation answers with."""

    path: Path
    media_type: str


class Operation(NamedTuple):
    """One thing that can be asked or done: a route, a command, and a form of the console."""

    name: str
    """``noun.verb``, such as ``reconcile.run``."""
    method: Literal["GET", "POST"]
    path: str
    """Below ``/api/v1``, such as ``/reconciliations``; without variables."""
    request: type[Struct]
    """What it takes (``forbid_unknown_fields``): a GET the query's pairs, a POST a JSON object."""
    run: Callable[[Desk, Any], Struct | dict[str, Any]]
    """Return what is answered as JSON. Where that has ``rows``, the API also offers CSV."""
    summary: str
    """For the API's document and the audit trail."""
    writes: bool = False
    """Whether it books entries, so that it needs the ledger's one writer."""
    scope: Scope = Scope.FINANCE
    """What whoever asks must be allowed; a deed needs the scope to write, see ``needs``."""
    file: Callable[[Desk, Any], FileAnswer] | None = None
    """Of a GET: finds the file that the API sends instead of JSON; ``run`` describes it."""
    is_own: bool = False
    """A deed that changes nothing but what belongs to whoever asks: to read is enough for it."""

    @property
    def needs(self) -> Permit:
        """The permit that a request for it must hold."""
        is_read = self.method == "GET" or self.is_own
        return Permit(self.scope, Access.READ if is_read else Access.WRITE)
