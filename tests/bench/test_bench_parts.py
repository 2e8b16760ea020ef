from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from bench.ledgerwork import ingest
from bench.openloop import read_requests
from bench.procs import BenchError, Processes, first_line
from bench.spoolcount import closed_calls
from bench.spoolfill import fill_spool
from bench.wrk import write_requests

from bench import answers, machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [1024, 50 * 1024])
@pytest.mark.parametrize("is_stream", [False, True])
def test_request_bodies_have_the_size_asked_for(size: int, *, is_stream: bool) -> None:
    body = answers.request_body(size, is_stream=is_stream)
    assert size - 64 <= len(body) <= size
    assert json.loads(body).get("stream", False) is is_stream


def test_both_load_generators_send_the_same_requests(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    write_requests(file, "/plain/v1/chat/completions", 1024, is_stream=False)
    requests = read_requests(file)
    assert len(requests) == 64
    head, _, body = requests[3].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /plain/v1/chat/completions HTTP/1.1\r\nHost: ")
    assert b"\r\nbaggage: tenant.id=tenant-3,user.id=user-3,feature=search" in head
    assert f"\r\nContent-Length: {len(body)}".encode() in head


def test_the_canned_stream_ends_with_usage_and_the_last_chunk() -> None:
    events = list(answers.stream_events())
    assert sum(b'"word "' in event for event in events) == answers.EVENTS
    assert b'"prompt_tokens":212' in events[-2]
    assert events[-1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_filled_spool_is_ingested_whole(tmp_path: Path) -> None:
    assert fill_spool(tmp_path / "spool", 300, seed=1) > 300 * 100
    assert closed_calls(tmp_path / "spool") == 300
    calls, took_s, _ = ingest(tmp_path / "spool", tmp_path / "ledger")
    assert calls == 300
    assert took_s > 0


def test_the_canned_provider_answers_and_is_gone_afterwards() -> None:
    with Processes() as processes:
        upstream = processes.start_python(["bench.upstream"], core=machine.LOAD_CORE)
        port = int(first_line(upstream, "the canned provider"))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"POST /plain/v1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n{")
            connection.sendall(b"}\n\n")
            assert connection.recv(65_536) == answers.plain_answer()
            connection.sendall(b"POST /stream/v1 HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
            got = b""
            while not got.endswith(b"\r\n0\r\n\r\n"):
                part = connection.recv(65_536)
                assert part, got
                got += part
            assert got == answers.stream_head() + b"".join(answers.stream_events())
    assert upstream.poll() is not None


def test_a_process_that_does_not_start_is_one_clear_error() -> None:
    with Processes() as processes:
        process = processes.start_python(["bench.nowhere"], core=machine.LOAD_CORE)
        with pytest.raises(BenchError, match="nobody did not start"):
            first_line(process, "nobody")


def test_the_facts_name_machine_and_commit() -> None:
    facts = {each.name: each.value for each in machine.facts()}
    assert facts["machine.cores"]
    assert {"machine.cpu", "machine.kernel", "machine.python", "machine.commit"} <= facts.keys()
