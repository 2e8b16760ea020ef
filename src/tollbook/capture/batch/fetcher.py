"""Follow batches until their results are booked, whoever submitted them.

What is open is asked of the ledger, so a restart forgets nothing. A batch that cannot be read is
put back for longer each time, with its problem noted, and never keeps another one waiting.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from tollbook import clock
from tollbook.call import BatchRead
from tollbook.capture.batch.fetch_http import FetchError, ProviderClient
from tollbook.capture.batch.frames import result_frame, seen_frame
from tollbook.capture.batch.owners import CustomIds
from tollbook.config.schema import known_providers
from tollbook.dialects.batch_base import BatchFacts
from tollbook.dialects.batch_registry import batches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.call import Frame
    from tollbook.config.schema import Config
    from tollbook.dialects.batch_base import BatchReader, ResultLine

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 4
_LONGEST_PAUSE_S: Final = 3600.0
_MAX_PROBLEM_CHARS: Final = 200
_READ_AGAIN_NS: Final = 600 * clock.NS_PER_S
"""After so long without being booked, what was read must have been lost on its way."""


class OpenBatch(Struct, frozen=True):
    """A batch whose results are not all booked, as the ledger knows it."""

    provider: str
    batch_id: str
    dialect: str
    collection: str = ""
    status: str = ""
    state: str = "open"


class Sink(Protocol):
    """Where frames go; see :class:`tollbook.spool.writer.SpoolWriter`."""

    def append(self, frame: Frame) -> None:
        """Queue a frame."""

    def flush(self) -> bool:
        """Write what is queued."""

    def sync(self) -> object:
        """Force it to disk."""


class _Pause(Struct):
    until_ns: int = 0
    length_s: float = 0.0


class Fetcher:
    """Fetches what is waiting, round by round.

    Args:
        config: the settings.
        environ: where keys of providers may be.
        sink: a spool writer; used by one thread at a time.
        waiting: asks the ledger which batches are not booked; may raise TollbookError.
        stop: ends everything, also in the middle of a file.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        sink: Sink,
        waiting: Callable[[], Sequence[OpenBatch]],
        stop: threading.Event,
    ) -> None:
        self._batch, self._stop = config.batch, stop
        self._custom_ids = CustomIds(config.batch.custom_id_pattern)
        self._sink, self._waiting = sink, waiting
        self._clients: dict[str, ProviderClient] = {}
        self._readers: dict[str, BatchReader] = {}
        self._dialects: dict[str, str] = {}
        self._discovers: list[str] = []
        known = known_providers()
        for name, settings in config.providers.items():
            reader = batches_of(settings.dialect)
            if reader is not None:
                if settings != known.get(name) or environ.get(settings.api_key_env or ""):
                    self._discovers.append(name)  # else it only serves callers with own keys
                self._readers[name], self._dialects[name] = reader, settings.dialect
                self._clients[name] = ProviderClient(name, settings, config.batch, environ)
        self._pauses: dict[tuple[str, str], _Pause] = {}
        self._listed: dict[tuple[str, str], BatchFacts] = {}
        self._list_problems: dict[str, str] = {}
        self._read_ns: dict[tuple[str, str], int] = {}
        self._writing = threading.Lock()

    def run(self) -> None:
        """Go round until told to stop."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            while not self._stop.is_set():
                self.round(pool)
                self._stop.wait(min(self._batch.poll_interval_s, 60.0))
        for client in self._clients.values():
            client.close()

    def round(self, pool: ThreadPoolExecutor) -> int:
        """Look at everything that is due; return how many batches that were."""
        if self._batch.discover:
            list(pool.map(self._discover, self._discovers))
        try:
            waiting = self._waiting()
        except Exception as error:  # noqa: BLE001 -- the ledger may be starting; it is asked again
            logger.warning("the ledger cannot be asked for open batches: %s", error)
            return 0
        self._forget(waiting)
        due = [one for one in waiting if one.provider in self._clients and self._is_due(one)]
        list(pool.map(lambda one: None if self._stop.is_set() else self._follow(one), due))
        return len(due)

    def _forget(self, waiting: Sequence[OpenBatch]) -> None:
        """Let go of what is booked, so that a long life takes no more memory."""
        open_ones = {(one.provider, one.batch_id) for one in waiting}
        self._pauses = {key: it for key, it in self._pauses.items() if key in open_ones}
        now_ns = clock.monotonic_ns()
        self._read_ns = {
            key: it for key, it in self._read_ns.items() if now_ns - it <= _READ_AGAIN_NS
        }

    def _is_due(self, one: OpenBatch) -> bool:
        pause = self._pauses.get((one.provider, one.batch_id))
        return pause is None or clock.monotonic_ns() >= pause.until_ns

    def _put_back(self, one: OpenBatch, *, has_failed: bool) -> None:
        pause = self._pauses.setdefault((one.provider, one.batch_id), _Pause())
        least_s = self._batch.poll_interval_s
        grown_s = min(2 * pause.length_s, _LONGEST_PAUSE_S) if has_failed else least_s
        pause.length_s = max(least_s, grown_s)
        pause.until_ns = clock.monotonic_ns() + int(pause.length_s * clock.NS_PER_S)

    def _follow(self, one: OpenBatch) -> None:
        """Ask for a batch, and read its results if they are there. Never raises."""
        reader = self._readers[one.provider]
        collection = one.collection or reader.default_collection
        facts = BatchFacts(one.batch_id, one.status, one.state != "open")
        problem = None
        try:
            client = self._clients[one.provider]
            body = client.state(reader.state_path(collection, one.batch_id))
            found = [seen for seen in reader.read_batches(body) if seen.batch_id == one.batch_id]
            if not found:
                raise FetchError("the provider's answer does not describe the batch")  # noqa: TRY301 -- handled as the others are
            (facts,) = found
            self._write([seen_frame(facts, one.provider, one.dialect, collection)])
            inline = reader.read_inline(body)
            if inline is not None and self._is_unread(one, inline.source_id):
                self._write_results(one, inline.source_id, inline.lines)
                self._finish(one, inline.source_id, len(inline.lines))
            for source_id in facts.result_ids if facts.is_ended else ():
                if self._is_unread(one, source_id):
                    self._fetch(one, reader, reader.results_path(collection, source_id), source_id)
        except FetchError as error:
            problem = error.message
        except Exception as error:
            logger.exception("a batch could not be read")
            problem = f"reading it failed ({type(error).__name__})"
        self._put_back(one, has_failed=problem is not None)
        if problem is not None:
            logger.warning("batch %s of %s: %s", one.batch_id, one.provider, problem)
            self._write([
                seen_frame(facts, one.provider, one.dialect, collection,
                           problem=problem[:_MAX_PROBLEM_CHARS])
            ])  # fmt: skip

    def _fetch(self, one: OpenBatch, reader: BatchReader, path: str, source_id: str) -> None:
        scanner = reader.result_scanner(is_known=True)
        for chunk in self._clients[one.provider].results(path):
            self._write_results(one, source_id, scanner.feed(chunk))
            if self._stop.is_set():
                raise FetchError("the process ends; the rest is read by the next one")
        self._write_results(one, source_id, scanner.finish())
        self._finish(one, source_id, scanner.lines)

    def _finish(self, one: OpenBatch, source_id: str, lines: int) -> None:
        self._write([BatchRead(clock.unix_ns(), one.provider, source_id, lines)])
        self._read_ns[one.provider, source_id] = clock.monotonic_ns()

    def _is_unread(self, one: OpenBatch, source_id: str) -> bool:
        """Whether a source was not read just now: the ledger may still be taking it in."""
        read_ns = self._read_ns.get((one.provider, source_id))
        return read_ns is None or clock.monotonic_ns() - read_ns > _READ_AGAIN_NS

    def _write_results(self, one: OpenBatch, source_id: str, lines: Sequence[ResultLine]) -> None:
        if lines:
            self._write([
                result_frame(line, one.provider, one.dialect, source_id, self._custom_ids)
                for line in lines
            ])  # fmt: skip

    def _discover(self, name: str) -> None:
        """Note batches of a provider that are new or have changed. Never raises."""
        reader, dialect = self._readers[name], self._dialects[name]
        collection = reader.default_collection
        oldest_ns = clock.unix_ns() - int(self._batch.discover_age_h * 3600) * clock.NS_PER_S
        try:
            found = reader.read_batches(self._clients[name].state(reader.list_path(collection)))
        except FetchError as error:
            if self._list_problems.get(name) != error.message:  # said once, not at each round
                logger.warning("batches of %s cannot be listed: %s", name, error.message)
                self._list_problems[name] = error.message
            return
        self._list_problems.pop(name, None)
        frames: list[Frame] = []
        for facts in found:
            key = (name, facts.batch_id)
            is_old = facts.created_at_ns is not None and facts.created_at_ns < oldest_ns
            if not is_old and self._listed.get(key) != facts:
                self._listed[key] = facts
                frames.append(seen_frame(facts, name, dialect, collection))
        self._write(frames)
        listed = {facts.batch_id for facts in found}
        for key in [key for key in self._listed if key[0] == name and key[1] not in listed]:
            self._listed.pop(key)

    def _write(self, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        with self._writing:
            for frame in frames:
                self._sink.append(frame)
            self._sink.flush()
            if any(isinstance(frame, BatchRead) for frame in frames):
                self._sink.sync()
