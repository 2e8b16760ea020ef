"""Who saw what is written, stays as it is, and loses nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.people.people_kit import PASSWORD, People, form_of, log_in, people

from tollbook import clock
from tollbook.books.errors import BooksError
from tollbook.books.events import record_event
from tollbook.books.store import open_books
from tollbook.books.tables_people import accesses
from tollbook.desk.permits import Role
from tollbook.people.access_log import AccessLog, access

if TYPE_CHECKING:
    from pathlib import Path

DAY_NS = 86_400 * clock.NS_PER_S


def rows(books: Any) -> list[Any]:
    with books.read() as connection:
        return list(connection.execute(sa.select(accesses).order_by(accesses.c.access_id)))


def seen(house: People, **asked: Any) -> list[dict[str, Any]]:
    """Ask the audit log as an owner."""
    house.doors.accesses.flush()
    with house.process() as client:
        answer = client.get("/api/v1/audit-log", params=asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def test_what_somebody_sees_exports_and_is_denied_is_on_record(house: People) -> None:
    with house.signed_in(Role.VIEWER, "watcher") as browser:
        assert browser.get("/tenants?since=7d&where=tenant%3Dacme").status_code == 200
        assert browser.get("/tenants.csv?since=7d").status_code == 200
        assert browser.get("/api/v1/spend?since=7d").status_code == 200
        assert browser.get("/api/v1/spend?since=7d&format=csv").status_code == 200
        assert browser.get("/people").status_code == 403
        assert browser.get("/static/console.css").status_code == 200
    found = [
        (one["what"], one["path"], one["outcome"], one["detail"])
        for one in reversed(seen(house, who="user:watcher", kind="seen"))
    ]
    assert found == [
        ("page", "/tenants", "ok", "since=7d&where=tenant%3Dacme"),
        ("export", "/tenants.csv", "ok", "since=7d"),
        ("api", "/api/v1/spend", "ok", "since=7d"),
        ("export", "/api/v1/spend", "ok", "since=7d&format=csv"),
        ("page", "/people", "denied", None),
    ]


def test_sign_ins_and_failures_are_on_record_without_what_was_typed(house: People) -> None:
    with house.client() as browser:
        log_in(browser, "anna", "a guess that is wrong")
        log_in(browser, "hunter2-typed-in-the-wrong-field", "x")
        log_in(browser, "anna", PASSWORD)
        browser.post("/login/out", data=form_of(browser, "/account"))
    found = [
        (one["who"], one["what"], one["outcome"]) for one in reversed(seen(house, what="sign-"))
    ]
    assert found[-4:] == [
        ("user:anna", "sign-in", "failed"), ("nobody", "sign-in", "failed"),
        ("user:anna", "sign-in", "ok"), ("user:anna", "sign-out", "ok"),
    ]  # fmt: skip
    everything = str(seen(house, limit=10_000))
    assert "hunter2" not in everything
    assert "a guess" not in everything


def test_deeds_and_views_are_one_list_in_pages(house: People) -> None:
    with house.signed_in(Role.OWNER, "busy") as browser:
        for number in range(6):
            browser.get(f"/account?n={number}")
            record_event(house.books, actor="user:busy", action="budget.set", detail={"n": number})
            house.doors.accesses.flush()
    whole = seen(house, who="user:busy")
    assert len(whole) == 12
    assert {one["kind"] for one in whole} == {"deed", "seen"}
    found: list[dict[str, Any]] = []
    before = None
    with house.process() as client:
        for _ in range(4):
            asked: dict[str, Any] = {"who": "user:busy", "limit": 5} | (
                {"before": before} if before else {}
            )
            answer = client.get("/api/v1/audit-log", params=asked).json()
            found += answer["rows"]
            before = answer["next_before"]
            if before is None:
                break
    assert found == whole
    assert [one["kind"] for one in seen(house, who="user:busy", what="budget")] == ["deed"] * 6
    assert seen(house, who="user:b_sy") == []  # no wildcards
    assert len(seen(house, who="user:busy", where="n=3")) == 1


def test_wrong_questions_are_refused(house: People) -> None:
    with house.process() as client:
        for asked in (
            {"limit": 0},
            {"limit": 10**9},
            {"before": "x"},
            {"kind": "x"},
            {"since": "x"},
        ):
            assert client.get("/api/v1/audit-log", params=asked).status_code == 400, asked


def test_the_page_shows_it(house: People) -> None:
    with house.signed_in(Role.OWNER) as browser:
        browser.get("/people")
        house.doors.accesses.flush()
        page = browser.get("/audit?who=user:owner")
        assert page.status_code == 200
        assert "/people" in page.text
        csv = browser.get("/audit.csv?kind=deed")
        assert csv.status_code == 200
        assert csv.text.splitlines()[0].startswith("at,who,what")


def test_a_long_query_is_kept_by_its_beginning_and_digest(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        log = AccessLog(books, 30)
        log.note(access(actor="a", kind="page", path="/x", outcome="ok", query="q" * 5000))
        log.close()
        (row,) = rows(books)
        assert len(row.query) == 200
        assert len(row.query_sha256) == 64


def test_what_is_written_stays_as_it_is(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        log = AccessLog(books, 30)
        log.note(access(actor="a", kind="page", path="/x", outcome="ok"))
        log.close()
        for statement in (
            "UPDATE accesses SET actor = 'b'", "DELETE FROM accesses",
            "INSERT OR REPLACE INTO accesses SELECT * FROM accesses",
        ):  # fmt: skip
            with (
                pytest.raises((BooksError, sa.exc.IntegrityError), match="accesses are"),
                books.write() as connection,
            ):
                connection.exec_driver_sql(statement)
        assert [row.actor for row in rows(books)] == ["a"]


def test_what_is_old_goes_and_what_is_not_stays(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        now_ns = clock.unix_ns()
        with books.write() as connection:
            for days in (0, 39, 41, 500):
                row = {"at_ns": now_ns - days * DAY_NS, "actor": str(days), "kind": "page",
                       "path": "/", "outcome": "ok", "address": ""}  # fmt: skip
                connection.execute(accesses.insert().values(row))
        log = AccessLog(books, 40)
        log._clean()
        assert [row.actor for row in rows(books)] == ["0", "39"]
        log.close()


def test_a_clean_stop_loses_nothing(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        log = AccessLog(books, 30)
        log.start()

        def note(name: str) -> None:
            for number in range(500):
                log.note(access(actor=name, kind="page", path=f"/{number}", outcome="ok"))

        threads = [threading.Thread(target=note, args=(str(one),)) for one in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        log.close()
        found = rows(books)
        assert len(found) == 2000
        for name in ("0", "1", "2", "3"):
            own = [row.path for row in found if row.actor == name]
            assert own == [f"/{number}" for number in range(500)]


def test_while_the_disk_refuses_things_wait_and_a_gap_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_books(tmp_path) as books:
        log = AccessLog(books, 30, queue_max=5)
        real = type(books).write

        def refuse(_: object) -> None:
            raise BooksError(tmp_path, "database is locked", "try again")

        monkeypatch.setattr(type(books), "write", refuse)
        log.note(access(actor="first", kind="page", path="/", outcome="ok"))
        with pytest.raises(BooksError):
            log.flush()
        for number in range(8):
            log.note(access(actor=str(number), kind="page", path="/", outcome="ok"))
        with pytest.raises(BooksError):
            log.flush()
        monkeypatch.setattr(type(books), "write", real)
        log.close()
        found = rows(books)
        assert [row.actor for row in found if row.kind == "page"] == ["first", *map(str, range(5))]
        assert [row.query for row in found if row.kind == "gap"] == ["3 accesses were not recorded"]


def test_strangers_do_not_fill_the_log(house: People) -> None:
    with house.client(headers={"x-forwarded-for": "198.51.100.1"}) as nobody:
        for _ in range(40):
            nobody.get("/api/v1/spend")
    found = seen(house, who="nobody", outcome="denied", limit=1000)
    assert 1 <= len([one for one in found if one["address"] == "198.51.100.1"]) <= 25


def test_what_is_seen_is_not_recorded_where_that_is_off(tmp_path: Path) -> None:
    with people(tmp_path, console={"access_log": False}) as quiet:
        with quiet.signed_in(Role.VIEWER) as browser:
            browser.get("/account")
            browser.get("/people")
        found = [(one["path"], one["outcome"]) for one in seen(quiet, kind="seen")]
    assert found == [("/people", "denied")]
