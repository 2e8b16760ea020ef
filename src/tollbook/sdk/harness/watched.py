"""A call in flight: what is seen of its answer, and how it ends. It ends once, and never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import CallClosed, Status
from tollbook.clock import monotonic_ns
from tollbook.dialects.base import Metered
from tollbook.dialects.inflated_copy import ENCODINGS, InflatedCopy
from tollbook.sdk.harness import dropped, faults, reading, retries
from tollbook.sdk.harness.begun import LATER_BYTES_MAX
from tollbook.sdk.harness.events import EVENTS, has_choices, is_end, is_one_choice
from tollbook.sdk.harness.outcome import Outcome, held_by, is_billable_answer, what_failed, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.dialects.base import ResponseMeter
    from tollbook.sdk.harness.begun import Begun
    from tollbook.sdk.sink import Sink

# An enum's member is looked up ten times as slowly as a module's name.
_OK: Final = Status.OK
_ERROR: Final = Status.ERROR
_CANCELLED: Final = Status.CANCELLED
_MAX_PLAIN_BYTES: Final = 64 * 1024 * 1024
"""Of an answer that is no stream; a larger one passes and is estimated."""
_BAD_REQUEST: Final = 400
_NOTHING: Final = Metered()
_NO_HEAD: Final[Mapping[bytes, bytes]] = {}
_ERROR_BYTES_MAX: Final = 2048
"""Some say with status 200 that they failed, in few words, and are asked again at once."""


class Watched:
    """One call from its open frame to its close frame.

    For a sink that tells of whole calls an answer is kept, with the time of each piece, and read by
    another thread (:mod:`tollbook.sdk.harness.reading`), unless it is large or may be an error. Of
    a stream only that is looked at before which the caller is not to get.
    """

    __slots__ = (
        "_begun",
        "_closed_at_ns",
        "_copy",
        "_duration_ns",
        "_first_token_ns",
        "_head",
        "_hider",
        "_hides_usage",
        "_is_late",
        "_is_left",
        "_kept",
        "_left",
        "_meter",
        "_outcome",
        "_response_bytes",
        "_sink",
        "_started_ns",
        "_status",
        "_unread",
        "is_closed",
        "is_event_stream",
        "is_http_1",
        "names_owner",
    )  # fmt: skip

    def __init__(self, begun: Begun, sink: Sink, *, is_late: bool = False) -> None:
        self._begun = begun
        self._sink = sink
        self._is_late = is_late
        self._started_ns = clock.monotonic_ns()
        self._first_token_ns: int | None = None
        self._status: int | None = None
        self._head: Mapping[bytes, bytes] = _NO_HEAD
        self._meter: ResponseMeter | None = None
        self._copy: InflatedCopy | None = None
        self._hider: ResponseMeter | None = None
        self._kept: list[tuple[bytes, int]] | None = None
        """Pieces of an answer that nobody has read, and when each came."""
        self._unread: list[tuple[bytes, int]] | None = None
        self._left = _MAX_PLAIN_BYTES
        self._response_bytes = 0
        self._is_left = self._hides_usage = False
        self._outcome: Outcome | None = None
        self.is_closed = self.is_event_stream = self.names_owner = False
        self.is_http_1 = True
        """Whether the answer's end is told by its framing, or else by the connection's end."""

    @property
    def sent(self) -> bytes:
        """The body that the provider gets."""
        return self._begun.sent

    def response(self, status: int, head: Mapping[bytes, bytes]) -> None:
        """Take the head of the answer; names are in lower case."""
        self._status = status
        self._head = head
        facts = self._begun.read_facts
        if self._is_late and status < _BAD_REQUEST:
            content_type = head.get(b"content-type", b"")
            if content_type.startswith(EVENTS) and b"content-encoding" not in head:
                self._kept, self.is_event_stream = [], True
                self._hides_usage = facts is not None and facts.hides_usage
                return
            if facts is None and content_type.startswith(b"application/json"):
                self._kept = []
                return
        self._look()

    def _look(self) -> None:
        """Have a meter look on from here."""
        try:
            self._hides_usage = self._begun.facts.hides_usage
            content_type = self._head.get(b"content-type", b"")
            stream_types = self._begun.target.dialect.stream_types
            self.is_event_stream = content_type.lower().startswith(stream_types)
            self._meter, self._copy = self._new_meter()
        except Exception as error:  # noqa: BLE001 -- the caller's answer comes first
            faults.note("response", error)

    def _new_meter(self) -> tuple[ResponseMeter | None, InflatedCopy | None]:
        begun, head = self._begun, self._head
        meter = begun.target.dialect.meter(begun.route, begun.facts, self._status or 0, head)
        encoding = head.get(b"content-encoding", b"identity")
        if encoding in ENCODINGS:
            return meter, InflatedCopy(_MAX_PLAIN_BYTES)
        if encoding not in {b"identity", b""}:
            return None, None  # nothing can be read of it: it is estimated
        return meter, None

    def feed(self, chunk: bytes) -> bytes:
        """Take body bytes as received; return what the caller gets of them now."""
        self._response_bytes = size_bytes = self._response_bytes + len(chunk)
        kept = self._kept
        if kept is not None:
            if size_bytes <= LATER_BYTES_MAX:
                kept.append((chunk, monotonic_ns()))
                if is_one_choice(chunk):  # nearly every piece of nearly every stream
                    return chunk if self._hider is None else self._passed(chunk)
                if not self.is_event_stream or not (self._hides_usage or is_end(chunk, kept)):
                    return chunk
                return self._passed(chunk)
            self._read_kept()
        meter = self._meter
        return chunk if meter is None else self._shown(chunk, meter)

    def _shown(self, chunk: bytes, meter: ResponseMeter) -> bytes:
        if not self.is_event_stream:
            self._left -= len(chunk)
            if self._left < 0:
                self._meter = None
                return chunk
        held = b""
        try:
            if self._copy is not None:
                for plain in self._copy.feed(chunk):
                    meter.feed(plain)
                shown = chunk
            else:
                if self._hides_usage:
                    held = held_by(meter)
                shown = meter.feed(chunk)
            if self._first_token_ns is None and meter.has_content:
                self._first_token_ns = clock.monotonic_ns() - self._started_ns
            if self.is_event_stream and getattr(meter, "stream_ended", False):
                # Its own last event: not every client reads on to the end.
                self._end_whole(meter.result())
        except Exception as error:  # noqa: BLE001 -- as above
            self._meter = None
            faults.note("feed", error)
            return held + chunk
        return shown

    def _passed(self, chunk: bytes) -> bytes:
        """Return what the caller gets of a piece of a stream that is read later."""
        shown = chunk
        hider = self._hider
        if self._hides_usage and (hider is not None or not has_choices(chunk)):
            held = b""
            try:
                if hider is None:
                    hider = self._hider = self._new_meter()[0]
                if hider is not None:
                    held = held_by(hider)
                    shown = hider.feed(chunk)
            except Exception as error:  # noqa: BLE001 -- the caller's answer comes first
                self._hider, self._hides_usage = None, False
                faults.note("feed", error)
                shown = held + chunk
        if is_end(chunk, self._kept):
            # For what may still come.
            self._meter = self._hider or (self._new_meter()[0] if self._hides_usage else None)
            self._close()
        return shown

    def _read_kept(self) -> None:
        """Have a meter look at what was kept of the answer, and at what comes next."""
        kept, self._kept = self._kept or [], None
        self._look()
        if not self._is_read(kept, self._meter, self._copy):
            self._meter = None

    def _metered_later(self) -> Metered:
        """Read what was kept of an answer that has ended; its caller may still be at it."""
        kept, self._unread = self._unread or [], None
        try:
            meter, copy = self._new_meter()
            if meter is not None and self._is_read(kept, meter, copy):
                meter.flush()
                return meter.result()
        except Exception as error:  # noqa: BLE001 -- it is told of all the same
            faults.note("response", error)
        return _NOTHING

    def _is_read(
        self, kept: list[tuple[bytes, int]], meter: ResponseMeter | None, copy: InflatedCopy | None
    ) -> bool:
        if meter is None:
            return False
        try:
            for chunk, at_ns in kept:
                for plain in (chunk,) if copy is None else copy.feed(chunk):
                    meter.feed(plain)
                if self._first_token_ns is None and meter.has_content:
                    self._first_token_ns = at_ns - self._started_ns
        except Exception as error:  # noqa: BLE001 -- as above
            faults.note("feed", error)
            return False
        return True

    def finish(self) -> bytes:
        """End the call: the answer came to its end. Return bytes that were held back."""
        kept = self._kept
        if kept is not None:
            if not self.is_event_stream and not self._may_be_error(kept):
                self._close()
                return b""
            self._read_kept()
        rest = b""
        meter = self._meter
        metered = _NOTHING
        if meter is not None:
            held = b""
            try:
                if self._hides_usage:
                    held = held_by(meter)
                rest = meter.flush()
                if not self.is_closed:
                    metered = meter.result()
            except Exception as error:  # noqa: BLE001 -- as above
                rest = held
                self._meter = None
                faults.note("finish", error)
            if self._copy is not None:
                rest = b""
        if self.is_closed:
            return rest
        if self._is_cut(metered):
            self._end(_ERROR, "upstream_broken", metered)
        else:
            self._end_whole(metered)
        return rest

    def _may_be_error(self, kept: list[tuple[bytes, int]]) -> bool:
        size_bytes = self._response_bytes
        return size_bytes <= _ERROR_BYTES_MAX and any(b'"error"' in chunk for chunk, _ in kept)

    def _end_whole(self, metered: Metered) -> None:
        outcome = whole(self._status or 0, metered)
        self._end(outcome.status, outcome.error_type, metered, is_billable=outcome.is_billable)

    def close(self) -> None:
        """Have the call ended soon: the caller wants no more of it.

        May be called by the garbage collector, at any moment: what is left of a stream that nobody
        reads closes it. So the sink, which may just hold its lock, is told of it elsewhere.
        """
        if self._status is not None and self._status < _BAD_REQUEST:
            self.leave()
        else:  # a client that tries again closes the failed answer first, and is asked for here
            self.end_early()

    def leave(self) -> None:
        """Have another thread end the call."""
        if not (self.is_closed or self._is_left):
            self._is_left = True
            dropped.drop(self)

    def end_early(self) -> None:
        """End the call as one whose caller has gone, or that was all but at its end."""
        if self.is_closed:
            return
        metered = self._metered()
        if self.is_event_stream and metered.stream_ended:
            self._end_whole(metered)
        elif self._status is not None and (self._status >= _BAD_REQUEST or metered.error_type):
            # Clients stop reading at an error, which is then all there is.
            error_type = metered.error_type or f"http_{self._status}"
            is_billable = is_billable_answer(self._status, metered)
            self._end(_ERROR, error_type, metered, is_billable=is_billable)
        else:
            self._end(_CANCELLED, None, metered)

    def stopped(self, error: BaseException) -> None:
        """End the call: no answer came, or it broke off, or the caller was cancelled."""
        if self.is_closed:
            return
        if not isinstance(error, Exception):  # GeneratorExit, CancelledError, KeyboardInterrupt
            self.close()
            return
        metered = self._metered()
        what, is_billable = what_failed(error, has_head=self._status is not None)
        self._end(_ERROR, what, metered, is_billable=is_billable)

    def _metered(self) -> Metered:
        if self._kept is not None:
            self._read_kept()
        if self._meter is None:
            return _NOTHING
        try:
            return self._meter.result()
        except Exception as error:  # noqa: BLE001 -- as above
            self._meter = None
            faults.note("result", error)
            return _NOTHING

    def _is_cut(self, metered: Metered) -> bool:
        """Whether a stream broke off whose end only the connection's could tell."""
        if not (self.is_event_stream and self.is_http_1) or metered.stream_ended:
            return False
        is_framed = b"content-length" in self._head or b"transfer-encoding" in self._head
        return self._meter is not None and not is_framed

    def _end(
        self, status: Status, error_type: str | None, metered: Metered, *, is_billable: bool = True
    ) -> None:
        if self.is_closed:
            return
        self._outcome = Outcome(status, error_type, metered, is_billable)
        if status is _ERROR and self._may_be_retried(error_type):
            try:  # its client asks in this thread, and soon
                retries.remember(self._begun)
            except Exception as error:  # noqa: BLE001 -- as above
                faults.note("retry", error)
        self._close()

    def _close(self) -> None:
        """Have the sink told: now, or by a thread that reads what is still unread."""
        self.is_closed = True
        self._unread, self._kept = self._kept, None
        self._closed_at_ns = clock.unix_ns()
        self._duration_ns = clock.monotonic_ns() - self._started_ns
        if not (self._is_late and reading.put(self)):
            self.tell()

    def tell(self) -> None:
        """Tell the sink of the call, which has ended. Never raises."""
        try:
            opened = self._begun.opened()
            closed = self._closed(opened.call_id)
            self._begun.forget()
            if self._is_late:
                self._sink.opened(opened)
            self._sink.closed(opened, closed)
        except Exception as error:  # noqa: BLE001 -- as above
            faults.note("close", error)

    def _closed(self, call_id: bytes) -> CallClosed:
        outcome = self._outcome
        if outcome is None:  # a whole answer that is still unread
            outcome = whole(self._status or 0, self._metered_later())
        metered = outcome.metered
        return CallClosed(
            call_id=call_id,
            closed_at_ns=self._closed_at_ns,
            status=outcome.status,
            http_status=self._status,
            error_type=outcome.error_type,
            time_to_first_token_ns=self._first_token_ns,
            duration_ns=self._duration_ns,
            provider_request_id=self._begun.target.dialect.provider_request_id(self._head),
            provider_response_id=metered.provider_response_id,
            model_actual=metered.model_actual,
            service_tier=metered.service_tier,
            usage=metered.usage,
            usage_complete=metered.usage_complete,
            output_chars=metered.output_chars,
            output_events=metered.output_events,
            response_bytes=self._response_bytes,
            is_billable=outcome.is_billable,
        )

    def _may_be_retried(self, error_type: str | None) -> bool:
        dialect = self._begun.target.dialect
        return self._status is None or dialect.is_retryable(self._status, error_type)
