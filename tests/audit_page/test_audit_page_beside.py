"""Audits in a process beside: bounded, alone, and gone with what they were given."""

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from tests.audit_page.page_kit import SECRET, put_audit, traces

from tollbook.audit.settings import AuditSettings
from tollbook.books.events import list_events
from tollbook.books.store import open_books
from tollbook.console.audits.asked import Asked
from tollbook.console.audits.beside import Beside
from tollbook.console.audits.errors import (
    AuditBusyError,
    AuditFailedError,
    AuditTimeoutError,
    NoSuchAuditError,
    UploadError,
)
from tollbook.console.audits.jobs import Jobs
from tollbook.console.audits.limits import DEFAULT
from tollbook.console.audits.received import Received
from tollbook.console.audits.worker import FILES, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _beside(folder: Path, files: dict[str, bytes], time_max_s: float = 60, **more: Any) -> Beside:
    (folder / FILES).mkdir()
    for name, content in files.items():
        (folder / FILES / name).write_bytes(content)
    given: dict[str, Any] = {
        "directory": str(folder), "files": tuple(files), "kind": None, "settings": AuditSettings(),
        "memory_max_bytes": DEFAULT.memory_max_bytes, "spill_max_bytes": DEFAULT.spill_max_bytes,
        "time_max_s": 60,
    }  # fmt: skip
    return Beside(Task(**(given | more)), time_max_s, lambda _: None)


def test_files_are_audited_together_and_nothing_of_them_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    evil = b"import pathlib; pathlib.Path('was-run').touch(); raise SystemExit(9)\n"
    beside = _beside(tmp_path, {
        "msgspec.py": evil, "json.py": evil, "a.jsonl": traces(3), "b.jsonl.gz":
        gzip.compress(traces(2, "globex").replace(b"0000000", b"1111111")),
    })  # fmt: skip
    made = beside.run()
    assert not list(tmp_path.rglob("was-run"))
    assert made.calls == 5
    assert {one.source for one in made.inputs} == {"msgspec.py", "json.py", "a.jsonl", "b.jsonl.gz"}
    assert made.prices.startswith("list prices")
    assert SECRET not in (tmp_path / "report.json").read_text()


def test_its_environment_has_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("TOLLBOOK_PROVIDERS__OPENAI__API_KEY", "sk-secret")
    seen: dict[str, Any] = {}

    def started(*_: Any, **given: Any) -> Any:
        seen.update(given)
        raise FileNotFoundError("python")

    monkeypatch.setattr("tollbook.console.audits.beside.subprocess.Popen", started)
    with pytest.raises(FileNotFoundError, match="python"):
        _beside(tmp_path, {"a": b"{}"}).run()
    assert "sk-secret" not in str(seen)
    assert seen["env"]["TMPDIR"] == str(tmp_path)


def test_a_late_audit_is_ended(tmp_path: Path) -> None:
    with pytest.raises(AuditTimeoutError, match="ended after"):
        _beside(tmp_path, {"a.jsonl": traces(2)}, time_max_s=0.001).run()


def test_an_audit_may_not_take_all_memory(tmp_path: Path) -> None:
    beside = _beside(tmp_path, {"a.jsonl": traces(2)}, memory_max_bytes=30 << 20)
    with pytest.raises(AuditFailedError):
        beside.run()


def test_a_stopped_audit_does_not_begin(tmp_path: Path) -> None:
    beside = _beside(tmp_path, {"a.jsonl": traces(2)})
    beside.stop()
    with pytest.raises(AuditFailedError, match="stopping"):
        beside.run()


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01\x02 nothing \xff", b"[" * 200_000, b'{"resourceSpans": [{"scopeSpans": 7}]}',
        b"\x1f\x8b\x08\x00 cut", b"PK\x03\x04 cut", b'{"a": "' + b"x" * 3_000_000,
    ],
)  # fmt: skip
def test_hostile_files_are_said_to_be_unreadable(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UploadError, match=r"no spans were read: .|is no zip archive"):
        _beside(tmp_path, {"bad.json": content}).run()


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    (tmp_path / "uploads" / "left").mkdir(parents=True)
    books = open_books(tmp_path)
    made = Jobs(tmp_path, books)
    yield made
    made.close()
    books.close()


def _submit(jobs: Jobs, content: bytes, owner: str = "user:anna", **asked: Any) -> Any:
    directory = jobs.place()
    (directory / FILES / "of-acme.jsonl").write_bytes(content)
    received = Received(["of-acme.jsonl"], [], len(content))
    return jobs.submit(owner, directory, received, Asked(**asked))


def test_an_audit_is_its_owners_alone_and_leaves_nothing(jobs: Jobs, tmp_path: Path) -> None:
    assert not list(tmp_path.glob("uploads/*")), "what a killed process left is removed"
    job = _submit(jobs, traces(3))
    made = job.report.result(60)
    assert jobs.of("user:anna", job.job_id).audit is made
    assert jobs.all_of("user:anna") == [job]
    for owner, job_id in (("user:bo", job.job_id), ("user:anna", "other"), ("user:anna", "")):
        with pytest.raises(NoSuchAuditError):
            jobs.of(owner, job_id)
    assert jobs.all_of("user:bo") == []
    jobs.close()
    assert not (tmp_path / "uploads").exists()


def test_it_is_noted_with_numbers_alone(jobs: Jobs) -> None:
    job = _submit(jobs, traces(3))
    job.report.result(60)
    events = list_events(jobs._books, action="trace_audit.run")
    assert [one.actor for one in events] == ["user:anna"]
    assert events[0].detail["calls"] == 3
    assert all(isinstance(value, int) for value in events[0].detail.values())


def test_files_are_private_and_gone_once_audited(jobs: Jobs) -> None:
    directory = jobs.place()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory.parent.stat().st_mode & 0o777 == 0o700
    job = _submit(jobs, b"nothing")
    assert isinstance(job.report.exception(60), UploadError)
    jobs.close()
    assert job.problem is not None
    assert job.problem.startswith("no spans were read")
    assert not job.directory.exists()


def test_few_are_kept_and_few_wait(jobs: Jobs) -> None:
    jobs.limits = replace(DEFAULT, kept_max_each=2, kept_max=3, waiting_max=0)
    found = [put_audit(jobs, owner) for owner in ("a", "a", "a", "b", "b")]
    assert jobs.all_of("a") == [found[2]]
    assert jobs.all_of("b") == [found[4], found[3]]
    jobs.limits = replace(jobs.limits, kept_s=-1)
    assert jobs.all_of("a") == []
    put_audit(jobs, "c").report = type(found[0].report)()
    with pytest.raises(AuditBusyError, match="1 audits wait"):
        jobs.place()


def test_closing_ends_what_runs_and_what_waits(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, *_: Any) -> None:
            pass

        def run(self) -> None:
            begun.set()
            assert ended.wait(30)
            raise AuditFailedError("the console is stopping")

        def stop(self) -> None:
            ended.set()

    monkeypatch.setattr("tollbook.console.audits.jobs.Beside", Slow)
    first, second = _submit(jobs, b"x"), _submit(jobs, b"x")
    assert begun.wait(30)
    jobs.close()
    for one in (first, second):
        assert isinstance(one.report.exception(0), AuditFailedError)
    with pytest.raises(AuditFailedError, match="stopping"):
        _submit(jobs, b"x")
