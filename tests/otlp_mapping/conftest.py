"""A receiver of spans, and simulated providers, for the real instrumentation packages."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.otlp_mapping.kit import RECEIVED_NS, call_in

from tollbook.capture.otlp.decode import decode_json, decode_protobuf
from tollbook.capture.otlp.mapping import frames_of
from tollbook.simulator.process import start_in_subprocess
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.call import Call
    from tollbook.capture.otlp.spans import Span
    from tollbook.simulator.truth import TruthCall

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".clients"
_RUN_S = 180.0  # importing some of these packages is most of it


class Collector:
    """What was exported, as spans."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[tuple[str, bytes]] = []

    def spans(self) -> list[Span]:
        """Return all spans that came."""
        spans = []
        for media_type, body in self.bodies:
            spans += decode_json(body) if "json" in media_type else decode_protobuf(body)
        return spans


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receive OTLP over HTTP until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._chunks() if self.headers.get("transfer-encoding") else self._plain()
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            media_type = self.headers.get("content-type", "")
            if self.path.endswith("/v1/traces"):
                collector.bodies.append((media_type, body))
            answer = b"{}" if "json" in media_type else b""
            self.send_response(200)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _plain(self) -> bytes:
            return self.rfile.read(int(self.headers.get("content-length", 0)))

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Told:
    """What the spans of one case tell, beside what the provider did."""

    def __init__(self, truth: TruthCall) -> None:
        assert truth.ended is not None
        self.truth, self.ended = truth, truth.ended
        self.calls: list[Call] = []

    @property
    def leaves(self) -> list[Call]:
        """The calls that the ledger charges: those without a call below, each answer once."""
        parents = {one.opened.parent_span_id for one in self.calls}
        leaves = [one for one in self.calls if one.opened.span_id not in parents]
        by_answer = {one.closed.provider_response_id or one.opened.span_id: one for one in leaves}
        return list(by_answer.values())


class Ran:
    """All cases of one run by name, and every span of it."""

    def __init__(self, spans: list[Span], truth: list[TruthCall]) -> None:
        self.spans, self.truth = spans, truth
        names = {one.trace_id: one.attributes["case"] for one in spans if "case" in one.attributes}
        self.cases = {
            one.received.request_id: Told(one) for one in truth if one.received.request_id
        }
        by_response = {one.ended.response_id: name for name, one in self.cases.items()}
        self.spans_of: dict[str, list[Span]] = defaultdict(list)
        for span in spans:
            frames = frames_of(span, RECEIVED_NS)
            call = call_in(frames) if len(frames) > 1 else None
            name = names.get(span.trace_id)
            if name is None and call is not None and call.closed.provider_response_id:
                name = by_response.get(call.closed.provider_response_id)
            if name is not None:
                self.spans_of[name].append(span)
                if call is not None:
                    self.cases[name].calls.append(call)


@pytest.fixture(scope="session")
def clients() -> Path:
    """Return the environments of the instrumentations, made if need be."""
    subprocess.run([ROOT / "tools" / "setup_clients.sh"], check=True)
    return CLIENTS


@pytest.fixture(scope="session")
def run_instrumented(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """Return what runs a command with the URLs of providers and receiver as last arguments."""

    def run(*command: str, cwd: Path | None = None, **environ: str) -> Ran:
        log = tmp_path_factory.mktemp("truth")
        with start_in_subprocess(log) as simulator, collecting() as collector:
            given = {
                name: value.replace("SIM/", simulator.base_url + "/").replace("OTLP", collector.url)
                for name, value in environ.items()
            }
            done = subprocess.run(
                [*command, simulator.base_url, collector.url],
                env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **given}, cwd=cwd,
                capture_output=True, text=True, check=False, timeout=_RUN_S,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            truth = read_truth(simulator.log_dir)
        return Ran(collector.spans(), truth)

    assert clients.is_dir()
    return run
