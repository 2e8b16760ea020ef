"""Signing in and out over HTTP: cookies, rotation, forms, throttling, links."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from tests.people.people_kit import LIVES, PASSWORD, People, form_of, log_in, people

from tollbook.desk.permits import Role
from tollbook.people.accounts import add_account, found_account, set_password, set_role
from tollbook.people.links import make_password_link, make_setup_link
from tollbook.people.sessions import begin_session, list_sessions
from tollbook.people.throttle import BY_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx


def test_a_stranger_is_sent_to_the_login_page_and_back(house: People) -> None:
    with house.client() as browser:
        away = browser.get("/?since=7d", headers={"accept": "text/html"})
        assert away.status_code == 303
        assert away.headers["location"] == "/login?next=%2F%3Fsince%3D7d"
        assert browser.get("/", headers={"accept": "*/*"}).status_code == 401
        assert browser.get("/api/v1/spend", headers={"accept": "text/html"}).status_code == 401
        fields = form_of(browser, away.headers["location"])
        assert fields["next"] == "/?since=7d"
        done = browser.post("/login", data=fields | {"name": "anna", "password": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (303, "/?since=7d")
        assert browser.get("/account").status_code == 200


def test_the_session_cookie_is_out_of_reach(house: People) -> None:
    with house.client() as browser:
        done = log_in(browser, "Anna ", PASSWORD)
    cookie = done.headers["set-cookie"]
    assert cookie.startswith("tollbook-session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie  # plain HTTP on this machine; see the next one
    assert "domain" not in cookie.lower()
    assert done.headers["cache-control"] == "no-store"


def test_over_https_the_cookie_belongs_to_this_host_alone(house: People) -> None:
    forwarded = {"x-forwarded-proto": "https"}
    with house.client(headers=forwarded) as browser:
        page = browser.get("/login")
        assert page.headers["set-cookie"].startswith("__Host-tollbook-form=")
        assert "; Secure" in page.headers["set-cookie"]
        bound = page.headers["set-cookie"].partition(";")[0]
        token = page.text.split('name="csrf_token" value="')[1].partition('"')[0]
        done = browser.post(
            "/login", headers={"cookie": bound},
            data={"csrf_token": token, "name": "anna", "password": PASSWORD},
        )  # fmt: skip
    assert done.status_code == 303
    cookie = done.headers["set-cookie"]
    assert cookie.startswith("__Host-tollbook-session=")
    assert "; Secure" in cookie
    # A cookie that a plain page could have set does not count where the page is not plain.
    value = cookie.partition("=")[2].partition(";")[0]
    with house.client(headers=forwarded | {"cookie": f"tollbook-session={value}"}) as browser:
        assert browser.get("/account.json").status_code == 401
    with house.client(
        headers=forwarded | {"cookie": f"__Host-tollbook-session={value}"}
    ) as browser:
        assert browser.get("/account.json").status_code == 200


def test_nobody_signs_in_over_a_line_that_others_read(house: People) -> None:
    with house.client(headers={"host": "tollbook.lan:8081"}) as browser:
        page = browser.get("/login")
        assert 'name="password"' not in page.text
        assert "Not over this line" in page.text
        refused = browser.post("/login", data={"name": "anna", "password": PASSWORD})
        assert refused.status_code == 403


def test_signing_in_gives_a_new_id_and_ends_the_one_before(house: People) -> None:
    account = found_account(house.books, "anna")
    known = begin_session(
        house.books, account.account_id, method="password", address="", agent="", lives=LIVES
    )
    with house.client(cookies={"tollbook-session": known}) as fixed:
        assert fixed.get("/account.json").status_code == 200
    with house.client() as browser:
        first = log_in(browser, "anna", PASSWORD).cookies["tollbook-session"]
        second = log_in_again(browser)
        assert len({known, first, second}) == 3
    with house.client(cookies={"tollbook-session": first}) as old:
        assert old.get("/account.json").status_code == 401


def log_in_again(browser: httpx.Client) -> str:
    """Sign in once more in a browser that has a session."""
    session = browser.cookies.get("tollbook-session")
    browser.cookies.delete("tollbook-session")
    fields = form_of(browser, "/login") | {"name": "anna", "password": PASSWORD}
    browser.cookies.set("tollbook-session", session or "")
    done = browser.post("/login", data=fields)
    assert done.status_code == 303
    return done.cookies["tollbook-session"]


def test_signing_out_ends_the_session_and_needs_our_own_form(house: People) -> None:
    with house.client() as browser:
        session = log_in(browser, "anna", PASSWORD).cookies["tollbook-session"]
        assert browser.post("/login/out", data={}).status_code == 403
        assert browser.get("/account.json").status_code == 200
        fields = form_of(browser, "/account")
        out = browser.post("/login/out", data=fields)
        assert (out.status_code, out.headers["location"]) == (303, "/login/bye")
        assert "Max-Age=0" in out.headers["set-cookie"]
        assert "signed out" in browser.get("/login/bye").text
    with house.client(cookies={"tollbook-session": session}) as browser:
        assert browser.get("/account.json").status_code == 401


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(house: People, target: str) -> None:
    with house.client() as browser:
        done = log_in(browser, "anna", PASSWORD, next=target)
    assert (done.status_code, done.headers["location"]) == (303, "/")


def test_what_was_wrong_is_not_told(house: People) -> None:
    add_account(house.books, name="gone", role=Role.VIEWER, password=PASSWORD, actor="test")
    from tollbook.people.accounts import set_disabled  # noqa: PLC0415 -- only here

    set_disabled(house.books, "gone", is_disabled=True, actor="test")
    add_account(house.books, name="single", role=Role.VIEWER, issuer="i", subject="s", actor="t")
    said = set()
    for name, password in [
        ("anna", "wrong"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("single", ""),
    ]:
        with house.client() as browser:
            answer = log_in(browser, name, password)
            assert answer.status_code == 401
            assert not answer.cookies.get("tollbook-session")
            said.add(answer.text.split('role="alert">')[1].partition("<")[0])
    assert len(said) == 1


def test_forms_that_were_not_made_for_this_browser_are_refused(house: People) -> None:
    good = {"name": "anna", "password": PASSWORD}
    with house.client() as browser, house.client() as other:
        theirs = form_of(other, "/login")
        form_of(browser, "/login")
        assert browser.post("/login", data=theirs | good).status_code == 403
        assert browser.post("/login", data=good).status_code == 403
        mine = form_of(browser, "/login")
        for header in (
            {"origin": "https://evil.example"}, {"origin": "null"},
            {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        ):  # fmt: skip
            assert browser.post("/login", data=mine | good, headers=header).status_code == 403
        own = {"origin": house.url, "sec-fetch-site": "same-origin"}
        assert browser.post("/login", data=mine | good, headers=own).status_code == 303


def test_other_sites_cannot_use_a_session(house: People) -> None:
    with house.signed_in(Role.OWNER) as browser:
        body = {"name": "made-by-force", "role": "owner"}
        for header in ({}, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}):
            assert browser.post("/api/v1/people", json=body, headers=header).status_code == 403
        own = {"origin": house.url}
        made = browser.post("/api/v1/people", json=body | {"role": "viewer"}, headers=own)
        assert made.status_code == 200
        form = {"name": "by-form", "role": "viewer"}
        assert browser.post("/do/people.add", data=form).status_code == 403  # no token
        token = form_of(browser, "/people")
        evil = {"origin": "https://evil.example"}
        assert browser.post("/do/people.add", data=token | form, headers=evil).status_code == 403
        assert browser.post("/do/people.add", data=token | form).status_code == 200
    with house.signed_in(Role.OWNER, "second-owner") as browser:
        # A token of another session is worth nothing.
        assert (
            browser.post(
                "/do/people.add", data=token | {"name": "x1", "role": "viewer"}
            ).status_code
            == 403
        )


def test_failures_are_throttled_by_account_and_told_how_long(house: People) -> None:
    add_account(house.books, name="target", role=Role.VIEWER, password=PASSWORD, actor="test")
    with house.client() as browser:
        fields = form_of(browser, "/login") | {"name": "target", "password": "a guess"}
        codes = [browser.post("/login", data=fields).status_code for _ in range(BY_ACCOUNT.burst)]
        assert set(codes) == {401}
        last = browser.post("/login", data=fields | {"password": PASSWORD})
        assert last.status_code == 429
        assert 1 <= int(last.headers["retry-after"]) <= 60
        # Others are not kept out.
        assert log_in(browser, "anna", PASSWORD).status_code == 303


def test_a_link_sets_a_password_once(house: People) -> None:
    account = add_account(house.books, name="newcomer", role=Role.VIEWER, actor="test")
    first = make_password_link(house.books, account)
    link = make_password_link(house.books, account)
    with house.client() as browser:
        assert browser.get(f"/login/link?token={first}").status_code == 410  # the later one counts
        fields = form_of(browser, f"/login/link?token={link}")
        assert fields["token"] == link
        short = browser.post("/login/link", data=fields | {"password": "short"})
        assert short.status_code == 422
        assert "at least 12 characters" in short.text
        done = browser.post("/login/link", data=fields | {"password": "a long new password"})
        assert done.status_code == 303
        assert browser.get("/account").status_code == 200
        assert browser.post("/login/link", data=fields | {"password": PASSWORD}).status_code == 410
    with house.client() as browser:
        assert log_in(browser, "newcomer", "a long new password").status_code == 303


def test_the_first_owner_is_made_by_a_link_and_only_the_first(tmp_path: Path) -> None:
    with people(tmp_path) as fresh:
        secret = make_setup_link(fresh.books)
        assert secret is not None
        with fresh.client() as browser:
            assert "There is no account yet" in browser.get("/login").text
            elsewhere = {"x-forwarded-for": "203.0.113.7"}
            assert browser.get(f"/login/link?token={secret}", headers=elsewhere).status_code == 410
            fields = form_of(browser, f"/login/link?token={secret}")
            done = browser.post(
                "/login/link", data=fields | {"name": "root@example.org", "password": PASSWORD}
            )
            assert done.status_code == 303
            assert browser.get("/people").status_code == 200
            again = browser.post(
                "/login/link", data=fields | {"name": "second", "password": PASSWORD}
            )
            assert again.status_code == 410
        assert found_account(fresh.books, "root@example.org").role is Role.OWNER
        assert make_setup_link(fresh.books) is None


def test_all_sessions_end_when_the_password_or_the_role_changes(house: People) -> None:
    add_account(house.books, name="moved", role=Role.ENGINEER, password=PASSWORD, actor="test")
    account_id = found_account(house.books, "moved").account_id
    changes: list[Callable[[], object]] = [
        lambda: set_password(house.books, "moved", "another long password", actor="test"),
        lambda: set_role(house.books, "moved", Role.VIEWER, actor="test"),
    ]
    for change in changes:
        browsers = [house.signed_in(Role.ENGINEER, "moved") for _ in range(2)]
        assert [one.get("/account.json").status_code for one in browsers] == [200, 200]
        change()
        assert [one.get("/account.json").status_code for one in browsers] == [401, 401]
        assert all(one.ended_at_ns for one in list_sessions(house.books, account_id))
        for one in browsers:
            one.close()


def test_one_changes_ones_own_password_with_the_old_one(house: People) -> None:
    add_account(house.books, name="self", role=Role.VIEWER, password=PASSWORD, actor="test")
    with house.client() as browser:
        log_in(browser, "self", PASSWORD)
        fields = form_of(browser, "/account") | {"new_password": "the next long password"}
        wrong = browser.post("/do/account.password", data=fields | {"current_password": "guess"})
        assert wrong.status_code == 422
        done = browser.post("/do/account.password", data=fields | {"current_password": PASSWORD})
        assert done.status_code == 303
        assert browser.get("/account.json").status_code == 401
        assert log_in(browser, "self", "the next long password").status_code == 303


def test_nothing_that_opens_anything_is_on_disk(house: People) -> None:
    with house.client() as browser:
        session = log_in(browser, "anna", PASSWORD).cookies["tollbook-session"]
        fields = form_of(browser, "/account") | {
            "current_password": PASSWORD,
            "new_password": PASSWORD,
        }
        browser.post("/do/account.password", data=fields)
    with house.signed_in(Role.OWNER) as browser:
        form = form_of(browser, "/people/tokens") | {"label": "on-disk", "permits[]": "spend:read"}
        shown = browser.post("/do/tokens.create", data=form).text
        token = "tb_api_" + shown.split("tb_api_")[1].partition("<")[0]
        form = form_of(browser, "/people") | {"name": "linked", "role": "viewer"}
        shown = browser.post("/do/people.add", data=form).text
        link = shown.split("/login/link?token=")[1].partition("<")[0]
        made = browser.post(
            "/api/v1/people", headers={"origin": house.url},
            json={"name": "with-password", "role": "viewer", "password": "spelt out in a request"},
        )  # fmt: skip
        assert made.status_code == 200
    house.doors.accesses.flush()
    with sqlite3.connect(house.data_dir / "books.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    kept = b"".join(path.read_bytes() for path in house.data_dir.glob("books.sqlite*"))
    assert b"with-password" in kept
    for secret in (session, token, link, PASSWORD, "spelt out in a request"):
        assert secret.encode() not in kept
