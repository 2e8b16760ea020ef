"""The truth log says what happened, whoever hangs up or dies."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from tollbook.simulator.bill import bill, leaks
from tollbook.simulator.lab import Lab, raw_request
from tollbook.simulator.process import start_in_subprocess
from tollbook.simulator.truth import Ended, Received, TruthLog, TruthLogError, read_truth

if TYPE_CHECKING:
    from pathlib import Path

CHAT = "/openai/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"
ASK = [{"role": "user", "content": "x"}]
CHAT_STREAM = json.dumps(
    {
        "model": "gpt-4o",
        "messages": ASK,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
).encode()
MESSAGE_STREAM = json.dumps(
    {"model": "claude-haiku-4-5", "messages": ASK, "stream": True, "max_tokens": 1000}
).encode()


@pytest.mark.parametrize(
    ("path", "body", "content"),
    [(CHAT, CHAT_STREAM, b'"content"'), (MESSAGES, MESSAGE_STREAM, b"content_block_delta")],
)
def test_a_stream_whose_client_left_is_billed_for_what_was_generated(
    lab: Lab, path: str, body: bytes, content: bytes
) -> None:
    request_id = lab.new_id()
    size = "input=100;output=400;events=400;pause_ms=10"
    request = raw_request(path, body, lab.headers(request_id, size=size))
    _, end = lab.exchange(request, until=lambda data: data.count(content) >= 6)
    assert end == "enough"
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert (truth.ended.outcome, truth.ended.client_hung_up) == ("hung_up", True)
    assert truth.is_billed
    assert not truth.usage_delivered
    assert truth.quantities.uncached_input == 100
    assert 2 <= truth.quantities.visible_output < 400


def test_a_plain_answer_nobody_waits_for_is_billed_whole(lab: Lab) -> None:
    request_id = lab.new_id()
    body = json.dumps({"model": "gpt-4o", "messages": ASK}).encode()
    headers = lab.headers(
        request_id, size="input=9;output=50", fault="slow_first_byte;delay_ms=5000"
    )
    lab.exchange(raw_request(CHAT, body, headers), until=lambda _data: True)
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert truth.ended.outcome == "hung_up"
    assert truth.quantities.output == 50
    assert not truth.usage_delivered


def test_a_hang_that_the_client_ends_is_not_billed(lab: Lab) -> None:
    request_id = lab.new_id()
    headers = lab.headers(request_id, fault="hang")
    lab.exchange(raw_request(CHAT, CHAT_STREAM, headers), until=lambda _data: True)
    truth = lab.truth(request_id)
    assert truth.ended is not None
    assert (truth.ended.outcome, truth.is_billed) == ("hung_up", False)


def test_usage_that_never_reached_the_connection_is_not_delivered(lab: Lab) -> None:
    request_id = lab.new_id()
    body = json.dumps({"model": "gpt-4o", "messages": ASK}).encode()
    headers = lab.headers(request_id, fault="huge_chunk;size_bytes=60000000")
    # The client reads the head and leaves: the rest fits no socket buffer.
    lab.exchange(raw_request(CHAT, body, headers), until=bool)
    # Written first as delivered, then corrected: the last record counts.
    for _ in range(500):
        truth = lab.truth(request_id)
        assert truth.ended is not None
        if truth.ended.client_hung_up:
            break
        time.sleep(0.01)
    lines = [
        line
        for path in lab.simulator.log_dir.iterdir()
        for line in path.read_bytes().splitlines()
        if truth.received.attempt_id.encode() + b'"' in line and b'"ended"' in line
    ]
    assert len(lines) == 2
    assert truth.ended is not None
    assert (truth.ended.outcome, truth.usage_delivered, truth.is_billed) == ("hung_up", False, True)


def test_identity_that_leaks_is_counted_by_name_and_never_by_value(lab: Lab) -> None:
    request_id = lab.new_id()
    identity = {
        "baggage": "tenant.id=secret-tenant",
        "x-tollbook-tenant": "secret-tenant",
        "x-portkey-metadata": '{"tenant_id":"secret-tenant"}',
        "Helicone-Property-Tenant": "secret-tenant",
        "x-litellm-tags": "tenant:secret-tenant",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    body = json.dumps(
        {"model": "gpt-4o", "messages": ASK, "litellm_metadata": {"tenant_id": "secret-tenant"}}
    ).encode()
    lab.exchange(raw_request(CHAT, body, lab.headers(request_id) | identity))
    assert leaks([lab.truth(request_id)]) == {
        "baggage": 1,
        "x-tollbook-tenant": 1,
        "x-portkey-metadata": 1,
        "helicone-property-tenant": 1,
        "x-litellm-tags": 1,
        "litellm_metadata": 1,
    }
    text = b"".join(path.read_bytes() for path in lab.simulator.log_dir.iterdir())
    assert b"secret-tenant" not in text


def test_a_killed_simulator_leaves_what_it_had_received(tmp_path: Path) -> None:
    with start_in_subprocess(tmp_path) as simulator:
        lab = Lab(simulator)
        body = json.dumps({"model": "gpt-4o", "messages": ASK}).encode()
        lab.exchange(raw_request(CHAT, body, lab.headers("done")))
        lab.truth("done")
        request = raw_request(CHAT, body, lab.headers("open", fault="hang"))

        def kill(_data: bytes) -> bool:
            while not any(call.received.request_id == "open" for call in read_truth(tmp_path)):
                time.sleep(0.005)
            os.kill(simulator.pid, signal.SIGKILL)
            return True

        lab.exchange(request, until=kill)
    by_id = {call.received.request_id: call for call in read_truth(tmp_path)}
    assert by_id["done"].is_billed
    assert by_id["open"].ended is None
    assert bill(by_id.values()).billed_calls == 1


def test_torn_and_wrong_lines(tmp_path: Path) -> None:
    log = TruthLog(tmp_path)
    first, second = log.new_attempt_id(), log.new_attempt_id()
    for attempt_id in (first, second):
        log.write(Received(attempt_id, "openai", "POST", "/x", 1))
    log.write(Ended(first, 2, "ok"))
    log.close()
    whole = log.path.read_bytes()
    for cut in range(len(whole) - 1, whole.rindex(b"\n", 0, -1), -7):
        log.path.write_bytes(whole[:cut])
        calls = read_truth(tmp_path)
        assert [call.received.attempt_id for call in calls] == [first, second]
        assert all(call.ended is None for call in calls)
    log.path.write_bytes(b'{"event":"received"}\n' + whole)
    with pytest.raises(TruthLogError, match=r"truth-.*\.jsonl:1: not a truth record"):
        read_truth(log.path)


def test_the_last_end_counts(tmp_path: Path) -> None:
    log = TruthLog(tmp_path)
    attempt_id = log.new_attempt_id()
    log.write(Received(attempt_id, "openai", "POST", "/x", 1))
    log.write(Ended(attempt_id, 2, "ok", usage_delivered=True))
    log.write(Ended(attempt_id, 3, "hung_up"))
    log.close()
    (call,) = read_truth(tmp_path)
    assert call.ended is not None
    assert (call.ended.outcome, call.usage_delivered) == ("hung_up", False)


def test_records_are_plain_json(lab: Lab) -> None:
    request_id = lab.new_id()
    body = json.dumps({"model": "gpt-4o", "messages": ASK}).encode()
    lab.exchange(raw_request(CHAT, body, lab.headers(request_id)))
    attempt_id = lab.truth(request_id).received.attempt_id
    lines = [
        msgspec.json.decode(line)
        for path in lab.simulator.log_dir.iterdir()
        for line in path.read_bytes().splitlines()
    ]
    mine = [line for line in lines if line["attempt_id"] == attempt_id]
    assert [line["event"] for line in mine] == ["received", "ended"]
    assert mine[1]["ended_at_ns"] >= mine[0]["arrived_at_ns"]
