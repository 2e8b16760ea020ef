"""Calls to give to sinks, a receiver that can misbehave, and reading what a spool holds."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook import clock, ids
from tollbook.call import (
    CallClosed,
    CallOpened,
    Frame,
    Identity,
    Metering,
    Observer,
    SpanKind,
    SpanSeen,
    Status,
)
from tollbook.spool.reader import Position, SpoolReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

USAGE = b'{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":40}}'
OWNER = Identity(
    tenant_id="acme", user_id="ada", tags={"plan": "gold"}, sources={"tenant_id": "sdk"}
)
TRACE = "0af7651916cd43dd8448eb211c80319c"

decode_body = msgspec.msgpack.Decoder(list[CallOpened | CallClosed | SpanSeen]).decode


def a_call(**fields: Any) -> tuple[CallOpened, CallClosed]:
    """A call that took five milliseconds; fields of either frame may be given."""
    closed = {
        name: fields.pop(name) for name in list(fields) if name not in CallOpened.__struct_fields__
    }
    known: dict[str, Any] = {
        "call_id": ids.new_id(), "started_at_ns": clock.unix_ns(), "identity": OWNER,
        "provider": "openai", "dialect": "openai", "operation": "chat",
        "metering": Metering.METERED, "method": "POST", "path": "/v1/chat/completions",
        "model_requested": "gpt-4o", "observer": Observer.SDK,
    } | fields  # fmt: skip
    opened = CallOpened(**known)
    ended: dict[str, Any] = {
        "closed_at_ns": opened.started_at_ns + 5_000_000, "duration_ns": 5_000_000,
        "status": Status.OK, "http_status": 200, "model_actual": "gpt-4o-2024-08-06",
        "provider_response_id": "chatcmpl-1", "usage": (USAGE,), "usage_complete": True,
    } | closed  # fmt: skip
    return opened, CallClosed(call_id=opened.call_id, **ended)


def a_span(**fields: Any) -> SpanSeen:
    """An agent's run."""
    now = clock.unix_ns()
    known: dict[str, Any] = {
        "at_ns": now, "trace_id": TRACE, "span_id": "b7ad6b7169203331", "parent_span_id": None,
        "name": "planner", "kind": SpanKind.AGENT, "observer": Observer.SDK,
        "started_at_ns": now - 1000, "ended_at_ns": now, "identity": OWNER,
    } | fields  # fmt: skip
    return SpanSeen(**known)


def frames_in(directory: Path) -> Iterator[tuple[str, Frame]]:
    """Every frame of every writer, and its name."""
    reader = SpoolReader(directory / "spool")
    for state in reader.writers():
        position = Position(state.name)
        while True:
            chunk = reader.read(position)
            for frame, _, _ in chunk.frames:
                yield state.name, frame
            position = chunk.next
            if chunk.at_end:
                break


class Receiver:
    """A receiver whose answers a test decides: status, headers for the n-th request."""

    def __init__(self, answer: Callable[[Sequence[Frame]], tuple[int, dict[str, str]]]) -> None:
        self.frames: list[Frame] = []  # of requests that were answered with success
        self.requests: list[tuple[dict[str, str], int]] = []
        self.answer = answer
        self.body = b""
        kit = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
                frames = decode_body(body)
                status, headers = kit.answer(frames)
                kit.requests.append((dict(self.headers), len(frames)))
                if status == 200:
                    kit.frames += frames
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(kit.body)))
                self.end_headers()
                self.wfile.write(kit.body)

            def log_message(self, *_: object) -> None:
                pass

        self._handler = Handler
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self._serve()

    def _serve(self) -> None:
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def start_again(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self._serve()

    @property
    def call_ids(self) -> list[bytes]:
        """Of the calls whose end has come, in order."""
        return [one.call_id for one in self.frames if isinstance(one, CallClosed)]


def always(
    status: int = 200, **headers: str
) -> Callable[[Sequence[Frame]], tuple[int, dict[str, str]]]:
    """The same answer to every request."""
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()})
