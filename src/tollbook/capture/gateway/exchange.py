"""One request between a client and a provider, from its head to its close frame.

A state machine of callbacks: nothing here waits. The client side calls ``head_complete``,
``body_data``, ``body_complete`` and ``client_gone``; the pool and the upstream connection call the
rest. Whatever happens, an opened call is closed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import Metering, Status
from tollbook.capture.gateway.admission import body_too_large
from tollbook.capture.gateway.answer import Answer
from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.failures import (
    Failure,
    connect_failure,
    upstream_failure,
)
from tollbook.capture.gateway.opencall import OpenCall
from tollbook.capture.gateway.outgoing import chunk, request_bytes, signed, signer_of, without_body

if TYPE_CHECKING:
    from tollbook.capture.gateway.upstream import UpstreamConnection
    from tollbook.dialects.base import Header, Metered

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_STALE_NS: Final = clock.NS_PER_S
"""A kept connection that fails this soon was most likely closed before the request came."""
_OVERLOADED: Final = Refusal(
    503,
    "spool_unavailable",
    "the gateway cannot record calls right now (strict mode); try again later",
    should_retry=True,
)


class Exchange(OpenCall):
    """A call, while it lasts: what its two sides report."""

    __slots__ = ()

    # from the client

    @property
    def wants_body(self) -> bool:
        """Whether the body is worth asking for and reading."""
        return self._refusal is None

    @property
    def is_body_complete(self) -> bool:
        """Whether the whole request has come."""
        return self._is_body_complete

    def head_complete(self) -> None:
        """Begin: an endpoint that is not inspected is opened before its body has come."""
        if not self._admitted.route.inspects_body and self._refusal is None:
            self._open()

    def body_data(self, data: bytes) -> None:
        """Take body bytes of the client."""
        self._body_bytes += len(data)
        if self._refusal is not None or self._is_closed:
            return
        limit = self._service.admission.max_body_bytes(self._admitted.route)
        if self._body_bytes > limit:
            self._over_limit(limit)
        elif self._opened is None or self._upstream is None:
            self._body.append(data)
            if self._opened is not None and self._client is not None:
                self._client.hold_reading()
        else:
            self._send_up(data)

    def body_complete(self) -> None:
        """Go on: the whole request is here."""
        self._is_body_complete = True
        if self._opened is None:
            self._open()
        elif self._upstream is not None and self._framing.is_chunked:
            self._upstream.transport.write(b"0\r\n\r\n")

    def refuse(self, refusal: Refusal) -> None:
        """Answer without a provider; the connection is not kept, for the body is incomplete."""
        self.keep_alive = False
        if self._opened is None:
            self._refusal = refusal
            self._open()
        elif not self._is_closed and self._answer is None:
            self._drop_upstream()
            self._fail(Failure(refusal, is_billable=False), status=Status.REJECTED)

    def client_gone(self) -> None:
        """Follow the policy of the route: read on for the usage, or stop paying."""
        self._client = None
        if self._opened is None or self._is_closed:
            return
        answer, upstream = self._answer, self._upstream
        if upstream is None:
            self.is_waiting = False
            self._close(Status.CANCELLED, is_billable=False)
            return
        if answer is not None and answer.is_event_stream and answer.metered().stream_ended:
            self._drop_upstream()
            self._close(Status.OK)
            return
        metrics, gateway = self._service.metrics, self._service.config.gateway
        drains = self._admitted.upstream.policy == "drain" and self._is_body_complete
        if drains and metrics.draining < gateway.max_draining:
            self._is_draining = True
            metrics.draining += 1
            seen = 0 if answer is None else answer.bytes_in
            self._drain_until = seen + gateway.drain_max_bytes
            wheel = self._service.wheel
            self.deadline = wheel.now + gateway.drain_timeout_s
            wheel.add(self)
            upstream.transport.resume_reading()
            return
        if drains:
            metrics.drains["refused"] = metrics.drains.get("refused", 0) + 1
        self._drop_upstream()
        self._close(Status.CANCELLED)

    def client_paused(self) -> None:
        """Stop reading: the client takes bytes slowly."""
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.pause_reading()
            self._upstream.deadline = 0

    def client_resumed(self) -> None:
        """Read on."""
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()
            self._upstream.deadline = (
                self._service.wheel.now + self._admitted.upstream.settings.idle_timeout_s
            )

    def shut_down(self) -> None:
        """End now: the worker stops and has waited long enough."""
        if self._is_closed or self._opened is None:
            return
        self.is_waiting = False
        was_sent = self._upstream is not None
        self._drop_upstream()
        status = Status.CANCELLED if self._is_draining else Status.ERROR
        self._close(status, error_type="gateway_shutdown", is_billable=was_sent)

    # opening

    def _open(self) -> None:
        service, body = self._service, self._body
        data = b"" if not body else body[0] if len(body) == 1 else b"".join(body)
        opened, self._facts, refusal = service.admission.at_body(
            self._admitted,
            self.method,
            self.headers,
            data,
            self._framing.content_length or self._body_bytes,
        )
        if self._admitted.route.inspects_body:
            self._body = []
        self._opened = opened
        raw = opened.call_id.hex()
        self._call_id = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}".encode()
        service.metrics.in_flight += 1
        service.exchanges.add(self)
        service.turn.append(opened)
        if refusal is None:
            refusal = self._refusal
        if refusal is not None:
            self._refusal = refusal
            self._fail(Failure(refusal, is_billable=False), status=Status.REJECTED)
        else:
            service.turn.then(self._release_open)

    def _release_open(self, is_on_file: bool) -> None:  # noqa: FBT001 -- see Turn.then
        """Send the request on: its open frame has been written."""
        self._is_released = True
        if self._is_closed:
            return
        if not is_on_file and self._service.config.gateway.strict:
            self._fail(Failure(_OVERLOADED, is_billable=False), status=Status.REJECTED)
            return
        signer = signer_of(self._admitted)
        if signer is None:
            self._admitted.upstream.pool.acquire(self)
        else:
            signer.when_ready(self._key_ready)

    def _over_limit(self, limit: int) -> None:
        self._body = []
        self.refuse(body_too_large(limit))

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
            self._signed = signed(self._admitted, self._facts, self.method)
            data = request_bytes(
                self._admitted,
                self._facts,
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
        self._answer = answer = Answer(
            status,
            headers,
            call_id=self._call_id,
            is_head=self.is_head,
            is_http_10=self.is_http_10,
            keep_alive=keeps,
            hides_usage=self._facts.hides_usage,
            stream_types=admitted.upstream.dialect.stream_types,
        )
        self.keep_alive = not answer.closes
        if self._signed is not None:
            self._signed.answered(status, answer.table)
        if answer.is_event_stream:
            service.metrics.open_streams += 1
        if admitted.route.metering is Metering.METERED:
            meter = admitted.upstream.dialect.meter(
                admitted.route, self._facts, status, answer.table
            )
            encoding = answer.table.get(b"content-encoding")
            answer.look_on(
                meter,
                encoding=None if encoding in {None, b"identity", b""} else encoding,
                max_bytes=service.config.gateway.max_metered_response_bytes,
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
        self._held = answer.take(is_complete=True)
        if self._is_draining:
            self._drained("complete")
            self._close(Status.CANCELLED)
            return
        metered = answer.metered()
        is_error = answer.status >= 400 or metered.error_type is not None  # noqa: PLR2004 -- HTTP
        self._close(
            Status.ERROR if is_error else Status.OK,
            error_type=metered.error_type or (f"http_{answer.status}" if is_error else None),
            is_billable=_is_billable(answer.status, metered),
        )
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


def _is_billable(status: int, metered: Metered) -> bool:
    """Whether the provider may bill a whole answer: it reported usage, or gave a result.

    Redirects and errors give none, nor does an error with status 200 before any output.
    """
    if metered.usage:
        return True
    if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP
        return False
    return metered.error_type is None or metered.output_events > 0
