"""One client connection: parses requests, keeps their order, limits and times out everything."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools

from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.client_state import ClientState
from tollbook.capture.gateway.exchange import Exchange
from tollbook.capture.gateway.framing import HeadError
from tollbook.capture.gateway.known_heads import KnownHead
from tollbook.capture.gateway.local import local_response
from tollbook.capture.gateway.parsed import Request, judged
from tollbook.capture.gateway.reading import HELD_BY_ORDER, HELD_BY_PEER
from tollbook.capture.gateway.routing.exchange import RoutedExchange
from tollbook.capture.gateway.socket_open import read_opening
from tollbook.capture.gateway.socket_session import SocketSession

if TYPE_CHECKING:
    import asyncio

MAX_PIPELINED: Final = 64
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_TIMED_OUT: Final = Refusal(408, "request_timeout", "the request did not arrive in time")


class _RefusedError(Exception):
    """Raised in a parser callback; carries the answer."""

    def __init__(self, why: HeadError) -> None:
        super().__init__(why.message)
        self.why = why


class ClientConnection(ClientState):
    """An HTTP/1.1 server connection; requests are answered in order, one at a time."""

    __slots__ = ()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; one connection too many is told so."""
        self.transport = self._reading.transport = cast("asyncio.Transport", transport)
        service, gateway = self._service, self._service.config.gateway
        service.wheel.add(self)
        service.clients.add(self)
        service.metrics.connections += 1
        self.deadline = service.wheel.now + gateway.header_timeout_s
        if len(service.clients) > gateway.max_client_connections:
            self._reply_error(HeadError(503, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End; the exchange decides what becomes of its call."""
        del exc
        service = self._service
        service.wheel.discard(self)
        service.clients.discard(self)
        service.metrics.connections -= 1
        self._is_ending = self._is_deaf = True
        self._queue = self._waiting = self._local = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()

    def eof_received(self) -> bool:
        """Take the end of the client's side as a hang-up."""
        return False

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._is_deaf:
            return
        if self.is_idle and not self._queue:
            data = self._take_known(data)
            if not data:
                return
        service = self._service
        if self._in_head:
            if self._head_fed == 0:
                self.deadline = service.wheel.now + service.config.gateway.header_timeout_s
            self._head_fed += len(data)
        else:
            self.deadline = service.wheel.now + service.config.gateway.body_timeout_s
            self._got_body = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(upgrade, data)
        except httptools.HttpParserError as error:
            self._not_parsed(error)
        else:
            self._check_fed(len(data))
        finally:
            service.known_heads.forget_missed()

    def _check_fed(self, size_bytes: int) -> None:
        limit = self._service.config.gateway.max_header_bytes
        if self._in_head:
            if self._head_fed > limit:
                self._refuse_head(HeadError(431, "the request header is too large"))
        elif not self._got_body:
            self._dead_bytes += size_bytes
            if self._dead_bytes > limit:
                self._refuse_head(HeadError(400, "chunk framing without data"))
        if self._queue:
            self._reading.hold(HELD_BY_ORDER)

    def _take_known(self, data: bytes) -> bytes:
        """Begin a request whose head has been read before; return what is left to parse."""
        taken = self._service.known_heads.take(data)
        if taken is None:
            return data
        head = taken.head
        self.deadline = 0
        kind = Exchange if taken.admitted.routing is None else RoutedExchange
        exchange = self._exchange = kind(
            self._service, self, head.method, head.headers, taken.admitted, taken.framing,
            is_http_10=False, keep_alive=True,
        )  # fmt: skip
        exchange.body_data(taken.body)
        exchange.body_complete()
        return taken.rest

    def pause_writing(self) -> None:
        """Pass the back-pressure on to the provider; a client may not stall for ever."""
        self.deadline = self._service.wheel.now + self._service.config.gateway.body_timeout_s
        if self._exchange is not None:
            self._exchange.client_paused()

    def resume_writing(self) -> None:
        """Let the provider send on."""
        self.deadline = 0
        if self._exchange is not None:
            self._exchange.client_resumed()

    def on_deadline(self) -> None:
        """Close: idle for too long, or a request or a read that takes too long."""
        exchange = self._exchange
        if self._is_ending or self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
        elif not self._in_head and exchange is not None and self._waiting is None:
            self._is_deaf = True
            exchange.refuse(_TIMED_OUT)
        elif self._local is not None or self._head_fed:
            self._reply_error(HeadError(_TIMED_OUT.status, _TIMED_OUT.message))
        elif exchange is None:
            self.transport.close()

    # httptools callbacks

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        self._target += url
        if len(self._target) > self._service.config.gateway.max_url_bytes:
            raise _RefusedError(HeadError(414, "the request target is too long"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped."""
        if self._in_head:
            self._headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        """Judge the head and begin, or put it behind the requests before it."""
        gateway = self._service.config.gateway
        headers, self._headers = self._headers, []
        target, self._target = self._target, b""
        self._in_head = False
        self._dead_bytes = 0
        self._got_body = True
        self.deadline = self._service.wheel.now + gateway.body_timeout_s
        request = judged(self._parser, target, headers, self._head_fed, gateway)
        if isinstance(request, HeadError):
            raise _RefusedError(request)
        if request.framing.upgrade is not None:
            self._open_socket(request)
            return
        if self._exchange is None and self._local is None:
            self._begin(request)
            return
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= MAX_PIPELINED:
            raise _RefusedError(HeadError(0, "too many pipelined requests"))
        self._queue.append(request)
        self._waiting = request

    def on_body(self, data: bytes) -> None:
        """Pass body bytes to the request that they belong to."""
        self._got_body = True
        if self._waiting is not None:
            self._waiting.body.append(data)
        elif self._exchange is not None:
            self._exchange.body_data(data)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self._in_head = True
        self._head_fed = 0
        self.deadline = 0
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.is_complete = True
        elif self._exchange is not None:
            self._exchange.body_complete()
        elif self._local is not None:
            self._answer_locally()

    # for the exchange

    def finish(self, data: bytes, *, keep_alive: bool) -> None:
        """Write the last bytes of a response and turn to the next request."""
        self._exchange = None
        if data:
            self.transport.write(data)
        if not keep_alive:
            self._end()
            return
        self._reading.release(HELD_BY_PEER)
        if self._queue or self._error is not None:
            self._next()
        elif self._service.is_draining:
            self._end()
        else:
            self.deadline = self._service.wheel.now + self._service.config.gateway.keepalive_s

    # internals

    def _begin(self, request: Request) -> None:
        service, framing = self._service, request.framing
        admitted = service.admission.at_head(
            request.method, request.target, request.headers, framing
        )
        if admitted is None:
            self._local = request
            if request.refuses_at_once:
                request.keep_alive = False
                self._answer_locally()
            return
        known = service.admission.as_known(admitted, request)
        if known is not None:
            admitted = known
            service.known_heads.remember(
                KnownHead(request.method, request.headers, framing.connection, known)
            )
        kind = Exchange if admitted.routing is None else RoutedExchange
        exchange = self._exchange = kind(
            service, self, request.method, request.headers, admitted, framing,
            is_http_10=request.is_http_10, keep_alive=request.keep_alive,
        )  # fmt: skip
        if exchange.wants_body:
            if framing.expects_continue:
                self.transport.write(_CONTINUE)
        elif request.refuses_at_once:
            assert admitted.refusal is not None
            self._is_deaf = True
            exchange.refuse(admitted.refusal)
            return
        exchange.head_complete()

    def _open_socket(self, request: Request) -> None:
        """Take a WebSocket's handshake; everything else that asks for an upgrade is refused."""
        opening = read_opening(self._service, request)
        if isinstance(opening, HeadError):
            raise _RefusedError(opening)
        if self._is_busy:
            raise _RefusedError(HeadError(501, "a WebSocket cannot stand behind other requests"))
        self._upgrade = opening

    def _upgraded(self, upgrade: Exception, data: bytes) -> None:
        """Give the connection away to a WebSocket, with what came behind its handshake."""
        opening, self._upgrade = self._upgrade, None
        if opening is None:
            self._not_parsed(upgrade)
            return
        service = self._service
        service.wheel.discard(self)
        service.clients.discard(self)
        self._is_deaf = self._is_ending = True
        session = SocketSession(service, self.transport, opening)
        self.transport.set_protocol(session.client_side)
        session.start(data[upgrade.args[0] :])

    def _answer_locally(self) -> None:
        request, self._local = self._local, None
        assert request is not None
        keep_alive = request.keep_alive and not self._service.is_draining
        data = local_response(self._service, request, keep_alive=keep_alive)
        self.finish(data, keep_alive=keep_alive)

    def _next(self) -> None:
        queue = self._queue
        while queue and not self._is_busy and not self._is_ending:
            request = queue.popleft()
            if self._waiting is request:
                self._waiting = None
            self._begin(request)
            self._give_body(request)
        if queue or self._is_ending:
            return
        if not self._is_deaf:
            self._reading.release(HELD_BY_ORDER)
        if self._error is not None and not self._is_busy:
            error, self._error = self._error, None
            self._reply_error(error)

    def _give_body(self, request: Request) -> None:
        """Give the current request what came of its body while it waited."""
        exchange = self._exchange
        if exchange is not None:
            for part in request.body:
                exchange.body_data(part)
            if request.is_complete:
                exchange.body_complete()
        elif self._local is not None and request.is_complete:
            self._answer_locally()
        request.body = []

    def _not_parsed(self, error: Exception) -> None:
        context = error.__context__
        if isinstance(context, _RefusedError):
            self._refuse_head(context.why)
        elif isinstance(error, httptools.HttpParserCallbackError) and context is not None:
            self._is_deaf = True
            self._service.report(context)
            self.transport.abort()
        elif not self._is_deaf:
            self._refuse_head(HeadError(400, f"malformed request: {error}"))

    def _refuse_head(self, why: HeadError) -> None:
        """Answer what cannot be read, after what came before it."""
        self._is_deaf = True
        exchange = self._exchange
        if self._waiting is not None and self._queue:
            self._queue.pop()  # it will never be whole
            self._waiting = None
        elif exchange is not None and not exchange.is_body_complete:
            exchange.refuse(Refusal(why.status, "malformed_request", why.message))
            return
        if exchange is not None:
            self._error = why
        else:
            self._reply_error(why)
