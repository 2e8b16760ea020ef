"""The command as a process: pipes, Ctrl-C, a terminal, a live endpoint."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tollbook.audit import running
from tollbook.audit.options import parse
from tollbook.audit.progress import Bar
from tollbook.audit.read import Batch, InputRead, Trouble, Where
from tollbook.audit.stopping import Stop
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "tollbook", "audit"]
ENVIRON = {**os.environ, "COLUMNS": "100", "FORCE_COLOR": "", "PYTHONWARNINGS": "default"}


def started(*arguments: str | Path, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=more.pop("stderr", subprocess.PIPE),
        env=ENVIRON,
        **more,
    )


def test_a_process_reads_a_pipe_and_writes_a_pipe(traces: Path) -> None:
    with started("-", "--format", "json", "--fail-under", "100") as process:
        out, err = process.communicate(traces.read_bytes(), timeout=300)
    assert process.returncode == 1
    assert json.loads(out)["calls"] == 2
    assert err.decode().count("\n") == 1, "no progress where nobody looks"


def test_a_reader_that_leaves_early_is_no_defect(traces: Path) -> None:
    with started(traces, "--format", "json", "--full") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read().decode()
        process.wait(300)
    assert "Traceback" not in told
    assert "defect" not in told


def test_ctrl_c_reports_what_was_read_until_then(traces: Path) -> None:
    with started("-", "--format", "json") as process:
        assert process.stdin is not None
        # When so much is written, all but what a pipe holds was read.
        for _ in range(400):
            process.stdin.write(traces.read_bytes())
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    told = json.loads(out)
    assert told["calls"] > 0
    assert any("stopped by Ctrl-C" in one["problem"] for one in told["troubles"])
    assert b"Traceback" not in err


def test_progress_is_shown_on_a_terminal(traces: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with started(traces, stderr=theirs) as process:
            out, _ = process.communicate(timeout=300)
        os.write(theirs, b"\0end")
        told = b""
        while not told.endswith(b"\0end"):
            told += os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0
    assert b"Reading [" in told
    assert told.removesuffix(b"\0end").endswith(b"\r\x1b[K"), "it is taken away"
    assert b"\x1b" not in out


def test_a_live_endpoint_is_read_until_ctrl_c(traces: Path) -> None:
    with started("--live", "10", "--listen", "127.0.0.1:0", "--format", "json") as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line.startswith("listening for OTLP on http://127.0.0.1:"), line
        url = line.split()[4]
        for body in traces.read_bytes().splitlines():
            request = urllib.request.Request(
                f"{url}/v1/traces", data=body, headers={"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
        refused = urllib.request.Request(
            f"{url}/v1/traces", data=b"{", headers={"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(refused, timeout=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["calls"] == 2
    assert b"1 of what came could not be read and was refused" in err


class Few:
    """Two batches, and whatever happens between them."""

    def __init__(self, between: Callable[[], None]) -> None:
        self.read = InputRead(source="few", size_bytes=100)
        self._between = between

    def __iter__(self) -> Iterator[Batch | Trouble]:
        yield Batch([Span(trace_id="1" * 32, span_id="1" * 16)], Where("few", 1))
        self._between()
        yield Batch([Span(trace_id="2" * 32, span_id="2" * 16)], Where("few", 2))


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_while_waiting_ends_the_reading() -> None:
    with Stop() as stop:
        parts = list(stop.watched(Few(interrupt)))
    assert stop.is_asked
    assert [type(one) for one in parts] == [Batch, Trouble]


def test_an_interrupt_while_working_ends_the_reading_after_it() -> None:
    with Stop() as stop:
        parts: list[Batch | Trouble] = []
        for one in stop.watched(Few(lambda: None)):
            if not parts:
                interrupt()
            parts.append(one)
    assert [type(one) for one in parts] == [Batch, Trouble]


def test_a_second_interrupt_ends_everything() -> None:
    with Stop() as stop:
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert stop.is_asked


def test_without_an_interrupt_nothing_is_left_out_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        assert len(list(stop.watched(Few(lambda: None)))) == 2
    assert signal.getsignal(signal.SIGINT) is before
    assert not stop.is_asked


def test_an_interrupted_audit_ends_with_130(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_opened", lambda _: [Few(interrupt), Few(lambda: None)])
    answer = run("few", "--fail-under", "100", "--format", "json")
    assert answer.code == 130
    assert json.loads(answer.out)["spans"] == 1


def test_a_defect_is_one_line(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(running, "_opened", lambda _: [Few(broken)])
    answer = run("few")
    assert answer.code == 1
    assert answer.err == (
        "tollbook: unexpected ZeroDivisionError: by nothing "
        "(a defect; tollbook --debug shows where)\n"
    )


def test_the_bar_tells_share_speed_and_time_left() -> None:
    stream, now_ns = io.StringIO(), iter(range(0, 10**12, 10**9))
    few = Few(lambda: None)
    bar = Bar(stream, [few], lambda: next(now_ns))
    few.read.read_bytes, few.read.spans = 25, 1000
    bar.reading(few.read)
    bar.judging(12_345)
    bar.close()
    first, second = stream.getvalue().split("\r\x1b[K")[1:3]
    assert first.startswith("Reading [######                  ]  25 %")
    assert "1,000 spans" in first
    assert first.endswith("left")
    assert second == "Looking at traces: 12,345"


def test_the_bar_adds_inputs_up_and_knows_no_end_without_sizes() -> None:
    stream, now_ns = io.StringIO(), iter(range(0, 10**12, 10**9))
    one, other = Few(lambda: None), Few(lambda: None)
    other.read.size_bytes = None
    bar = Bar(stream, [one, other], lambda: next(now_ns))
    one.read.read_bytes = other.read.read_bytes = 1024
    one.read.spans = other.read.spans = 5
    bar.reading(one.read)
    bar.reading(other.read)
    last = stream.getvalue().split("\r\x1b[K")[-1]
    assert last.startswith("Reading 2.0 KiB, 10 spans, ")
    assert "%" not in last


def test_options_reach_the_settings() -> None:
    options = parse(
        [
            "x", "--tenant-attribute", "org", "--trusted-host", "gw.internal", "--tenant-pattern",
            "org_.*", "--ignore", "A14", "--price-age", "7", "--hash-names", "--listen",
            "[::1]:4319", "--fail-under", "87.5",
        ]
    )  # fmt: skip
    told = options.settings
    assert (told.tenant_attributes, told.trusted_hosts, told.tenant_pattern) == (
        ("org",), ("gw.internal",), "org_.*",
    )  # fmt: skip
    assert (told.ignore, told.price_age_max_days, told.hash_names) == (("A14",), 7, True)
    assert options.listen == ("::1", 4319)
    assert options.fail_under_millis == 875
