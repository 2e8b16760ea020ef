"""Batches that pass through the gateway: nothing is held up, everything of them is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tollbook import clock
from tollbook.call import BatchFile, BatchRead
from tollbook.capture.batch.answer_watch import AnswerWatch
from tollbook.capture.batch.frames import result_frame, seen_frame
from tollbook.capture.batch.owners import CustomIds, OwnersBuffer
from tollbook.dialects.base import Metered, Watch
from tollbook.dialects.batch_registry import batches_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import CallOpened
    from tollbook.capture.gateway.turn import Turn
    from tollbook.config import Config
    from tollbook.dialects.base import Header, ResponseMeter
    from tollbook.dialects.batch_base import (
        BatchReader,
        InputLine,
        InputScanner,
        ResultLine,
        ResultScanner,
    )

_MAX_STATE_BYTES: Final = 64 * 1024 * 1024
"""Largest answer about batches that is read; Gemini's may hold the results."""
_OK: Final = 200
_encode = msgspec.msgpack.Encoder().encode


class Batches:
    """What the watches of one worker share.

    Raises:
        CustomIdPatternError: ``[batch] custom_id_pattern`` cannot be used.
    """

    def __init__(self, config: Config, turn: Turn) -> None:
        self.custom_ids = CustomIds(config.batch.custom_id_pattern)
        self.user_is = config.identity.provider_user_is
        self.turn = turn

    def watch(
        self, what: Watch, opened: CallOpened, headers: Sequence[Header]
    ) -> BatchWatch | AnswerWatch | None:
        """Return what looks on at a request, None where its dialect has no batches."""
        if what is Watch.ANSWER:
            return AnswerWatch(self.turn, opened)
        reader = batches_of(opened.dialect)
        return None if reader is None else BatchWatch(self, reader, what, opened, headers)


class BatchWatch:
    """Looks on at one request and its response. Never raises on what either side sends."""

    __slots__ = (
        "_batches", "_buffer", "_meter", "_opened", "_reader", "_scanner",
        "_what",
    )  # fmt: skip

    def __init__(
        self,
        batches: Batches,
        reader: BatchReader,
        what: Watch,
        opened: CallOpened,
        headers: Sequence[Header],
    ) -> None:
        self._batches, self._reader, self._what, self._opened = batches, reader, what, opened
        self._scanner: InputScanner | None = None
        self._meter: StateMeter | ResultMeter | None = None
        if what in {Watch.UPLOAD, Watch.SUBMIT}:
            self._scanner = reader.input_scanner(dict(headers), batches.user_is)
        self._buffer = OwnersBuffer(opened.call_id, batches.custom_ids)

    def request_data(self, data: bytes) -> None:
        """Take bytes of the request's body."""
        if self._scanner is not None:
            self._owners(self._scanner.feed(data), is_last=False)

    def request_end(self) -> None:
        """Take the end of the request."""
        if self._scanner is not None:
            self._owners(self._scanner.finish(), is_last=True)

    def _owners(self, lines: Sequence[InputLine], *, is_last: bool) -> None:
        if self._buffer.add(lines, _encode) or is_last:
            frame = self._buffer.take(clock.unix_ns())
            if frame is not None:
                self._batches.turn.append(frame)
                self._batches.turn.schedule()

    def meter(self, status: int) -> ResponseMeter | None:
        """Return a meter for the response whose head has come, None where it says nothing."""
        self._meter = None
        if status == _OK:  # 206 is a part of a file, whose lines have no beginning
            if self._what is Watch.RESULTS:
                source_id = self._reader.subject(self._opened.path)
                if source_id is not None:
                    scanner = self._reader.result_scanner(is_known=False)
                    self._meter = ResultMeter(self, scanner, source_id)
            else:
                self._meter = StateMeter(self._reader, self._collection)
        return self._meter

    def response_complete(self, *, is_whole: bool) -> None:
        """Take the end of the response; ``is_whole``: its framing says that nothing is missing."""
        meter = self._meter
        if isinstance(meter, ResultMeter):
            if is_whole:
                meter.complete()
        elif meter is not None:
            self._state(meter.body())

    @property
    def _collection(self) -> str:
        return self._reader.collection(self._opened.path) or ""

    def _state(self, body: bytes) -> None:
        opened, turn = self._opened, self._batches.turn
        if self._what is Watch.UPLOAD:
            file_id, scanner = self._reader.read_file_id(body), self._scanner
            if file_id is not None and scanner is not None and scanner.lines:
                turn.append(BatchFile(
                    opened.call_id, clock.unix_ns(), opened.provider, file_id, opened.identity,
                    scanner.lines, scanner.problem,
                ))  # fmt: skip
            return
        collection = self._collection
        is_submission = self._what is Watch.SUBMIT
        for facts in self._reader.read_batches(body, opened.path):
            turn.append(seen_frame(
                facts, opened.provider, opened.dialect, collection,
                call_id=opened.call_id if is_submission else None,
                identity=opened.identity if is_submission else None,
            ))  # fmt: skip
        inline = self._reader.read_inline(body)
        if inline is not None:
            self.results(inline.lines, inline.source_id)
            self.read_whole(inline.source_id, len(inline.lines))

    def results(self, lines: Sequence[ResultLine], source_id: str) -> None:
        """Hand over lines of results."""
        opened, turn = self._opened, self._batches.turn
        for line in lines:
            turn.append(result_frame(
                line, opened.provider, opened.dialect, source_id, self._batches.custom_ids
            ))  # fmt: skip
        if lines:
            turn.schedule()

    def read_whole(self, source_id: str, lines: int) -> None:
        """Hand over that all results of a source have passed."""
        self._batches.turn.append(
            BatchRead(clock.unix_ns(), self._opened.provider, source_id, lines)
        )


class StateMeter:
    """Keeps a small JSON answer until it is whole; a larger one passes unread."""

    __slots__ = ("_chunks", "_collection", "_reader", "_size_bytes", "has_content")

    def __init__(self, reader: BatchReader, collection: str) -> None:
        self.has_content = False
        self._reader, self._collection = reader, collection
        self._chunks: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Keep the chunk; beyond 64 MiB pass it, and what was kept."""
        self._size_bytes += len(chunk)
        if self._size_bytes <= _MAX_STATE_BYTES:
            self._chunks.append(chunk)
            return b""
        held, self._chunks = self._chunks, []
        return b"".join([*held, chunk])

    def flush(self) -> bytes:
        """Return the answer as the client gets it."""
        return self._reader.shown_body(b"".join(self._chunks), self._collection)

    def result(self) -> Metered:
        """Return that nothing was billed."""
        return Metered()

    def body(self) -> bytes:
        """Return what was kept."""
        return b"".join(self._chunks)


class ResultMeter:
    """Reads results while they pass to the client."""

    __slots__ = ("_scanner", "_source_id", "_watch", "has_content")

    def __init__(self, watch: BatchWatch, scanner: ResultScanner, source_id: str) -> None:
        self.has_content = False
        self._watch, self._scanner, self._source_id = watch, scanner, source_id

    def feed(self, chunk: bytes) -> bytes:
        """Pass the chunk, and hand over the results that it completes."""
        self._watch.results(self._scanner.feed(chunk), self._source_id)
        return chunk

    def flush(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""

    def result(self) -> Metered:
        """Return that nothing was billed by this call itself."""
        return Metered()

    def complete(self) -> None:
        """Take the end of the results."""
        self._watch.results(self._scanner.finish(), self._source_id)
        if self._scanner.has_results:
            self._watch.read_whole(self._source_id, self._scanner.lines)
