"""Spool to ledger: read, join, price, commit; one transaction a step, exactly once.

A step reads on in every writer, and commits the entries it made together with the positions it
read to and the calls still open. A crash at any moment loses the step, not a call: the next life
reads the same frames again from the committed positions.
"""

from __future__ import annotations

import gc
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tollbook import clock
from tollbook.ledger import state
from tollbook.ledger.batch import SLICE_CALLS, Entries
from tollbook.ledger.batches import BatchBooks
from tollbook.ledger.cards import UsedCards
from tollbook.ledger.join import Incident, Joined, WriterBook, frame_time_ns
from tollbook.ledger.late_usage import LateBooks
from tollbook.ledger.stitch.books import LATE_WINDOW_NS, RETAIN_NS, StitchBooks
from tollbook.spool.errors import CorruptSegmentError, SpoolError
from tollbook.spool.reader import Position
from tollbook.spool.retention import prune

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import duckdb

    from tollbook.ledger.cards import CardShelf
    from tollbook.ledger.store import Store
    from tollbook.prices.book import PriceBook
    from tollbook.spool.frame import Framed
    from tollbook.spool.reader import Chunk, SpoolReader, TornTail, WriterState

_log = logging.getLogger(__name__)

BATCH_CALLS = 20_000
_FIRST_GUESS_CALL_BYTES = 700
_READ_BYTES_MIN = 256 * 1024
CHUNK_BYTES = 224 * 1024
"""Read and made into columns together, while still in the processor's cache."""
_SURE_CALLS = 100
_IDLE_PROGRESS_NS = clock.NS_PER_S
_PRUNE_EVERY_NS = 60 * clock.NS_PER_S
_SETTLE_EVERY_NS = 60 * clock.NS_PER_S


class StepResult(Struct, frozen=True):
    """What one step did."""

    calls: int
    """Entries booked."""
    frames: int
    at_end: bool
    """Every writer was read to its end."""
    incidents: int
    complete_until_ns: int | None
    problems: tuple[str, ...] = ()
    """Writers that could not be read this time, in words."""


class _Read(NamedTuple):
    """What was read of one writer."""

    frames: int
    is_end: bool
    torn: TornTail | None = None


