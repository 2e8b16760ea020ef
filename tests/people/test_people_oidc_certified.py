"""Sign in for real at a certified provider, by its own pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from tests.people.oidc_kit import SECRET, Certified, certified_provider, free_port
from tests.people.people_kit import TOKEN, People, form_of, people

from tollbook.desk.permits import Role
from tollbook.people.accounts import account_of_subject, list_accounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

STEPS_MAX = 12


class Single(NamedTuple):
    """A console and its provider."""

    console: People
    provider: Certified


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Single]:
    """A console whose people sign in at a provider."""
    port, provider_port = free_port(), free_port()
    with certified_provider(f"http://127.0.0.1:{port}", provider_port) as provider:
        oidc = {
            "issuer": provider.issuer, "client_id": "tollbook", "client_secret_env": "OIDC_SECRET",
            "scopes": ["openid", "email", "groups"], "label": "Example ID",
            "roles": {"finance-team": "finance", "platform": "engineer", "admins": "owner"},
        }  # fmt: skip
        data = tmp_path_factory.mktemp("single")
        with people(data, {"OIDC_SECRET": SECRET}, port=port, oidc=oidc) as served:
            yield Single(served, provider)


def go_through(browser: httpx.Client, url: str, login: str) -> httpx.Response:
    """Follow the provider's redirects and forms; return the console's answer to what came back."""
    for _ in range(STEPS_MAX):
        if "/login/oidc/callback" in url:
            return browser.get(url)
        page = browser.get(url)
        if page.status_code in (302, 303):
            url = urljoin(url, page.headers["location"])
            continue
        assert page.status_code == 200, page.text
        action = re.search(r'action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
        assert action is not None
        assert prompt is not None, page.text
        fields = {"prompt": prompt[1]}
        if prompt[1] == "login":
            fields |= {"login": login, "password": "any"}
        sent = browser.post(urljoin(url, action[1]), data=fields)
        url = urljoin(url, sent.headers["location"])
    raise AssertionError("the provider never sent the browser back")


def sign_in(single: Single, browser: httpx.Client, login: str, path: str = "/") -> httpx.Response:
    """Sign in through the provider; ``login`` is NAME:GROUP,GROUP."""
    name, _, groups = login.partition(":")
    single.provider.put_in(name, *groups.split(","))
    begun = browser.get(f"/login/oidc?next={path}")
    assert begun.status_code == 303
    return go_through(browser, begun.headers["location"], name)


def test_somebody_signs_in_with_the_role_of_the_groups(single: Single) -> None:
    with single.console.client() as browser:
        assert "Sign in with Example ID" in browser.get("/login").text
        done = sign_in(single, browser, "alice:finance-team,others", "/account")
        assert (done.status_code, done.headers["location"]) == (303, "/account")
        assert done.cookies.get("tollbook-session")
        page = browser.get("/account").text
        assert "alice@example.org, finance" in page
        assert browser.get("/people").status_code == 403
    made = {one.name: one for one in list_accounts(single.console.books)}["alice@example.org"]
    assert (made.role, made.has_password) == (Role.FINANCE, False)
    assert made.issuer is not None
    assert account_of_subject(single.console.books, made.issuer, "alice") == made


def test_the_account_is_the_same_the_next_time_with_another_role(single: Single) -> None:
    for groups, role in (("platform", Role.ENGINEER), ("finance-team,admins", Role.OWNER)):
        with single.console.client() as browser:
            assert sign_in(single, browser, f"bob:{groups}").status_code == 303
        found = [
            one for one in list_accounts(single.console.books) if one.name == "bob@example.org"
        ]
        assert [one.role for one in found] == [role]


def test_whoever_is_in_no_group_is_told_so(single: Single) -> None:
    with single.console.client() as browser:
        refused = sign_in(single, browser, "mallory:others")
        assert refused.status_code == 403
        assert "no group that may sign in" in refused.text
        assert browser.get("/account.json").status_code == 401
    assert "mallory@example.org" not in {one.name for one in list_accounts(single.console.books)}


def test_an_answer_counts_in_the_browser_that_asked_and_once(single: Single) -> None:
    with single.console.client() as victim, single.console.client() as attacker:
        single.provider.put_in("eve", "platform")
        begun = attacker.get("/login/oidc")
        url = begun.headers["location"]
        # The attacker stops before the last step and has the victim's browser take it.
        for _ in range(STEPS_MAX):
            if "/login/oidc/callback" in url:
                break
            page = attacker.get(url)
            if page.status_code in (302, 303):
                url = urljoin(url, page.headers["location"])
                continue
            action = re.search(r'action="([^"]+)"', page.text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
            assert action
            assert prompt
            fields = {"prompt": prompt[1], "login": "eve", "password": "x"}
            url = urljoin(
                url, attacker.post(urljoin(url, action[1]), data=fields).headers["location"]
            )
        assert victim.get(url).status_code == 400
        victim.get("/login/oidc")  # also while it is signing in itself
        assert victim.get(url).status_code == 400
        assert victim.get("/account.json").status_code == 401
        assert attacker.get(url).status_code == 303
        assert attacker.get(url).status_code == 400  # a code is good for once


def test_a_session_that_was_planted_before_does_not_live_on(single: Single) -> None:
    with single.console.signed_in(Role.VIEWER, "planted") as browser:
        planted = browser.cookies["tollbook-session"]
        assert sign_in(single, browser, "carol:platform").status_code == 303
    with single.console.client(cookies={"tollbook-session": planted}) as other:
        assert other.get("/account.json").status_code == 401


def test_signing_out_offers_the_providers_too(single: Single) -> None:
    with single.console.client() as browser:
        sign_in(single, browser, "dave:platform")
        browser.post("/login/out", data=form_of(browser, "/account"))
        bye = browser.get("/login/bye").text
        found = re.search(r'href="(http://127[^"]+/session/end[^"]*)"', bye)
        assert found is not None
        url = found[1].replace("&amp;", "&")
        asked = parse_qs(urlsplit(url).query)
        assert asked["client_id"] == ["tollbook"]
        assert browser.get(url).status_code == 200  # the provider asks whether one means it


def test_no_code_and_no_token_is_kept(single: Single) -> None:
    with single.console.client() as browser:
        done = sign_in(single, browser, "frank:platform")
        code = parse_qs(urlsplit(str(done.request.url)).query)["code"][0]
    single.console.doors.accesses.flush()
    with single.console.books.write() as connection:
        connection.exec_driver_sql("SELECT 1")
    kept = b"".join(path.read_bytes() for path in single.console.data_dir.glob("books.sqlite*"))
    assert b"frank@example.org" in kept
    for secret in (code, SECRET, TOKEN):
        assert secret.encode() not in kept
