"""Who saw what: written in batches by a thread of its own, so that looking stays fast.

The queue is bounded. Where the disk refuses for long, what does not fit is counted, and the count
is written once the disk is back: a gap is on record, never silent. A clean stop writes everything.
"""

from __future__ import annotations

import logging
import queue
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock
from tollbook.books.errors import BooksError
from tollbook.books.tables_people import accesses
from tollbook.people.sessions import forget_old, mark_seen
from tollbook.people.tokens import mark_used

if TYPE_CHECKING:
    from tollbook.books.store import Books

log = logging.getLogger(__name__)

QUERY_CHARS: Final = 200
_QUEUE_MAX: Final = 20_000
_BATCH_MAX: Final = 1000
_BATCH_EVERY_S: Final = 0.5
_RETRY_AFTER_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 15.0
_CLEAN_EVERY_NS: Final = 6 * 3600 * clock.NS_PER_S
_DAY_NS: Final = 86_400 * clock.NS_PER_S
_CLEAN_ROWS: Final = 50_000


class Access(Struct, frozen=True, kw_only=True):
    """One thing that was looked at or tried."""

    at_ns: int
    actor: str
    kind: str
    """``page``, ``api``, ``export``, ``deed``, ``portal``, ``sign-in``, ``sign-out``, ``gap``."""
    path: str
    query: str | None = None
    query_sha256: str | None = None
    outcome: str
    """``ok``, ``denied``, ``failed``, ``refused``."""
    status: int | None = None
    address: str = ""


class Seen(Struct, frozen=True):
    """A session was used."""

    digest: str
    at_ns: int


class Used(Struct, frozen=True):
    """A token was used."""

    token_id: str
    at_ns: int


class Accesses(Protocol):
    """Where accesses are noted."""

    def note(self, item: Access | Seen | Used) -> None:
        """Keep something to be written soon; never waits."""


def access(
    *, actor: str, kind: str, path: str, outcome: str, query: str = "", status: int | None = None,
    address: str = "",
) -> Access:  # fmt: skip
    """Return an access of this moment; of a long query its beginning and its digest are kept."""
    is_long = len(query) > QUERY_CHARS
    return Access(
        at_ns=clock.unix_ns(), actor=actor[:256], kind=kind, path=path[:QUERY_CHARS],
        query=query[:QUERY_CHARS] or None,
        query_sha256=sha256(query.encode(errors="replace")).hexdigest() if is_long else None,
        outcome=outcome, status=status, address=address[:64],
    )  # fmt: skip


class AccessLog:
    """Writes what is noted; make one for each process that serves pages.

    Args:
        books: where it is kept.
        days: how long.
        queue_max: how much waits to be written at most.
    """

    def __init__(self, books: Books, days: int, queue_max: int = _QUEUE_MAX) -> None:
        self._books, self._days = books, days
        self._queue: queue.Queue[Access | Seen | Used] = queue.Queue(queue_max)
        self._left: list[Access | Seen | Used] | None = None  # a batch that could not be written
        self._lost = 0
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._cleaned_at_ns: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="accesses", daemon=True)
        self._thread.start()

    def note(self, item: Access | Seen | Used) -> None:
        """Keep something to be written soon; never waits."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            if isinstance(item, Access):
                with self._lock:
                    self._lost += 1

    def flush(self) -> None:
        """Write what was noted before the call.

        Raises:
            BooksError: the books cannot be written.
        """
        while self._write_batch():
            pass

    def close(self) -> None:
        """Write everything and stop."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
        try:
            self.flush()
        except BooksError as error:
            log.error("the access log could not be written: %s", error.message)  # noqa: TRY400 -- one line is enough

    def _run(self) -> None:
        wait_s = _BATCH_EVERY_S
        while not self._stop.is_set():
            self._wake.wait(wait_s)
            try:
                self.flush()
                self._clean()
                wait_s = _BATCH_EVERY_S
            except BooksError as error:
                log.warning("the access log waits: %s", error.message)
                wait_s = _RETRY_AFTER_S

    def _write_batch(self) -> bool:
        """Write one batch; tell whether there was anything, so that there may be more."""
        with self._writing:
            batch = self._taken()
            with self._lock:
                lost, self._lost = self._lost, 0
            if not batch and not lost:
                return False
            try:
                self._write(batch, lost)
            except BooksError:
                self._left = batch  # the first of the next try
                with self._lock:
                    self._lost += lost
                raise
        return True

    def _taken(self) -> list[Access | Seen | Used]:
        if self._left is not None:
            batch, self._left = self._left, None
            return batch
        batch = []
        while len(batch) < _BATCH_MAX:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _write(self, batch: list[Access | Seen | Used], lost: int) -> None:
        rows = [msgspec.structs.asdict(one) for one in batch if isinstance(one, Access)]
        if lost:
            gap = access(actor="tollbook", kind="gap", path="", outcome="failed",
                         query=f"{lost} accesses were not recorded")  # fmt: skip
            rows.append(msgspec.structs.asdict(gap))
        with self._books.write() as connection:
            if rows:
                connection.execute(accesses.insert(), rows)
            for digest, at_ns in {
                one.digest: one.at_ns for one in batch if isinstance(one, Seen)
            }.items():
                mark_seen(connection, digest, at_ns)
            for token_id, at_ns in {
                one.token_id: one.at_ns for one in batch if isinstance(one, Used)
            }.items():
                mark_used(connection, token_id, at_ns)

    def _clean(self) -> None:
        """Delete what is older than it is kept, some at a time."""
        now_ns = clock.monotonic_ns()
        if self._cleaned_at_ns is not None and now_ns - self._cleaned_at_ns < _CLEAN_EVERY_NS:
            return
        self._cleaned_at_ns = now_ns
        before_ns = clock.unix_ns() - self._days * _DAY_NS
        table = accesses.c
        old = sa.select(table.access_id).where(table.at_ns < before_ns).limit(_CLEAN_ROWS)
        with self._books.write() as connection:
            connection.execute(accesses.delete().where(table.access_id.in_(old)))
            forget_old(connection, clock.unix_ns())
