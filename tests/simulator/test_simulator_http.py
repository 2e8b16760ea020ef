"""The provider's HTTP: strict with what comes in, correct in what goes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tollbook.simulator.lab import raw_request

if TYPE_CHECKING:
    from tollbook.simulator.lab import Lab

CHAT = "/openai/v1/chat/completions"
BODY = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}).encode()


def _status(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


def test_pipelined_requests_are_answered_in_order(lab: Lab) -> None:
    ids = [lab.new_id() for _ in range(12)]
    sizes = [f"input=5;output={20 + number}" for number in range(12)]
    requests = [
        raw_request(
            CHAT,
            BODY,
            lab.headers(request_id, size=size)
            | {"connection": "close" if request_id == ids[-1] else "keep-alive"},
        )
        for request_id, size in zip(ids, sizes, strict=True)
    ]
    data, end = lab.exchange(b"".join(requests))
    assert end == "closed"
    found = [int(part.split(b",")[0]) for part in data.split(b'"completion_tokens":')[1:]]
    assert found == list(range(20, 32))


def test_a_request_behind_a_stream_waits_for_its_end(lab: Lab) -> None:
    stream = json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": True}
    ).encode()
    first = raw_request(
        CHAT, stream, {"connection": "keep-alive", "x-sim-size": "input=1;output=8;pause_ms=2"}
    )
    data, _ = lab.exchange(first + raw_request(CHAT, BODY))
    assert data.index(b"[DONE]") < data.index(b'"chat.completion"')


def test_chunked_request_bodies_are_read(lab: Lab) -> None:
    half = len(BODY) // 2
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:], b"")
    )
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-sim-x\r\n"
        "transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    data, _ = lab.exchange(head.encode() + chunks)
    assert _status(data) == 200


def test_expect_100_continue(lab: Lab) -> None:
    data, _ = lab.exchange(raw_request(CHAT, BODY, {"expect": "100-continue"}))
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_head_has_no_body(lab: Lab) -> None:
    data, _ = lab.exchange(
        b"HEAD /openai/v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-sim-x\r\n"
        b"connection: close\r\n\r\n"
    )
    assert _status(data) == 200
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /openai/v1/models HTTP/1.1\r\nconnection: close\r\n\r\n", 401),
        (raw_request("/openai/v1/nowhere", b"{}"), 404),
        (raw_request("/elsewhere", b"{}"), 404),
        (raw_request(CHAT, b"{not json"), 400),
        (raw_request(CHAT, b"[1]"), 400),
        (raw_request("/anthropic/v1/messages", BODY, {"anthropic-version": ""}), 400),
        (raw_request("/anthropic/v1/nowhere", BODY), 404),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(lab: Lab, request_bytes: bytes, status: int) -> None:
    data, end = lab.exchange(request_bytes)
    assert (_status(data), end) == (status, "closed")


def test_anthropic_wants_its_version_header(lab: Lab) -> None:
    request = raw_request("/anthropic/v1/messages", BODY)
    data, _ = lab.exchange(request.replace(b"anthropic-version: 2023-06-01\r\n", b""))
    assert _status(data) == 400
    assert b"anthropic-version: header is required" in data
