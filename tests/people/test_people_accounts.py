"""Accounts, tokens and keys: what can be made of them, and what cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.people.people_kit import PASSWORD, People, form_of

from tollbook import clock
from tollbook.books.events import list_events
from tollbook.books.signing_keys import signing_key
from tollbook.books.store import open_books
from tollbook.cli.main import cli
from tollbook.desk.permits import Role
from tollbook.people import accounts, errors, links, tokens
from tollbook.people.shown import expiry_ns

if TYPE_CHECKING:
    from pathlib import Path


def test_names_are_one_for_ever(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        made = accounts.add_account(books, name=" Anna@Example.org ", role=Role.OWNER, actor="t")
        assert made.name == "anna@example.org"
        with pytest.raises(errors.NameTakenError):
            accounts.add_account(books, name="ANNA@example.org", role=Role.VIEWER, actor="t")
        with pytest.raises(errors.AccountNotFoundError):
            accounts.found_account(books, "bob")


@pytest.mark.parametrize("name", ["", " ", "a b", "<b>", "user:anna", "../x", "é", "a" * 300, "@x"])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    with open_books(tmp_path) as books, pytest.raises(errors.AccountInputError):
        accounts.add_account(books, name=name, role=Role.VIEWER, actor="t")


def test_a_tenant_goes_with_the_role_and_the_role_with_a_tenant(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        for role, tenant in ((Role.TENANT, None), (Role.VIEWER, "acme"), (Role.TENANT, "a\nb")):
            with pytest.raises(errors.AccountInputError):
                accounts.add_account(books, name="x1", role=role, tenant_id=tenant, actor="t")
        made = accounts.add_account(books, name="x1", role=Role.TENANT, tenant_id="acme", actor="t")
        principal = made.principal("digest")
        assert (principal.name, principal.tenant, principal.session) == (
            "user:x1",
            "acme",
            "digest",
        )
        for role, tenant in ((Role.TENANT, None), (Role.VIEWER, "acme")):
            with pytest.raises(errors.AccountInputError):
                accounts.set_role(books, "x1", role, tenant, actor="t")


def test_there_is_always_an_owner_who_can_sign_in(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        accounts.add_account(books, name="one", role=Role.OWNER, actor="t")
        accounts.add_account(books, name="two", role=Role.OWNER, actor="t")
        accounts.set_disabled(books, "two", is_disabled=True, actor="t")
        with pytest.raises(errors.LastOwnerError):
            accounts.set_role(books, "one", Role.VIEWER, actor="t")
        with pytest.raises(errors.LastOwnerError):
            accounts.set_disabled(books, "one", is_disabled=True, actor="t")
        accounts.set_role(books, "two", Role.VIEWER, actor="t")  # it could not sign in anyway
        accounts.set_role(books, "two", Role.OWNER, actor="t")
        accounts.set_disabled(books, "two", is_disabled=False, actor="t")
        accounts.set_role(books, "one", Role.VIEWER, actor="t")


def test_whatever_is_done_to_people_is_in_the_audit_trail(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        accounts.add_account(books, name="one", role=Role.OWNER, password=PASSWORD, actor="a")
        accounts.set_password(books, "one", "another long password", actor="b")
        accounts.add_account(books, name="two", role=Role.OWNER, actor="a")
        accounts.set_role(books, "two", Role.VIEWER, actor="c")
        accounts.set_disabled(books, "two", is_disabled=True, actor="d")
        accounts.set_subject(books, "two", "https://id", "s", actor="e")
        tokens.create_token(books, label="ci", permits=["spend"], actor="f")
        tokens.revoke_token(books, "ci", actor="g")
        found = [(one.actor, one.action) for one in reversed(list_events(books))]
        assert found == [
            ("a", "account.created"), ("b", "account.password-changed"), ("a", "account.created"),
            ("c", "account.role-changed"), ("d", "account.disabled"), ("e", "account.linked"),
            ("f", "token.created"), ("g", "token.revoked"),
        ]  # fmt: skip
        assert PASSWORD not in str(list_events(books))


@pytest.mark.parametrize(
    "given",
    [
        {"permits": []}, {"permits": ["everything"]}, {"permits": ["spend:delete"]},
        {"permits": ["portal:read"]}, {"permits": ["spend:read"], "tenant_id": "acme"},
        {"permits": ["spend"], "label": "a b"}, {"permits": ["spend"], "expires_at_ns": 1},
        {"permits": [], "tenant_id": "a\nb"},
    ],
)  # fmt: skip
def test_tokens_that_make_no_sense_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with open_books(tmp_path) as books, pytest.raises(errors.AccountInputError):
        tokens.create_token(books, **({"label": "x", "actor": "t"} | given))


def test_a_link_is_used_by_one_only(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        account = accounts.add_account(books, name="one", role=Role.OWNER, actor="t")
        assert links.make_setup_link(books) is None
        secret = links.make_password_link(books, account)
        assert links.account_of_link(books, secret) == account
        links.use_link(books, secret)
        for try_it in (links.use_link, links.account_of_link):
            with pytest.raises(errors.SignInError):
                try_it(books, secret)


def test_a_link_grows_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_books(tmp_path) as books:
        secret = links.make_setup_link(books)
        assert secret is not None
        assert links.account_of_link(books, secret) is None
        later_ns = clock.unix_ns() + (links.SETUP_LIFE_S + 1) * 10**9
        monkeypatch.setattr(clock, "unix_ns", lambda: later_ns)
        with pytest.raises(errors.SignInError):
            links.account_of_link(books, secret)


def test_keys_that_sign_are_made_once(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        first = signing_key(books, "csrf")
        assert len(first) == 32
        assert signing_key(books, "another") != first
    with open_books(tmp_path) as books:
        assert signing_key(books, "csrf") == first


@given(st.text(max_size=30))
def test_no_text_of_a_person_is_a_defect(text: str) -> None:
    try:
        found = expiry_ns(text)
    except errors.AccountInputError:
        return
    assert isinstance(found, int)


def run(tmp_path: Path, *words: str, typed: str | None = None) -> Any:
    return CliRunner().invoke(cli, [*words, "--data", str(tmp_path)], input=typed)


def test_people_are_made_by_commands_before_there_is_a_ledger(tmp_path: Path) -> None:
    link = json.loads(run(tmp_path, "people", "setup").output)["link"]
    assert link.startswith("http://127.0.0.1:8081/login/link?token=")
    made = run(
        tmp_path,
        "people",
        "add",
        "anna",
        "--role",
        "owner",
        "--password-stdin",
        typed=f"{PASSWORD}\n",
    )
    assert made.exit_code == 0, made.output
    assert json.loads(made.output)["signs_in_with"] == "password"
    assert json.loads(run(tmp_path, "people", "setup").output)["link"] is None
    invited = run(tmp_path, "people", "add", "bob", "--role", "viewer", "--link")
    assert "/login/link?token=" in json.loads(invited.output)["link"]
    refused = run(tmp_path, "people", "add", "carol", "--role", "viewer")
    assert (refused.exit_code, "--password-stdin" in refused.output) == (2, True)
    linked = ("link", "bob", "--issuer", "https://id.example", "--subject", "7")
    for words in (("role", "bob", "finance"), ("disable", "bob"), ("enable", "bob"), linked):
        assert run(tmp_path, "people", *words).exit_code == 0, words
    last = run(tmp_path, "people", "disable", "anna")
    assert (last.exit_code, "last owner" in last.output) == (2, True)
    rows = json.loads(run(tmp_path, "people", "list").output)["rows"]
    assert [(one["name"], one["role"]) for one in rows] == [("anna", "owner"), ("bob", "finance")]
    made = run(
        tmp_path, "people", "tokens", "create", "ci", "--permit", "spend", "--expires", "90d"
    )
    assert json.loads(made.output)["token_shown_once"].startswith("tb_api_")
    assert run(tmp_path, "people", "tokens", "revoke", "ci").exit_code == 0
    assert "ci" in run(tmp_path, "people", "tokens", "list").output
    assert json.loads(run(tmp_path, "people", "sessions").output)["rows"] == []
    log = run(tmp_path, "people", "log", "--what", "account.", "--format", "csv").output
    assert log.splitlines()[0] == "at,who,what,outcome,path,detail,address"
    assert "account.disabled" in log
    assert PASSWORD not in log


def test_keys_are_made_shown_once_and_revoked_on_the_page(house: People) -> None:
    with house.signed_in(Role.ENGINEER) as browser:
        fields = form_of(browser, "/keys") | {
            "label": "my-app",
            "tenant": "acme",
            "models[]": "gpt-5*",
        }
        shown = browser.post("/do/keys.create", data=fields)
        assert shown.status_code == 200
        secret = shown.text.split("tb_")[1].partition("<")[0]
        page = browser.get("/keys")
        assert "my-app" in page.text
        assert secret not in page.text
        assert browser.post("/do/keys.revoke", data=fields | {"name": "my-app"}).status_code == 422
        revoked = browser.post(
            "/do/keys.revoke", data=form_of(browser, "/keys") | {"name": "my-app"}
        )
        assert revoked.status_code == 200  # the answer is shown, as the first form asks for
        rows = browser.get("/api/v1/keys").json()["rows"]
        assert [one["state"] for one in rows if one["label"] == "my-app"] == ["revoked"]
    with house.signed_in(Role.VIEWER) as browser:
        assert browser.get("/keys").status_code == 403


def test_who_has_signed_in_speaks_for_nobody_else(house: People) -> None:
    body = {"file": "x.csv", "text": "", "reason": "r", "author": "user:somebody-else"}
    with house.signed_in(Role.OWNER) as browser:
        refused = browser.post("/api/v1/terms/import", json=body, headers={"origin": house.url})
        assert refused.status_code == 400
        assert "you are user:owner@example.org" in refused.text
