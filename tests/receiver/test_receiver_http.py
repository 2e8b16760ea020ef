"""OTLP over HTTP: encodings, limits, keys, and errors in the words of the protocol."""

from __future__ import annotations

import base64
import gzip
import socket
import time
import zlib
from typing import TYPE_CHECKING

import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from tests.receiver.conftest import MSGPACK, Disk, Running, call_frames, packed, post

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Running]

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def metrics_request(points: int = 3) -> bytes:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for _ in range(points):
        scope.metrics.add(name="gen_ai.client.token.usage").histogram.data_points.add(count=1)
    return bytes(request.SerializeToString())


def test_metrics_are_counted_and_bill_nothing(start: Start) -> None:
    receiver = start()
    as_json = (
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{},{}]}}]}]}]}'
    )

    first = receiver.post("/v1/metrics", metrics_request(), content_type=PROTOBUF)
    second = receiver.post("/v1/metrics", as_json, content_type=f"{JSON}; charset=utf-8")

    assert (first.status, first.headers["content-type"], first.body) == (200, PROTOBUF, b"")
    assert (second.status, second.headers["content-type"], second.body) == (200, JSON, b"{}")
    text = receiver.get("/metrics").body.decode()
    assert 'items_total{signal="data_points",state="accepted"} 5' in text
    assert not receiver.spooled


def test_what_is_malformed_is_a_status_in_the_encoding_of_the_request(start: Start) -> None:
    receiver = start()
    bad = receiver.post("/v1/metrics", b"\xff\xff\xff", content_type=PROTOBUF)
    bad_json = receiver.post("/v1/metrics", b"[1", content_type=JSON)

    status = Status.FromString(bad.body)
    assert (bad.status, bad.headers["content-type"], status.code) == (400, PROTOBUF, 3)
    assert "etrics" in status.message
    assert (bad_json.status, bad_json.headers["content-type"]) == (400, JSON)
    assert bad_json.json["code"] == 3


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_bodies_within_both_limits(start: Start, coding: str) -> None:
    receiver = start(max_body_bytes=2048, max_decoded_bytes=10_000)
    pack = gzip.compress if coding == "gzip" else zlib.compress

    def send(body: bytes) -> int:
        answer = receiver.post("/v1/metrics", body, content_type=PROTOBUF, content_encoding=coding)
        return answer.status

    assert send(pack(metrics_request(50))) == 200
    assert send(pack(metrics_request(5000))) == 413  # small as sent, large when unpacked
    assert send(bytes(3000)) == 413
    assert send(pack(metrics_request())[:-6]) == 400  # cut off
    assert send(b"plain text") == 400
    assert not receiver.spooled


def test_a_bomb_is_not_unpacked(start: Start) -> None:
    """A thousand times its size: refused as soon as the limit is passed."""
    receiver = start()
    bomb = gzip.compress(bytes(80 * 1024 * 1024), 6)
    answer = receiver.post("/v1/metrics", bomb, content_type=PROTOBUF, content_encoding="gzip")
    assert answer.status == 413
    assert Status.FromString(answer.body).code == 8


@pytest.mark.parametrize(
    ("settings", "content_type", "size_bytes", "status"),
    [
        ({}, PROTOBUF, 17_000_000, 413),
        ({"require_key": True}, PROTOBUF, 16_000_000, 401),
        ({}, "text/plain", 16_000_000, 415),
    ],
)
def test_whoever_is_refused_can_send_all_and_read_why(
    start: Start, settings: dict[str, bool], content_type: str, size_bytes: int, status: int
) -> None:
    """Else it sees a reset connection, and sends what is refused for good again and again."""
    receiver = start(**settings)
    answer = receiver.post("/v1/metrics", bytes(size_bytes), content_type=content_type)
    assert answer.status == status


