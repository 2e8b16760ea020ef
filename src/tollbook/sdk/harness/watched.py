"""A call in flight: what is seen of its answer, and how it ends. It ends once, and never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import CallClosed, Status
from tollbook.dialects.base import Metered
from tollbook.dialects.inflated_copy import ENCODINGS, InflatedCopy
from tollbook.sdk.harness import dropped, faults, retries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.call import CallOpened
    from tollbook.dialects.base import Dialect, RequestFacts, ResponseMeter, Route
    from tollbook.sdk.sink import Sink

# An enum's member is looked up ten times as slowly as a module's name.
_OK: Final = Status.OK
_ERROR: Final = Status.ERROR
_CANCELLED: Final = Status.CANCELLED
_MAX_PLAIN_BYTES: Final = 64 * 1024 * 1024
"""Of an answer that is no stream; a larger one passes and is estimated."""
_BAD_REQUEST: Final = 400
_NOTHING: Final = Metered()
_UNSENT: Final = frozenset(
    {
        "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol",
        "LocalProtocolError", "ConnectTimeoutError", "EndpointConnectionError",
        "ProxyConnectionError", "SSLError", "ConnectionError", "ClientConnectorError",
        "ClientConnectorDNSError", "ClientProxyConnectionError",
    }
)  # fmt: skip
"""Errors of httpx, botocore, requests and aiohttp before a request was sent."""


class Watched:
    """One call from its open frame to its close frame."""

    __slots__ = (
        "_copy",
        "_dialect",
        "_facts",
        "_first_token_ns",
        "_head",
        "_is_left",
        "_left",
        "_meter",
        "_opened",
        "_response_bytes",
        "_route",
        "_sink",
        "_started_ns",
        "_status",
        "is_closed",
        "is_event_stream",
        "is_http_1",
        "names_owner",
    )  # fmt: skip

    def __init__(
        self, opened: CallOpened, facts: RequestFacts, route: Route, dialect: Dialect, sink: Sink
    ) -> None:
        self._opened = opened
        self._facts = facts
        self._route = route
        self._dialect = dialect
        self._sink = sink
        self._started_ns = clock.monotonic_ns()
        self._first_token_ns: int | None = None
        self._status: int | None = None
        self._head: Mapping[bytes, bytes] = {}
        self._meter: ResponseMeter | None = None
        self._copy: InflatedCopy | None = None
        self._left = _MAX_PLAIN_BYTES
        self._response_bytes = 0
        self._is_left = False
        self.is_closed = False
        self.is_event_stream = False
        self.names_owner = False
        """Whether the request has headers that say whose it is, and are not for a provider."""
        self.is_http_1 = True
        """Whether the answer's end is told by its framing, or else by the connection's end."""

    @property
    def facts(self) -> RequestFacts:
        """What the request says, and the body to send."""
        return self._facts

    @property
    def opened(self) -> CallOpened:
        """The open frame."""
        return self._opened

    def response(self, status: int, head: Mapping[bytes, bytes]) -> None:
        """Take the head of the answer; names are in lower case."""
        self._status = status
        self._head = head
        try:
            content_type = head.get(b"content-type", b"")
            self.is_event_stream = content_type.lower().startswith(self._dialect.stream_types)
            meter = self._dialect.meter(self._route, self._facts, status, head)
            encoding = head.get(b"content-encoding", b"identity")
            if encoding in ENCODINGS:
                self._copy = InflatedCopy(_MAX_PLAIN_BYTES)
            elif encoding not in {b"identity", b""}:
                return  # nothing can be read of it: it is estimated
            self._meter = meter
        except Exception as error:  # noqa: BLE001 -- the caller's answer comes first
            faults.note("response", error)

    def feed(self, chunk: bytes) -> bytes:
        """Take body bytes as received; return what the caller gets of them now."""
        self._response_bytes += len(chunk)
        meter = self._meter
        if meter is None:
            return chunk
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
                if self._facts.hides_usage:
                    held = _held_by(meter)
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

    def finish(self) -> bytes:
        """End the call: the answer came to its end. Return bytes that were held back."""
        rest = b""
        meter = self._meter
        metered = _NOTHING
        if meter is not None:
            held = b""
            try:
                if self._facts.hides_usage:
                    held = _held_by(meter)
                rest = meter.flush()
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
            self._end(_ERROR, "upstream_broken")
        else:
            self._end_whole(metered)
        return rest

    def _end_whole(self, metered: Metered) -> None:
        status = self._status or 0
        is_error = status >= _BAD_REQUEST or metered.error_type is not None
        self._end(
            _ERROR if is_error else _OK,
            metered.error_type or (f"http_{status}" if is_error else None),
            is_billable=_is_billable(status, metered),
        )

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
            self._end(_ERROR, error_type, is_billable=_is_billable(self._status, metered))
        else:
            self._end(_CANCELLED, None)

    def stopped(self, error: BaseException) -> None:
        """End the call: no answer came, or it broke off, or the caller was cancelled."""
        if self.is_closed:
            return
        if not isinstance(error, Exception):  # GeneratorExit, CancelledError, KeyboardInterrupt
            self.close()
            return
        name = type(error).__name__
        is_timeout = "Timeout" in name
        if self._status is not None:
            self._end(_ERROR, "upstream_timeout" if is_timeout else "upstream_broken")
        elif name in _UNSENT:
            what = "upstream_connect_timeout" if is_timeout else "upstream_unreachable"
            self._end(_ERROR, what, is_billable=False)
        else:
            self._end(_ERROR, "upstream_timeout" if is_timeout else "upstream_disconnected")

    def _metered(self) -> Metered:
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
        return (
            self.is_event_stream
            and self._meter is not None
            and not metered.stream_ended
            and b"content-length" not in self._head
            and b"transfer-encoding" not in self._head
            and self.is_http_1
        )

    def _end(self, status: Status, error_type: str | None, *, is_billable: bool = True) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        try:
            metered, opened = self._metered(), self._opened
            closed = CallClosed(
                call_id=opened.call_id,
                closed_at_ns=clock.unix_ns(),
                status=status,
                http_status=self._status,
                error_type=error_type,
                time_to_first_token_ns=self._first_token_ns,
                duration_ns=clock.monotonic_ns() - self._started_ns,
                provider_request_id=self._dialect.provider_request_id(self._head),
                provider_response_id=metered.provider_response_id,
                model_actual=metered.model_actual,
                service_tier=metered.service_tier,
                usage=metered.usage,
                usage_complete=metered.usage_complete,
                output_chars=metered.output_chars,
                output_events=metered.output_events,
                response_bytes=self._response_bytes,
                is_billable=is_billable,
            )
            if status is _ERROR and self._may_be_retried(error_type):
                retries.remember(opened, self._facts.body)
            self._sink.closed(opened, closed)
        except Exception as error:  # noqa: BLE001 -- as above
            faults.note("close", error)

    def _may_be_retried(self, error_type: str | None) -> bool:
        return self._status is None or self._dialect.is_retryable(self._status, error_type)


def _held_by(meter: ResponseMeter) -> bytes:
    """Return what a meter that hides usage has not shown yet."""
    return getattr(meter, "held", b"")


def _is_billable(status: int, metered: Metered) -> bool:
    """Whether the provider may bill a whole answer; the gateway's rule."""
    if metered.usage:
        return True
    if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP
        return False
    return metered.error_type is None or metered.output_events > 0
