"""The receiver in ``tollbook up``: what it acknowledged is in the ledger, once, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from tests.e2e.conftest import wait_until
from tests.receiver.conftest import MSGPACK, call_frames, packed, post
from tests.receiver.test_receiver_spans import ATTRIBUTES, Results

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = """
[receiver]
enabled = true
http_port = OTLP_HTTP
grpc_port = OTLP_GRPC
"""


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_doubled_when_it_is_killed(
    make_house: Callable[..., Any],
) -> None:
    """The receiver is killed again and again; the exporter sends again what was not answered."""
    house = make_house(settings=SETTINGS)
    kept = Results(
        OTLPSpanExporter(f"http://127.0.0.1:{house.otlp_http_port}/v1/traces", timeout=30)
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    calls, done = 60, threading.Event()

    def kill() -> None:
        (child,) = house.supervisor.receivers
        for _ in range(3):
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
            wait_until(lambda: child.is_running and child.ready.is_set(), 30)
            if done.wait(0.5):
                return

    killer = threading.Thread(target=kill)
    killer.start()
    for number in range(calls):
        name = f"tenant-{number % 3}"
        with tracer.start_as_current_span("chat", attributes=ATTRIBUTES | {"tenant.id": name}):
            pass
    done.set()
    killer.join()
    provider.shutdown()
    acknowledged = kept.results.count(SpanExportResult.SUCCESS)
    house.stop()

    rows = house.rows("SELECT tenant_id, sum(calls) FROM entries GROUP BY 1 ORDER BY 1")
    assert acknowledged == calls
    assert rows == [(f"tenant-{number}", calls // 3) for number in range(3)]


def test_the_same_frames_on_both_ports_are_one_call(make_house: Callable[..., Any]) -> None:
    house = make_house(settings=SETTINGS)
    body = packed(*call_frames("acme"), *call_frames("globex"))

    for port in (house.otlp_http_port, house.console_port, house.otlp_http_port):
        assert post(port, "/v1/frames", body, MSGPACK).status == 200

    report = house.cli("report spend", "--by", "tenant", "--wait", "--format", "json")
    rows = json.loads(report.stdout)["rows"]
    assert [(one["tenant"], one["calls"]) for one in rows] == [("acme", 1), ("globex", 1)]
    checks = house.cli("doctor", "--format", "json")
    found = {one["detail"] for one in json.loads(checks.stdout)["checks"]}
    where = f"127.0.0.1:{house.otlp_http_port}"
    assert f"{where} takes OTLP and frames from this machine, without a key" in found
    house.stop()


def test_a_port_that_is_taken(make_house: Callable[..., Any]) -> None:
    """Who asked for the receiver is refused; who did not is told and served without it."""
    house = make_house(settings=SETTINGS, starts=False)
    with socket.create_server(("127.0.0.1", house.otlp_http_port)):
        refused = house.cli("up")
        assert refused.returncode == 2
        assert f"127.0.0.1:{house.otlp_http_port}" in refused.stderr
        assert "receiver.http_port" in refused.stderr

        text = house.config_path.read_text().replace("enabled = true", "")
        house.config_path.write_text(text)
        house.start()

        (child,) = house.supervisor.receivers
        assert child.first_line == f"receiver: OTLP over gRPC on 127.0.0.1:{house.otlp_grpc_port}"
    house.stop()