def test_several_gzip_members_are_one_body(start: Start) -> None:
    body = packed(*call_frames())
    receiver = start()
    answer = receiver.post(
        "/v1/frames", gzip.compress(body[:40]) + gzip.compress(body[40:]),
        content_type="application/msgpack", content_encoding="gzip",
    )  # fmt: skip
    assert answer.json["accepted"] == 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/traces", {}, 405),
        ("PUT", "/v1/frames", MSGPACK, 405),
        ("POST", "/v1/other", MSGPACK, 404),
        ("GET", "/", {}, 404),
        ("POST", "/healthz", MSGPACK, 404),
        ("POST", "/v1/traces", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/frames", {"content-type": PROTOBUF}, 415),
        ("POST", "/v1/frames", {}, 415),
        ("POST", "/v1/metrics", {"content-type": JSON, "content-encoding": "br"}, 415),
    ],
)
def test_what_is_asked_wrongly(
    start: Start, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    receiver = start()
    answer = post(receiver.http_port, path, b"", headers, method)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_key_that_is_sent_must_be_good(start: Start) -> None:
    receiver = start()
    good = receiver.key(tenant_id="acme")
    basic = base64.b64encode(f"user:{good}".encode()).decode()
    other = base64.b64encode(b"user:secret").decode()

    def status(**headers: str) -> int:
        return receiver.frames(call_frames(), **headers).status

    assert status() == 200  # from this machine, no key is needed
    assert status(authorization=f"bearer {good}") == 200
    assert status(x_tollbook_key=good) == 200
    assert status(authorization=f"Basic {basic}") == 200
    assert status(authorization=f"Basic {other}") == 200  # another service's, not a key
    assert status(authorization="Bearer tb_wrong") == 401
    assert status(x_tollbook_key="tb_wrong") == 401
    assert status(authorization="Bearer sk-other") == 401
    refused = receiver.post(
        "/v1/metrics", b"", content_type=PROTOBUF, authorization="Bearer tb_wrong"
    )
    assert Status.FromString(refused.body).code == 16
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_a_key_is_needed_where_others_can_reach_it(start: Start) -> None:
    receiver = start(host="0.0.0.0")
    assert receiver.frames(call_frames()).status == 401
    assert receiver.frames(call_frames(), x_tollbook_key=receiver.key()).status == 200


def test_settings_can_ask_for_a_key_or_lift_it(start: Start) -> None:
    asks, lifts = start(require_key=True), start(host="0.0.0.0", require_key=False)
    assert asks.frames(call_frames()).status == 401
    assert lifts.frames(call_frames()).status == 200


def test_what_is_too_much_at_once_comes_again_later(start: Start) -> None:
    receiver = start(max_waiting_bytes=1024)
    answer = receiver.post("/v1/metrics", metrics_request(500), content_type=PROTOBUF)
    status = Status.FromString(answer.body)
    assert (answer.status, answer.headers["retry-after"], status.code) == (503, "2", 14)
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 2
    # Nothing is left behind in the count.
    assert receiver.post("/v1/metrics", metrics_request(), content_type=PROTOBUF).status == 200


def test_a_full_queue_turns_requests_away(start: Start) -> None:
    receiver = start(max_waiting=1)
    with socket.create_connection(("127.0.0.1", receiver.http_port)) as slow:
        slow.sendall(
            b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 2\r\n\r\n{"
        )
        deadline = time.monotonic() + 10
        while receiver.post("/v1/metrics", b"{}", content_type=JSON).status == 200:
            assert time.monotonic() < deadline
        slow.sendall(b"}")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
    assert receiver.post("/v1/metrics", b"{}", content_type=JSON).status == 200


def test_a_slow_body_and_a_slow_head_are_not_waited_for(start: Start) -> None:
    receiver = start(body_timeout_s=0.2, header_timeout_s=0.2)
    with socket.create_connection(("127.0.0.1", receiver.http_port), timeout=10) as slow:
        slow.sendall(
            b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 100\r\n\r\n{"
        )
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    with socket.create_connection(("127.0.0.1", receiver.http_port), timeout=10) as slower:
        slower.sendall(b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\n")
        assert _is_cut(slower)


def _is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b""
    except ConnectionResetError:
        return True


def test_a_partial_success_says_how_many_and_why(start: Start) -> None:
    receiver = start()
    answer = receiver.frames([*call_frames(), call_frames()[0]])
    assert answer.status == 200
    assert answer.json["rejected"] == 1
    assert answer.json["message"].startswith("1 not taken, the first because a call's beginning")
    text = receiver.get("/metrics").body.decode()
    assert 'items_total{signal="frames",state="rejected"} 1' in text


def test_a_full_disk_in_protobuf(start: Start, disk: Disk) -> None:
    """What carries no call is not in the way of a full disk, what does is retryable."""
    receiver = start()
    disk.is_full = True
    answer = receiver.post("/v1/metrics", metrics_request(), content_type=PROTOBUF)
    assert answer.status == 200
    assert ExportMetricsServiceResponse.FromString(answer.body).partial_success.error_message == ""
    assert receiver.frames(call_frames()).status == 503
    disk.is_full = False
