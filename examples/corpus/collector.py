"""What the services send their spans to: writes them as the Collector's file exporter does.

One line per request, an ``ExportTraceServiceRequest`` as OTLP JSON: ids are hexadecimal and enums
are numbers (OTLP 1.x, "JSON Protobuf Encoding").
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class Collector:
    """Receives OTLP over HTTP on a port of its own and appends to a file, which can be changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Be silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def write_to(self, path: Path) -> None:
        """Write what comes from now on to another file."""
        with self._lock:
            self._path = path

    def take(self, body: bytes) -> None:
        """Write one request down."""
        line = json.dumps(_with_hex_ids(MessageToDict(
            ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True
        )), separators=(",", ":"))  # fmt: skip
        with self._lock:
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve for the length of a ``with``."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: base64.b64decode(one).hex() if key in _IDS else _with_hex_ids(one)
            for key, one in value.items()
        }
    return [_with_hex_ids(one) for one in value] if isinstance(value, list) else value
