"""The ledger process as its supervisor runs it: a real process, signals, pipes, damage."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.console.conftest import LedgerThread, write_calls

from tollbook.config import Config
from tollbook.console.auth import read_announcement
from tollbook.console.client import ApiSource, LedgerSilentError, NotRunningError, open_source
from tollbook.ledger.store import LEDGER_FILE, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(data_dir: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tollbook.console.process", "--data", str(data_dir),
         "--exit-on-stdin-eof"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "TOLLBOOK_CONSOLE__PORT": str(port)},
        cwd=data_dir,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def _calls(data_dir: Path) -> int:
    with open_source(Config(), data_dir) as source:
        calls: int = source.ask("spend", [("since", "all")])["totals"]["calls"]
        return calls


@pytest.mark.parametrize("ending", ["SIGTERM", "end of input"])
def test_it_reads_the_spool_to_its_end_before_it_stops(tmp_path: Path, ending: str) -> None:
    write_calls(tmp_path, ["acme"])
    with _process(tmp_path, _free_port()) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith(b"ledger: API on http://127.0.0.1:")
        announced = read_announcement(tmp_path)
        assert announced is not None
        assert announced[0].pid == process.pid
        write_calls(tmp_path, ["globex", "globex"])
        if ending == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.stderr is not None
        exit_code, errors = process.wait(30), process.stderr.read().decode()
    assert exit_code == 0, errors
    assert read_announcement(tmp_path) is None
    assert _calls(tmp_path) == 3


def test_a_killed_ledger_leaves_a_stale_address_and_no_call_is_lost(tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme"])
    port = _free_port()
    with _process(tmp_path, port) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait(30)
    write_calls(tmp_path, ["globex"])
    assert read_announcement(tmp_path) is not None
    assert _calls(tmp_path) == 1  # the stale address is passed over, the file opened
    thread = LedgerThread(tmp_path)
    thread.start().api.catch_up()
    assert _calls(tmp_path) == 2
    assert thread.end() == 0


def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with _process(tmp_path, taken.getsockname()[1]) as process:
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    lines = errors.decode().strip().splitlines()
    assert len(lines) == 1
    assert "console.port" in lines[0]


def test_a_damaged_spool_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme", "acme", "acme"])
    (segment,) = (tmp_path / "spool").glob("*/*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    with _process(tmp_path, _free_port()) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    (line,) = (line for line in errors.decode().splitlines() if line.startswith("tollbook:"))
    assert str(segment) in line
    assert "doctor --skip-corrupt" in line


def test_a_ledger_that_holds_the_file_and_is_not_reached_is_one_line(tmp_path: Path) -> None:
    # Another process holds the lock: DuckDB's lock does not keep out the process that has it.
    path = tmp_path / LEDGER_FILE
    open_store(path).close()
    holder = subprocess.Popen(
        [sys.executable, "-c",
         f"import duckdb; c = duckdb.connect({str(path)!r}); print('held', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LedgerSilentError, match="is running but does not answer") as caught:
            _calls(tmp_path)
    finally:
        holder.communicate(b"\n")
    assert "\n" not in caught.value.message


def test_waiting_needs_a_running_ledger(tmp_path: Path) -> None:
    open_store(tmp_path / LEDGER_FILE).close()
    with open_source(Config(), tmp_path) as source, pytest.raises(NotRunningError):
        source.catch_up()


def test_the_file_and_the_api_answer_alike(tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme", "globex", None])
    thread = LedgerThread(tmp_path)
    running = thread.start()
    running.api.catch_up()
    pairs = [("by", "tenant"), ("since", "today"), ("until", "2100-01-01")]
    with open_source(Config(), tmp_path) as source:
        assert isinstance(source, ApiSource)
        over_http = source.ask("spend", pairs)
        call_id = source.ask("calls", [])["rows"][0]["call_id"]
        explained = source.explain(call_id)
    assert thread.end() == 0
    with open_source(Config(), tmp_path) as source:
        assert not isinstance(source, ApiSource)
        from_file = source.ask("spend", pairs)
        assert from_file["rows"] == over_http["rows"]
        assert from_file["totals"] == over_http["totals"]
        assert source.explain(call_id) == explained


def test_a_stop_cuts_off_questions_and_ends_well(tmp_path: Path) -> None:
    write_calls(tmp_path, ["acme"])
    port = _free_port()
    with _process(tmp_path, port) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"ledger: API on http://127.0.0.1:")
        announced = read_announcement(tmp_path)
        assert announced is not None
        body = b'{"sql": "SELECT count(*) FROM range(100000000) a, range(100000000) b"}'
        headers = {"authorization": f"Bearer {announced[1]}", "content-type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as asking:
            asking.request("POST", "/api/v1/sql", body, headers)
            pause = threading.Event()
            pause.wait(0.5)  # it is running, or about to; either way it must not keep the stop
            process.send_signal(signal.SIGTERM)
            exit_code, errors = process.wait(30), process.stderr.read().decode()
    assert (exit_code, errors) == (0, "")
