"""OTLP over HTTP with the standard library: protobuf and JSON, gzip and deflate.

OTLP 1.x, sections OTLP/HTTP Request, Response, Failures and Throttling. Pages of browsers cannot
send these content types to another origin, for no preflight is answered.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.capture.otlp.outcome import BUSY, RETRY_AFTER_S, Kind, Outcome, Signal, refused
from tollbook.capture.otlp.status_body import answer_json, answer_protobuf

if TYPE_CHECKING:
    from tollbook.audit.inputs.live_inbox import Inbox

BODY_MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a request, as sent and expanded; exporters send some hundred kilobytes at a time."""
_CONNECTIONS_MAX: Final = 64
_READ_TIMEOUT_S: Final = 15.0
_BODY_NS: Final = 30 * clock.NS_PER_S
_DISCARD_NS: Final = 5 * clock.NS_PER_S
_DISCARD_WAIT_S: Final = 1.0
_PART_BYTES: Final = 64 * 1024
_LINE_BYTES: Final = 128
_SIGNALS: Final = {
    "/v1/traces": Signal.TRACES,
    "/v1/logs": Signal.LOGS,
    "/v1/metrics": Signal.METRICS,
}
_JSON: Final = "application/json"
_PROTOBUF: Final = ("application/x-protobuf", "application/protobuf")
_WINDOWS: Final = {"gzip": 31, "deflate": 15}
"""Of zlib: which header to expect."""


class _RefusedError(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class LiveServer(ThreadingHTTPServer):
    """Takes OTLP on one address, a bounded number of connections at once.

    Args:
        host: to listen on.
        port: 0 is any free one.
        inbox: gets what comes.

    Raises:
        OSError: the address is taken or does not exist.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, inbox: Inbox) -> None:
        self.inbox = inbox
        self._free = threading.BoundedSemaphore(_CONNECTIONS_MAX)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a sender that has gone is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    protocol_version = "HTTP/1.1"
    server_version = "tollbook-audit"
    sys_version = ""
    timeout = _READ_TIMEOUT_S

    def do_POST(self) -> None:
        """Take a message."""
        signal = _SIGNALS.get(self.path.partition("?")[0].rstrip("/"))
        if signal is None:
            self._text(404, f"nothing is here; POST to one of {', '.join(_SIGNALS)}")
            return
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        coding = self.headers.get("content-encoding", "").strip().lower()
        if kind not in {_JSON, *_PROTOBUF} or coding not in {"", "identity", *_WINDOWS}:
            self.server.inbox.note_refused("a message is of a type that is not read")
            self._text(415, f"send {_PROTOBUF[0]} or {_JSON}; gzip, deflate or as it is")
            return
        is_json = kind == _JSON
        try:
            body = self._expanded(self._body(), coding)
            outcome = self.server.inbox.take(signal, body, is_json=is_json)
        except _RefusedError as error:
            outcome = error.outcome
            self.server.inbox.note_refused(outcome.message)
            self.close_connection = True  # the rest of the body is not wanted
        headers = {"Retry-After": str(RETRY_AFTER_S)} if outcome.kind is BUSY.kind else {}
        data = answer_json(signal, outcome) if is_json else answer_protobuf(outcome)
        self._answer(outcome.kind.http_status, data, _JSON if is_json else _PROTOBUF[0], headers)

    def do_GET(self) -> None:
        """Say what this is, for a person who looks."""
        self._text(200, "an audit of Tollbook listens here for OTLP: POST to /v1/traces")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- of the base class
        """Say nothing: the terminal is the report's."""

    def _body(self) -> bytes:
        until_ns = clock.monotonic_ns() + _BODY_NS
        if self.headers.get("transfer-encoding", "").strip().lower() == "chunked":
            return self._chunks(until_ns)
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 16):  # noqa: PLR2004 -- digits
            raise _RefusedError(refused(Kind.MALFORMED, "the request has no content-length"))
        return self._exactly(int(length), 0, until_ns)

    def _chunks(self, until_ns: int) -> bytes:
        """Read a body of unknown length (RFC 9112, section 7.1)."""
        body = bytearray()
        while True:
            line = self.rfile.readline(_LINE_BYTES).partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                size = -1
            if size < 0:
                raise _RefusedError(refused(Kind.MALFORMED, "a chunk has no size"))
            if size == 0:
                while self.rfile.readline(_PART_BYTES).strip():
                    _in_time(until_ns)
                return bytes(body)
            body += self._exactly(size, len(body), until_ns)
            self.rfile.readline(_LINE_BYTES)

    def _exactly(self, size: int, held: int, until_ns: int) -> bytes:
        if held + size > BODY_MAX_BYTES:
            raise _RefusedError(_too_large())
        body = bytearray()
        while len(body) < size:
            part = self.rfile.read1(min(size - len(body), _PART_BYTES))
            if not part:
                raise _RefusedError(refused(Kind.MALFORMED, "the body ends too soon"))
            body += part
            _in_time(until_ns)
        return bytes(body)

    def _expanded(self, body: bytes, coding: str) -> bytes:
        if coding not in _WINDOWS:
            return body
        expander = zlib.decompressobj(_WINDOWS[coding])
        try:
            data = expander.decompress(body, BODY_MAX_BYTES + 1)
        except zlib.error:
            raise _RefusedError(refused(Kind.MALFORMED, f"the body is no {coding}")) from None
        if len(data) > BODY_MAX_BYTES:
            raise _RefusedError(_too_large())
        if not expander.eof:
            raise _RefusedError(refused(Kind.MALFORMED, f"the {coding} of the body is cut off"))
        return data

    def _text(self, status: int, text: str) -> None:
        self.close_connection = True
        self._answer(status, f"{text}\n".encode(), "text/plain; charset=utf-8", {})

    def _answer(self, status: int, data: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        if self.close_connection:
            self._discard()

    def _discard(self) -> None:
        """Read what the sender still sends, for a while.

        A connection that is closed with unread bytes is reset, and the answer may never be read
        (RFC 9112, section 9.6).
        """
        left = 2 * BODY_MAX_BYTES
        until_ns = clock.monotonic_ns() + _DISCARD_NS
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DISCARD_WAIT_S)
            while left > 0 and clock.monotonic_ns() < until_ns:
                part = self.rfile.read1(_PART_BYTES)
                if not part:
                    return
                left -= len(part)


def _in_time(until_ns: int) -> None:
    if clock.monotonic_ns() > until_ns:
        raise _RefusedError(refused(Kind.TIMED_OUT, "the body did not come in time"))


def _too_large() -> Outcome:
    words = f"a request may have {BODY_MAX_BYTES} bytes; send smaller batches"
    return refused(Kind.TOO_LARGE, words)
