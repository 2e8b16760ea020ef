"""Importing again, in parts, in another order, interrupted, beside a ledger: each row once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.console.conftest import LedgerThread
from tests.imports.test_imports_kinds import LITELLM

from tollbook.capture.imports.folder import Folder, import_id
from tollbook.capture.imports.kinds import KINDS
from tollbook.capture.imports.record import frames_of
from tollbook.capture.imports.row import Row
from tollbook.capture.imports.run import How, Import
from tollbook.capture.intake import Intake
from tollbook.cli.main import cli
from tollbook.config import Config
from tollbook.spool import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.imports.conftest import Desk

ENTRIES = (
    "SELECT call_id, tenant_id, model_actual, calls, cost_usd, uncached_input_tokens,"
    " visible_output_tokens, called_at FROM entries ORDER BY call_id"
)


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Return spend logs, each with an id, a tenant and tokens of its own."""
    return [
        LITELLM
        | {
            "request_id": f"chatcmpl-{number}", "prompt_tokens": 100 + number,
            "total_tokens": 200 + number, "startTime": f"2026-11-10T08:00:{number % 60:02d}Z",
            "metadata": {"requester_metadata": {"tenant": f"tenant-{number % 3}"}},
        }
        for number in range(first, first + count)
    ]  # fmt: skip


def test_a_file_that_is_imported_again_books_nothing_twice(desk: Desk) -> None:
    path = desk.json_lines("a.jsonl", rows(50))
    first = desk.run("litellm", path)
    before = desk.rows(ENTRIES)
    second = desk.run("litellm", path)
    third = desk.run("litellm", desk.csv("the-same.csv", rows(50)))

    assert (first.answer["booked"], first.answer["known"]) == (50, 0)
    for again in (second, third):
        assert (again.code, again.answer["booked"], again.answer["known"]) == (0, 0, 50)
    assert desk.rows(ENTRIES) == before
    assert desk.rows("SELECT count(*) FROM incidents") == [(0,)]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_split_and_order_of_files_gives_the_same_ledger(
    data: st.DataObject, make_desk: Callable[[], Desk]
) -> None:
    whole = rows(12)
    once = make_desk()
    once.run("litellm", once.json_lines("all.jsonl", whole))

    parted = make_desk()
    shuffled = data.draw(st.permutations(whole))
    repeated = shuffled + data.draw(st.lists(st.sampled_from(whole), max_size=6))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(repeated)), max_size=3)))
    paths = [
        parted.json_lines(f"part-{at}.jsonl", repeated[begin:end])
        for at, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(repeated)], strict=True))
    ]
    at_once = data.draw(st.booleans())
    for some in [paths] if at_once else [[path] for path in paths]:
        assert parted.run("litellm", *some).code == 0

    assert parted.rows(ENTRIES) == once.rows(ENTRIES)