class Ingester:
    """Books what the spool holds. One per ledger; not for use from several threads at once.

    Args:
        store: the open ledger.
        reader: of the spool directory.
        price_book: prices by provider, model and time.
        shelf: keeps the cards that entries name.
        batch_calls: most calls committed in one transaction (calls that a dead writer left open
            may come on top).
        settle_batches_ns: after so long a batch without results is booked at unknown cost; None
            for never.
        late_identity_ns: how long after a call its owner may become known.
        spans_retain_ns: how long spans, and what observers said of calls, are kept.
        now_ns: the wall clock.
        refresh: called before each step, to have the price book use new cards.
    """

    def __init__(
        self,
        store: Store,
        reader: SpoolReader,
        price_book: PriceBook,
        shelf: CardShelf,
        *,
        batch_calls: int = BATCH_CALLS,
        settle_batches_ns: int | None = None,
        late_identity_ns: int = LATE_WINDOW_NS,
        spans_retain_ns: int = RETAIN_NS,
        now_ns: Callable[[], int] = clock.unix_ns,
        refresh: Callable[[], None] | None = None,
    ) -> None:
        self._store, self._reader, self._now_ns = store, reader, now_ns
        self._refresh = refresh
        self._cards = UsedCards(price_book, shelf)
        self._batches = BatchBooks(store, self._cards)
        self._late = LateBooks(store, self._cards)
        self._stitch = StitchBooks(
            store, self._cards, late_window_ns=late_identity_ns, retain_ns=spans_retain_ns
        )
        self._batch_calls = batch_calls
        self._settle_batches_ns = settle_batches_ns
        self._settled_ns = 0
        self._call_bytes = _FIRST_GUESS_CALL_BYTES
        self._progress_saved_ns = 0
        self._pruned_ns = 0
        self._load()
        for book in self._writers.values():
            if book.state == "corrupt":
                book.state = "retry"  # the operator may have restored the file meanwhile

    def _load(self) -> None:
        """Take up what was committed, forgetting everything else."""
        connection = self._store.reader()
        try:
            self._writers = state.load_writers(connection)
            self._complete_until_us = state.load_progress(connection)
            self._late.forget()
            self._stitch.forget()
        finally:
            connection.close()

    def step(self) -> StepResult:
        """Read on in every writer and commit what came of it.

        Raises:
            SpoolError: the spool directory itself cannot be read.
            Exception: what the store raised; nothing of the step is committed then, and the next
                step begins where this one did.
        """
        try:
            if self._refresh is not None:
                self._refresh()
            with _no_cycle_search():
                return self._step()
        except BaseException:
            self._load()
            raise

    def _step(self) -> StepResult:
        # Taken before the writers are listed: one that appears later starts its calls later.
        now_ns = self._now_ns()
        joined = Joined(self._batch_calls)
        entries = Entries(self._cards.resolve, self._cards.uses_reported)
        problems, torn, frames = [], [], 0
        bounds: list[int | None] = [now_ns]
        at_end = True
        listed = [one for one in self._reader.writers() if not self._is_finished(one.name)]
        # The one read least recently comes first, so that a busy writer does not starve the rest.
        listed.sort(key=lambda one: self._book(one).last_frame_ns or 0)
        for at, one in enumerate(listed):
            book = self._book(one)
            if book.state == "corrupt" or joined.room <= 0:
                at_end &= book.state == "corrupt"
                bounds.append(self._bound(one, book))
                continue
            try:
                read = self._read_on(joined, entries, book, joined.room // (len(listed) - at))
            except CorruptSegmentError as error:
                if book.state == "active":
                    joined.incidents.append(_corrupt(book, error))
                book.state, book.is_dirty = "corrupt", True
                problems.append(str(error))
                bounds.append(self._bound(one, book))
                continue
            except SpoolError as error:
                problems.append(str(error))
                bounds.append(self._bound(one, book))
                at_end = False
                continue
            frames += read.frames
            at_end &= read.is_end
            if read.torn is not None:
                torn.append(read.torn)
                joined.incidents.append(_torn(read.torn))
            if not read.is_end:
                bounds.append(self._bound(one, book))
            bounds += [min(open_.opened.started_at_ns for open_ in book.open_calls.values())
                       ] if book.open_calls else []  # fmt: skip
        entries.add(joined.hand_over())
        self._commit(joined, entries, bounds, now_ns, is_idle=not frames)
        for tail in torn:
            self._cut(tail, problems)
        until = self._complete_until_us
        return StepResult(
            joined.total, frames, at_end, len(joined.incidents),
            None if until is None else until * 1000, tuple(problems),
        )  # fmt: skip

    def _is_finished(self, name: str) -> bool:
        book = self._writers.get(name)
        return book is not None and book.state == "finished"

    def _book(self, writer: WriterState) -> WriterBook:
        book = self._writers.get(writer.name)
        if book is None:
            book = self._writers[writer.name] = WriterBook(Position(writer.name))
        if writer.version is not None:
            book.version = writer.version
        return book

    def _read_on(self, joined: Joined, entries: Entries, book: WriterBook, calls: int) -> _Read:
        """Read about so many calls of a writer, and make entries of them."""
        budget_bytes = max(_READ_BYTES_MIN, calls * self._call_bytes)
        goal, frames = joined.total + calls, 0
        while True:
            try:
                chunk = self._reader.read(book.position, min(budget_bytes, CHUNK_BYTES))
            except SpoolError:
                if frames:
                    return _Read(frames, is_end=False)  # the next step meets it first
                raise
            taken, is_end = self._take(joined, book, chunk)
            frames += taken
            budget_bytes -= CHUNK_BYTES
            if len(joined.calls) >= SLICE_CALLS:
                entries.add(joined.hand_over())
            if is_end:
                return _Read(frames, is_end=True, torn=chunk.torn)
            if taken < len(chunk.frames) or joined.total >= goal or budget_bytes <= 0:
                return _Read(frames, is_end=False)
            del chunk  # so that the next one's objects take the same places

    def _take(self, joined: Joined, book: WriterBook, chunk: Chunk) -> tuple[int, bool]:
        """Join a chunk as far as the step has room; return the frames taken and if all is read."""
        frames, before = chunk.frames, joined.total
        taken = joined.take(book, frames)
        if taken:
            book.last_frame_ns = frame_time_ns(frames[taken - 1])
            self._learn_size(frames, taken, joined.total - before)
        if taken < len(frames):
            _, segment, offset = frames[taken]
            following, is_end = Position(book.position.writer, segment, offset), False
        else:
            following, is_end = chunk.next, chunk.at_end
        if is_end and chunk.is_finished:
            joined.interrupt(book)
            book.state, book.is_dirty = "finished", True
        elif book.state == "retry":
            book.state, book.is_dirty = "active", True
        if following != book.position:
            book.position, book.is_dirty = following, True
        return taken, is_end

    def _learn_size(self, frames: Sequence[Framed], taken: int, calls: int) -> None:
        size_bytes = frames[taken - 1][2] - frames[0][2]
        if calls >= _SURE_CALLS and frames[taken - 1][1] == frames[0][1]:
            self._call_bytes = max(1, size_bytes // calls)

    def _bound(self, writer: WriterState, book: WriterBook) -> int | None:
        """Return until when a writer that is not read to its end is known; None if not at all."""
        if book.last_frame_ns is not None:
            return book.last_frame_ns
        if writer.started_at_ns is not None:
            return writer.started_at_ns
        return None if self._complete_until_us is None else self._complete_until_us * 1000

    def _commit(
        self, joined: Joined, entries: Entries, bounds: list[int | None], now_ns: int, *,
        is_idle: bool,
    ) -> None:  # fmt: skip
        dirty = [book for book in self._writers.values() if book.is_dirty]
        until_us = None if None in bounds else min(one for one in bounds if one is not None) // 1000
        nothing = is_idle and not dirty and not joined.incidents
        if nothing and now_ns - self._progress_saved_ns < _IDLE_PROGRESS_NS:
            return
        self._cards.keep(entries.card_ids)
        with self._store.transaction() as connection:
            last_before = self._store.last_entry_id
            for batch in entries.batches():
                self._store.append(batch.columns, batch.rows)
            if joined.batches:
                self._batches.book(connection, joined.batches)
            self._late.book(connection, joined.late, now_ns // 1000, until_us)
            self._stitch.book(connection, joined.observed, joined.spans, last_before, now_ns)
            self._settle_batches(connection, now_ns)
            state.save_writers(connection, dirty, now_ns // 1000)
            state.save_incidents(connection, joined.incidents, now_ns // 1000)
            state.save_progress(connection, until_us, now_ns // 1000)
        state.mark_saved(dirty)
        self._complete_until_us, self._progress_saved_ns = until_us, now_ns

    def _settle_batches(self, connection: duckdb.DuckDBPyConnection, now_ns: int) -> None:
        after_ns = self._settle_batches_ns
        if after_ns is not None and now_ns - self._settled_ns > min(_SETTLE_EVERY_NS, after_ns):
            self._batches.settle(connection, now_ns, after_ns)
            self._settled_ns = now_ns

    def _cut(self, torn: TornTail, problems: list[str]) -> None:
        try:
            self._reader.cut_torn_tail(torn)
        except SpoolError as error:
            problems.append(str(error))

    def skip_corrupt(self, writer: str) -> int | None:
        """Go on behind the damage of a parked writer; return how many bytes are given up.

        The operator's decision, recorded as an incident. None when the writer is not parked.

        Raises:
            SpoolError: its files cannot be read.
        """
        book = self._writers.get(writer)
        if book is None or book.state != "corrupt":
            return None
        following, skipped_bytes = self._reader.resync(book.position)
        detail = {"from_segment": book.position.segment, "from_offset": book.position.offset,
                  "segment": following.segment, "offset": following.offset,
                  "skipped_bytes": skipped_bytes}  # fmt: skip
        book.position, book.state, book.is_dirty = following, "active", True
        now_us = self._now_ns() // 1000
        with self._store.transaction() as connection:
            state.save_writers(connection, [book], now_us)
            state.save_incidents(connection, [Incident("skipped", writer, detail)], now_us)
        state.mark_saved([book])
        return skipped_bytes

    def prune(self, retain_ns: int) -> None:
        """Delete segments that are consumed and older than the time they are kept as evidence."""
        clean = [book for book in self._writers.values() if not book.is_dirty]
        prune(
            self._reader.root,
            {book.position.writer: book.position for book in clean if book.state != "corrupt"},
            self._now_ns() - retain_ns,
            finished=[book.position.writer for book in clean if book.state == "finished"],
        )

    def run(
        self, stop: threading.Event, *, poll_interval_s: float, retain_ns: int | None = None
    ) -> None:
        """Step until told to stop; wait when there is nothing to read.

        A writer or spool that cannot be read is logged, once until it changes, and tried again.

        Raises:
            Exception: what the store raised.
        """
        said: tuple[str, ...] = ()
        while not stop.is_set():
            try:
                result = self.step()
                problems, is_idle = result.problems, result.at_end or not result.frames
                if retain_ns is not None and self._now_ns() - self._pruned_ns > _PRUNE_EVERY_NS:
                    self._pruned_ns = self._now_ns()
                    self.prune(retain_ns)
            except SpoolError as error:
                problems, is_idle = (str(error),), True
            for problem in _new(problems, said):
                _log.error("%s", problem)
            said = problems
            if is_idle:
                stop.wait(poll_interval_s)


@contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Keep the cycle collector off: a step makes many objects and no cycles, searched in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _new(problems: Iterable[str], said: tuple[str, ...]) -> list[str]:
    return [problem for problem in problems if problem not in said]


def _corrupt(book: WriterBook, error: CorruptSegmentError) -> Incident:
    return Incident("corrupt", book.position.writer, {
        "segment": book.position.segment, "offset": error.offset, "problem": error.problem,
        "file": error.path.name,
    })  # fmt: skip


def _torn(torn: TornTail) -> Incident:
    return Incident("torn_tail", torn.writer, {
        "segment": torn.segment, "offset": torn.offset, "size_bytes": torn.size_bytes,
    })  # fmt: skip
