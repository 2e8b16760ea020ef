from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tollbook import clock
from tollbook.books import open_books
from tollbook.books.directory import KeyDirectory
from tollbook.books.keys import create_key, revoke_key
from tollbook.books.records import KeyProblem
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def directory_of() -> Iterator[Callable[[Path], KeyDirectory]]:
    made: list[KeyDirectory] = []

    def make(data_dir: Path) -> KeyDirectory:
        made.append(KeyDirectory(data_dir))
        return made[-1]

    yield make
    for directory in made:
        directory.close()


def test_a_secret_leads_to_its_binding(
    tmp_path: Path, directory_of: Callable[[Path], KeyDirectory]
) -> None:
    with open_books(tmp_path) as books:
        record, secret = create_key(
            books, label="a", tenant_id="acme", feature="chat", models=["gpt-*"]
        )
        directory = directory_of(tmp_path)
        assert directory.lookup(secret) == record.binding()
        assert len(directory) == 1
    for other in ("", "tb_", secret[:-1], secret + "x", "sk-proj-1", "ключ", "\ud800", "x" * 9999):
        assert directory.lookup(other) == KeyProblem("unknown")
    assert secret not in repr(directory.lookup(secret))
    assert secret not in repr(vars(directory))


def test_changes_are_seen_at_the_next_refresh_and_only_then(
    tmp_path: Path, directory_of: Callable[[Path], KeyDirectory]
) -> None:
    with open_books(tmp_path) as books:
        directory = directory_of(tmp_path)
        assert not directory.refresh()
        record, secret = create_key(books, label="a")
        assert directory.lookup(secret) == KeyProblem("unknown")
        assert directory.refresh()
        assert not directory.refresh()
        assert directory.lookup(secret) == record.binding()
        revoke_key(books, "a")
        assert directory.refresh()
        assert directory.lookup(secret) == KeyProblem("revoked", record.api_key_id)


def test_a_key_made_in_another_process_is_seen(
    tmp_path: Path, directory_of: Callable[[Path], KeyDirectory]
) -> None:
    open_books(tmp_path).close()
    directory = directory_of(tmp_path)
    script = (
        "import sys; from pathlib import Path\n"
        "from tollbook.books import open_books; from tollbook.books.keys import create_key\n"
        "with open_books(Path(sys.argv[1])) as books:\n"
        "    print(create_key(books, label='a', tenant_id='acme')[1])\n"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script.replace("'a'", f"'a{_}'"), str(tmp_path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert directory.refresh()
        found = directory.lookup(done.stdout.strip())
        assert isinstance(found, KeyBinding)
        assert found.tenant_id == "acme"


def test_expiry_is_judged_at_the_moment_of_the_lookup(
    tmp_path: Path,
    directory_of: Callable[[Path], KeyDirectory],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expires_at_ns = clock.unix_ns() + 10**12
    with open_books(tmp_path) as books:
        record, secret = create_key(books, label="a", expires_at_ns=expires_at_ns)
    directory = directory_of(tmp_path)
    monkeypatch.setattr(clock, "unix_ns", lambda: expires_at_ns - 1)
    assert directory.lookup(secret) == record.binding()
    monkeypatch.setattr(clock, "unix_ns", lambda: expires_at_ns)
    assert directory.lookup(secret) == KeyProblem("expired", record.api_key_id)


def test_missing_books_know_nobody_until_they_come(
    tmp_path: Path,
    directory_of: Callable[[Path], KeyDirectory],
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = directory_of(tmp_path / "later")
    assert "No such file" in str(directory.problem)
    assert directory.lookup("tb_x") == KeyProblem("unknown")
    with open_books(tmp_path / "later") as books:
        record, secret = create_key(books, label="a")
    assert (directory.refresh(), directory.problem) == (True, None)
    assert directory.lookup(secret) == record.binding()
    assert caplog.records == []  # a gateway may well start before its first key is made


def test_what_was_read_is_kept_while_the_books_cannot_be_read(
    tmp_path: Path,
    directory_of: Callable[[Path], KeyDirectory],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tollbook.books")
    with open_books(tmp_path) as books:
        record, secret = create_key(books, label="a")
    directory = directory_of(tmp_path)
    path = tmp_path / "books.sqlite"
    shutil.copy(path, tmp_path / "good")
    for name in ("books.sqlite", "books.sqlite-wal", "books.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert not directory.refresh()
    assert directory.lookup(secret) == record.binding()
    path.write_text("garbage " * 1000)
    for _ in range(3):
        assert not directory.refresh()
    assert "not a database" in str(directory.problem)
    assert directory.lookup(secret) == record.binding()
    path.unlink()
    sqlite3.connect(path).close()
    assert not directory.refresh()  # empty, as while it is being created
    assert directory.lookup(secret) == record.binding()
    path.unlink()
    shutil.copy(tmp_path / "good", path)
    assert (directory.refresh(), directory.problem) == (True, None)
    assert directory.lookup(secret) == record.binding()
    messages = [each.message for each in caplog.records]
    assert len(messages) == 2  # garbage, empty: once each, however often it was tried
    assert all(secret not in message for message in messages)


def test_a_locked_file_keeps_the_last_good_state(
    tmp_path: Path, directory_of: Callable[[Path], KeyDirectory]
) -> None:
    with open_books(tmp_path) as books:
        record, secret = create_key(books, label="a")
    directory = directory_of(tmp_path)
    directory.close()
    other = sqlite3.connect(tmp_path / "books.sqlite", isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    assert not directory.refresh()
    assert "locked" in str(directory.problem)
    assert directory.lookup(secret) == record.binding()
    other.execute("COMMIT")
    other.close()
    assert directory.refresh()


def test_books_restored_from_a_backup_are_noticed(
    tmp_path: Path, directory_of: Callable[[Path], KeyDirectory]
) -> None:
    with open_books(tmp_path / "other") as books:
        record, secret = create_key(books, label="from the backup")
    with open_books(tmp_path / "data") as books:
        create_key(books, label="a")
    directory = directory_of(tmp_path / "data")
    (tmp_path / "other" / "books.sqlite").replace(tmp_path / "data" / "books.sqlite")
    for name in ("books.sqlite-wal", "books.sqlite-shm"):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    assert directory.refresh()
    assert directory.lookup(secret) == record.binding()