class Interrupted:
    """Asks to stop after so many rows."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def run_part(desk: Desk, path: Path, after: int) -> tuple[Any, Folder]:
    intake = Intake(desk.data_dir, Config().spool, label="import")
    folder = Folder(desk.data_dir, import_id("litellm", [path]), [path])
    one = Import(
        [path], How(source="litellm", record_of=KINDS["litellm"]), spool=intake, folder=folder,
        on_progress=lambda _: None, is_stopped=Interrupted(after),
    )  # fmt: skip
    outcome = one.run()
    intake.close()
    folder.add_writer(intake.writer_name)
    folder.close()
    return outcome, folder


def test_an_interrupted_import_goes_on_where_it_stopped(desk: Desk) -> None:
    bad = [{"request_id": "no time"}]
    path = desk.json_lines("a.jsonl", [*rows(30), *bad, *rows(30, 30), *bad])

    outcome, folder = run_part(desk, path, 40)
    assert (outcome.rows, outcome.is_done) == (40, False)
    assert folder.state.files[0].rows == 40

    done = desk.run("litellm", path)

    # The rows that were read are not written again, and the counts are those of both runs.
    names = ("rows", "booked", "known", "rejected")
    assert [done.answer[name] for name in names] == [62, 60, 0, 2]
    assert [one["line"] for one in desk.refused()] == [31, 62]


def test_a_changed_file_begins_anew(desk: Desk) -> None:
    path = desk.json_lines("a.jsonl", rows(30))
    run_part(desk, path, 10)
    desk.json_lines("a.jsonl", rows(31))
    done = desk.run("litellm", path)
    assert (done.answer["rows"], desk.rows("SELECT sum(calls) FROM entries")[0][0]) == (31, 31)


def test_a_full_disk_ends_the_import_and_loses_no_row(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.json_lines("a.jsonl", rows(2000))
    put, calls = Intake.put, []

    def full(intake: Intake, frames: Any) -> bool:
        calls.append(len(frames))
        return len(calls) < 3 and put(intake, frames)

    monkeypatch.setattr(Intake, "put", full)
    done = desk.run("litellm", path)
    assert (done.code, "cannot be written" in done.text) == (2, True), done.text

    monkeypatch.setattr(Intake, "put", put)
    assert desk.run("litellm", path).answer["rows"] == 2000
    assert desk.rows("SELECT sum(calls) FROM entries") == [(2000,)]


@pytest.mark.slow
def test_ctrl_c_and_kill_are_taken_up(desk: Desk) -> None:
    """A process that is interrupted, then one that is killed, then one that ends it."""
    path = desk.json_lines("a.jsonl", rows(40_000))
    command = [sys.executable, "-m", "tollbook", "import", "litellm", str(path),
               "--data", str(desk.data_dir), "--format", "json"]  # fmt: skip

    for number in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _await_frames(desk.data_dir, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        if number is signal.SIGINT and process.returncode == 130:
            assert b"goes on where it stopped" in errors

    done = desk.run("litellm", path)
    assert done.answer["rows"] == 40_000
    assert desk.rows("SELECT sum(calls) FROM entries") == [(40_000,)]
    assert desk.rows("SELECT count(*) FROM incidents WHERE kind = 'orphan_close'") == [(0,)]


def _await_frames(data_dir: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        segments = data_dir.glob(f"spool/*-import-*-{process.pid}/*.seg")
        if any(one.stat().st_size > 200_000 for one in segments):
            return
        time.sleep(0.02)


def test_half_of_a_row_that_a_killed_import_wrote_is_made_whole(desk: Desk) -> None:
    """Its open frame alone was booked as interrupted; the row's own figures take that place."""
    (row,) = rows(1)
    record = KINDS["litellm"](Row(row), None)
    opened, _ = frames_of(record, "litellm", "production")
    name = new_writer_name(0)
    writer = SpoolWriter(desk.data_dir / "spool", name, Config().spool, version="1")
    writer.append(opened)
    writer.close()
    empty = desk.run("litellm", desk.json_lines("other.jsonl", rows(1, 1)))
    assert empty.answer["booked"] == 1
    assert desk.rows("SELECT sum(calls) FROM entries") == [(2,)]

    assert desk.run("litellm", desk.json_lines("a.jsonl", [row])).code == 0

    sums = "SELECT sum(calls), sum(uncached_input_tokens), sum(visible_output_tokens) FROM entries"
    assert desk.rows(sums) == [(2, 100 + 101, 200)]
    words = ["verify", "--data", str(desk.data_dir), "--format", "json"]
    assert CliRunner().invoke(cli, words).exit_code == 0


def test_beside_a_running_ledger(desk: Desk) -> None:
    """The rows are read by the process that has the ledger, which says what came of them."""
    desk.data_dir.mkdir(mode=0o700)
    path = desk.json_lines("a.jsonl", rows(20))
    ledger = LedgerThread(desk.data_dir)
    ledger.start()
    first, second = desk.run("litellm", path), desk.run("litellm", path)
    assert ledger.end() == 0
    assert (first.answer["booked"], first.answer["known"]) == (20, 0)
    assert (second.answer["booked"], second.answer["known"]) == (0, 20)


def test_a_terminal_sees_how_far_it_is(desk: Desk) -> None:
    path = desk.json_lines("a.jsonl", rows(600))
    terminal, end = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tollbook", "import", "litellm", str(path), "--dry-run",
         "--data", str(desk.data_dir), "--format", "json"],
        stdout=subprocess.PIPE, stderr=end, check=True, timeout=60,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "reading" in shown
    assert "kB" in shown
    assert b'"taken": 600' in done.stdout


def test_a_trial_writes_nothing(desk: Desk) -> None:
    path = desk.json_lines("a.jsonl", [*rows(3), {"request_id": "x"}])
    done = desk.run("litellm", path, "--dry-run")
    assert (done.code, done.answer["taken"], done.answer["rejected"]) == (1, 3, 1)
    assert done.answer["booked"] is None
    assert not desk.data_dir.exists()


@pytest.mark.slow
def test_two_hundred_thousand_rows_take_no_more_memory_than_two_thousand(desk: Desk) -> None:
    script = (
        "import atexit, resource, sys; from tollbook.cli.main import cli\n"
        "atexit.register(lambda: print(peak(), file=sys.stderr))\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "cli(['import', 'litellm', sys.argv[1], '--dry-run', '--format', 'json'])"
    )
    peaks = []
    for count in (2_000, 200_000):
        path = desk.root / f"{count}.jsonl"
        with path.open("w") as file:
            line = desk.json_lines("one.jsonl", rows(1)).read_text()
            for number in range(count):
                file.write(line.replace("chatcmpl-0", f"chatcmpl-{number}"))
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True,
                              text=True, check=True, env=dict(os.environ))  # fmt: skip
        assert f'"taken": {count}' in done.stdout
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] < peaks[0] + 20 * 1024, peaks  # KiB, as Linux counts
