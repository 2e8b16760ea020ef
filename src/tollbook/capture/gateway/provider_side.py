"""The provider's side of a call: what the pool and the upstream connection report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import Metering, Status
from tollbook.capture.gateway.answer import Answer
from tollbook.capture.gateway.closing import is_billable
from tollbook.capture.gateway.failures import connect_failure, upstream_failure
from tollbook.capture.gateway.outgoing import chunk, request_bytes, signed, without_body
from tollbook.capture.gateway.wishing import Wishing

if TYPE_CHECKING:
    from tollbook.capture.gateway.upstream import UpstreamConnection
    from tollbook.dialects.base import Header

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_WATCHED_MAX_BYTES: Final = 2**40
"""Results of batches are read line by line, however many there are."""
# An enum's member is looked up ten times as slowly as a module's name.
_METERED: Final = Metering.METERED
_OK, _ERROR = Status.OK, Status.ERROR
_STALE_NS: Final = clock.NS_PER_S
"""A kept connection that fails this soon was most likely closed before the request came."""


class ProviderSide(Wishing):
    """A call as its provider sees it: sent, answered, broken off."""

    __slots__ = ()

    # from the pool

    def connected(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        if self._is_closed:
            connection.release()
            return
        self._upstream = connection
        connection.serve(self)
        data = self._replay
        if data is None:
            admitted, facts = self._admitted, self._facts
            upstream = admitted.upstream
            if upstream.tagger is not None and self._opened is not None:
                admitted, facts = upstream.tagger.told(admitted, facts, self._opened.identity)
            if upstream.signer is not None:
                self._signed = signed(admitted, facts, self.method)
            data = request_bytes(
                admitted,
                facts,
                self._framing,
                self.method,
                self._body,
                is_complete=self._is_body_complete,
                credential=self._signed,
            )
            self._body = []
            self._facts = without_body(self._facts)
            if (
                connection.is_reused
                and self._is_body_complete
                and (self.method in _IDEMPOTENT or self._admitted.idempotency_key is not None)
            ):
                self._replay = data
        connection.transport.write(data)
        if not self._is_body_complete and self._client is not None:
            self._client.release_reading()

    def connect_failed(self, error: Exception) -> None:
        """Answer that the provider cannot be reached."""
        if not self._is_closed:
            self._fail(connect_failure(self._admitted.upstream.name, error))

    def _send_up(self, data: bytes) -> None:
        connection = self._upstream
        if connection is None or connection.transport.is_closing():
            return
        if self._framing.is_chunked:
            data = chunk(data)
        connection.deadline = (
            self._service.wheel.now + self._admitted.upstream.settings.first_byte_timeout_s
        )
        connection.transport.write(data)

    # from the upstream connection

    def upstream_paused(self) -> None:
        """Stop reading from the client: the provider takes bytes slowly."""
        if self._client is not None and not self._is_body_complete:
            self._client.hold_reading()

    def upstream_resumed(self) -> None:
        """Read on from the client."""
        if self._client is not None and not self._is_body_complete:
            self._client.release_reading()

    def response_head(
        self, status: int, headers: list[Header], connection: UpstreamConnection
    ) -> None:
        """Take the response head: frame it for the client, choose a meter."""
        admitted, service = self._admitted, self._service
        self._replay = None
        keeps = self.keep_alive and self._is_body_complete and not service.is_draining
        if admitted.wishes is None:
            answer = Answer(
                status,
                headers,
                call_id=self._call_id,
                is_head=self.is_head,
                is_http_10=self.is_http_10,
                keep_alive=keeps,
                hides_usage=self._facts.hides_usage,
                stream_types=admitted.upstream.dialect.stream_types,
                lines=self._head_lines,
            )
        else:
            answer = self._wished_answer(admitted.wishes, status, headers, keep_alive=keeps)
        self._answer = answer
        self.keep_alive = not answer.closes
        if self._signed is not None:
            self._signed.answered(status, answer.table)
        if answer.is_event_stream:
            service.metrics.open_streams += 1
        if admitted.route.metering is _METERED:
            meter = admitted.upstream.dialect.meter(
                admitted.route, self._facts, status, answer.table
            )
            encoding = answer.table.get(b"content-encoding")
            answer.look_on(
                meter,
                encoding=None if encoding in {None, b"identity", b""} else encoding,
                max_bytes=service.config.gateway.max_metered_response_bytes,
            )
        elif self._watch is not None:
            watching = self._watch.meter(status)
            if watching is not None:
                encoding = answer.table.get(b"content-encoding")
                answer.look_on(
                    watching,
                    encoding=None if encoding in {None, b"identity", b""} else encoding,
                    max_bytes=_WATCHED_MAX_BYTES,
                )
        del connection

    def response_body(self, data: bytes) -> None:
        """Take body bytes of the provider."""
        answer = self._answer
        assert answer is not None
        answer.feed(data)
        if not answer.has_content and answer.meter is not None and answer.meter.has_content:
            answer.has_content = True
            self._first_token_ns = clock.monotonic_ns() - self._started_ns

    def response_fed(self, *, is_complete: bool) -> None:
        """Write to the client what this read brought; the end only after the close frame."""
        answer = self._answer
        assert answer is not None
        if is_complete:
            self._response_complete(answer)
        elif self._client is not None:
            data = answer.take(is_complete=False)
            if data:
                self._client.transport.write(data)
        else:
            answer.take(is_complete=False)
            if answer.bytes_in > self._drain_until:
                self._drained("too_large")
                self._drop_upstream()
                self._close(Status.CANCELLED)

    def _response_complete(self, answer: Answer) -> None:
        connection, self._upstream = self._upstream, None
        assert connection is not None
        assert self._opened is not None
        is_cut_stream = False
        answer.flush_meter()
        if self._watch is not None:
            self._watch.response_complete(is_whole=connection.is_length_known)
        if not connection.is_length_known and self._opened.is_stream and answer.is_event_stream:
            # The connection's end is all there is to tell a whole stream from a broken one.
            is_cut_stream = answer.meter is not None and not answer.metered().stream_ended
        if self._is_body_complete:
            connection.release()
        else:
            connection.abandon()  # it answered before it had the whole request
        if is_cut_stream:
            self._broken(answer, "upstream_broken")
            return
        if self._is_draining:
            self._drained("complete")
            self._close(Status.CANCELLED)
            return
        metered = answer.metered()
        is_error = answer.status >= 400 or metered.error_type is not None  # noqa: PLR2004 -- HTTP
        self._close(
            _ERROR if is_error else _OK,
            error_type=metered.error_type or (f"http_{answer.status}" if is_error else None),
            is_billable=is_billable(answer.status, metered),
        )
        self._held = answer.take(is_complete=True)
        self._service.turn.then(self._release_close)

    def upstream_failed(self, error: Exception | None, *, is_timeout: bool) -> None:
        """Try once more where that is safe, else answer, or cut a response that has begun."""
        connection, self._upstream = self._upstream, None
        if self._is_closed:
            return
        answer = self._answer
        if answer is not None:
            answer.flush_meter()
            self._broken(answer, "upstream_timeout" if is_timeout else "upstream_broken")
            return
        if (
            self._replay is not None
            and connection is not None
            and not connection.has_bytes
            and not is_timeout
            and not self._has_retried
            and self._client is not None
        ):
            self._has_retried = True
            self._service.metrics.retries += 1
            self._admitted.upstream.pool.acquire(self, must_be_fresh=True)
            return
        waited_ns = clock.monotonic_ns() - self._started_ns
        was_stale = connection is not None and connection.is_reused and waited_ns < _STALE_NS
        self._fail(
            upstream_failure(
                self._admitted.upstream.name, error, is_timeout=is_timeout, was_stale=was_stale
            )
        )

    def _broken(self, answer: Answer, error_type: str) -> None:
        """Close a call whose answer broke off, and cut the client: no clean end for half a body."""
        data = answer.take(is_complete=False)
        if self._is_draining:
            self._drained("broken")
        status = Status.CANCELLED if self._is_draining else Status.ERROR
        self._close(status, error_type=error_type)
        client, self._client = self._client, None
        if client is not None:
            client.cut(data, hard=answer.ends_with_connection)
