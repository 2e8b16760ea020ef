from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tollbook.books import errors, keys, open_books, store
from tollbook.books.tables import metadata

if TYPE_CHECKING:
    from pathlib import Path


def schema(path: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
    connection.close()
    return rows


def script_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(store._MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    return config


def at_revision(path: Path, revision: str) -> None:
    path.parent.mkdir()
    engine = store._engine(path)
    with store.Books(path, engine).write() as connection:
        config = script_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_new_books_are_private_and_current(tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    with open_books(data) as books, books.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
    assert data.stat().st_mode & 0o777 == 0o700
    for path in data.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert store._version(data / "books.sqlite") == store.HEAD


def test_the_known_revisions_are_those_of_the_scripts() -> None:
    script = ScriptDirectory.from_config(script_config())
    found = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(found)) == store.REVISIONS


def test_the_tables_are_those_of_the_migrations(tmp_path: Path) -> None:
    with open_books(tmp_path) as books, books.read() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            columns = {
                (column["name"], str(column["type"]), column["nullable"])
                for column in inspector.get_columns(table.name)
                if column["name"] not in table.primary_key.columns
            }
            assert columns == {
                (column.name, str(column.type.compile(connection.dialect)), column.nullable)
                for column in table.columns
                if not column.primary_key
            }


@pytest.mark.parametrize("revision", store.REVISIONS)
def test_every_older_version_is_upgraded_with_its_keys(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "data" / "books.sqlite"
    at_revision(path, revision)
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO virtual_keys (api_key_id, label, secret_sha256, tenant_id, models,"
        " created_at_ns) VALUES ('key_1', 'old', x'00', 'acme', '[]', 1)"
    )
    connection.commit()
    connection.close()
    with open_books(tmp_path / "data") as books:
        assert [(key.label, key.tenant_id) for key in keys.list_keys(books)] == [("old", "acme")]
    open_books(tmp_path / "fresh").close()
    assert schema(path) == schema(tmp_path / "fresh" / "books.sqlite")


def test_a_failed_upgrade_leaves_the_old_version_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "books.sqlite"
    at_revision(path, "0001")
    before = schema(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE events (in_the_way TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(errors.BooksError, match="events already exists"):
        open_books(tmp_path / "data")
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE events")
    connection.commit()
    connection.close()
    assert schema(path) == before
    assert store._version(path) == "0001"


def test_a_newer_version_is_one_clear_line(tmp_path: Path) -> None:
    open_books(tmp_path).close()
    path = tmp_path / "books.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.commit()
    connection.close()
    with pytest.raises(errors.NewerDatabaseError) as caught:
        open_books(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.message == (
        f"{path}: its schema version 0099 is newer than the {store.HEAD} that this tollbook knows;"
        " upgrade tollbook, or restore the backup made before the upgrade"
    )


def test_what_is_no_database_of_ours_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "books.sqlite").write_text("not a database, but long enough" * 100)
    (tmp_path / "other").mkdir()
    connection = sqlite3.connect(tmp_path / "other" / "books.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    (tmp_path / "folder" / "books.sqlite").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name, problem in {
        "text": "file is not a database",
        "other": "database of another program",
        "folder": "Is a directory",
        "file": "File exists",
        "file/below": "Not a directory",
    }.items():
        with pytest.raises(errors.BooksError, match=problem) as caught:
            open_books(tmp_path / name)
        assert "\n" not in caught.value.message
        assert caught.value.message.startswith(str(tmp_path / name / "books.sqlite"))
        assert caught.value.exit_code == 2
    assert schema(tmp_path / "other" / "books.sqlite")[0][1] == "theirs"  # left alone


def test_a_locked_database_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_books(tmp_path).close()
    other = sqlite3.connect(tmp_path / "books.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.01)
    with open_books(tmp_path) as books:
        with pytest.raises(errors.BooksError, match="locked; another process holds it"):
            keys.create_key(books, label="a")
        assert keys.list_keys(books) == []  # reading does not wait
    other.close()


def test_many_may_open_new_books_at_once(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from tollbook.books import open_books;"
    script += "open_books(Path(sys.argv[1])).close()"
    run = [sys.executable, "-c", script, str(tmp_path / "data")]
    with ThreadPoolExecutor(3) as pool:
        done = list(
            pool.map(lambda _: subprocess.run(run, capture_output=True, check=False), range(3))
        )
    assert [(each.returncode, each.stdout, each.stderr) for each in done] == [(0, b"", b"")] * 3
    assert store._version(tmp_path / "data" / "books.sqlite") == store.HEAD


def test_up_to_date_books_open_without_alembic_and_keys_without_sqlalchemy(tmp_path: Path) -> None:
    open_books(tmp_path).close()
    for script in (
        "from tollbook.books import open_books as open_it\nunwanted = 'alembic'",
        "from tollbook.books.directory import KeyDirectory as open_it\nunwanted = 'sqlalchemy'",
    ):
        code = f"{script}\nimport sys, pathlib\nopen_it(pathlib.Path({str(tmp_path)!r})).close()\n"
        code += "assert unwanted not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.stderr == b""
        assert done.returncode == 0


def test_a_migration_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = nowhere\n")
    monkeypatch.chdir(tmp_path)
    open_books(tmp_path / "with %(odd)s name").close()
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in (tmp_path / "with %(odd)s name").iterdir()] == ["books.sqlite"]


def test_the_append_only_tables_refuse_changes_in_the_same_words_for_ever(tmp_path: Path) -> None:
    # Books that were made by an earlier release have exactly these triggers.
    refusals = {
        "events": "are", "documents": "are", "exports": "are",
        "reconciliations": "are", "differences": "are", "difference_remarks": "are",
        "statement_raws": "is", "statements": "is", "statement_sightings": "is",
        "statement_marks": "is", "statement_watermarks": "is", "period_events": "is",
        "period_seals": "is", "period_closes": "is", "allocation_runs": "is", "revenues": "is",
        "deliveries": "is", "delivery_events": "is", "incidents": "are", "incident_events": "are",
        "notifications": "are", "notification_events": "are",
        "budget_top_ups": "are", "portal_keys": "are", "portal_tokens": "are",
        "portal_revocations": "are",
    }  # fmt: skip
    open_books(tmp_path).close()
    found = {
        name: sql
        for kind, name, sql in schema(tmp_path / "books.sqlite")
        if kind == "trigger" and "append-only" in sql and not name.startswith("price_cards")
    }
    expected = {
        f"{table}_no_{deed.lower()}": (
            f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} {said} append-only'); END"
        )
        for table, said in {**refusals, "statement_lines": "is", "accesses": "are"}.items()
        for deed in ("UPDATE", "DELETE")
        if (table, deed) not in {("statement_lines", "DELETE"), ("accesses", "DELETE")}
    }
    assert {name: " ".join(sql.split()) for name, sql in found.items()} == expected
