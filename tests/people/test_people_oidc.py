"""What is checked of a provider's answer, one lie at a time."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from joserfc.jwk import RSAKey
from tests.people.oidc_kit import SECRET, Liar, liar, shared_secret_key

from tollbook import clock
from tollbook.books.store import open_books
from tollbook.config.people import Oidc
from tollbook.desk.permits import Role
from tollbook.people.accounts import add_account, set_disabled, set_role
from tollbook.people.errors import LastOwnerError, OidcError, SignInError
from tollbook.people.oidc import OidcClient, Person, Started
from tollbook.people.oidc_accounts import account_for, role_of
from tollbook.people.oidc_provider import check_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACK = "http://127.0.0.1:1/login/oidc/callback"
HOUR_NS = 3600 * clock.NS_PER_S


@pytest.fixture
def bent() -> Iterator[Liar]:
    with liar() as provider:
        yield provider


def begun(bent: Liar, **settings: Any) -> tuple[OidcClient, Started, dict[str, str]]:
    """Begin to sign in; return what the provider will send the browser back with."""
    given = {"issuer": bent.issuer, "client_id": "tollbook", "client_secret_env": "OIDC_SECRET"}
    client = OidcClient(msgspec.convert(given | settings, Oidc), {"OIDC_SECRET": SECRET})
    url, started = client.begin(BACK, "/", clock.unix_ns() + HOUR_NS)
    asked = parse_qs(urlsplit(url).query)
    bent.nonce = asked["nonce"][0]
    return client, started, {"code": "the code", "state": asked["state"][0]}


def test_an_honest_answer_signs_in(bent: Liar) -> None:
    client, started, answer = begun(bent)
    person = client.finish(started, answer)
    assert (person.issuer, person.subject) == (bent.issuer, "alice")
    path, body = next(one for one in bent.asked if one[0] == "/token")
    assert path == "/token"
    assert body["code_verifier"] == [started.verifier]
    assert body["redirect_uri"] == [BACK]
    basic = base64.b64decode(body["authorization"][0].removeprefix("Basic ")).decode()
    assert basic.startswith("tollbook:a%20secret")


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another nonce": ({"nonce": "another"}, "answers another sign-in"),
    "no nonce": ({"nonce": None}, "answers another sign-in"),
    "another audience": ({"aud": "another"}, "meant for another client"),
    "several audiences and no party": ({"aud": ["tollbook", "another"]}, "meant for another"),
    "another party": ({"azp": "another"}, "given to another client"),
    "another issuer": ({"iss": "https://another.example"}, "another issuer"),
    "expired": ({"exp": 1_000_000_000}, "has expired"),
    "no expiry": ({"exp": None}, "has no exp"),
    "expiry that is no number": ({"exp": "tomorrow"}, "has no exp"),
    "of the future": ({"iat": 99_999_999_999}, "of the future"),
    "not yet": ({"nbf": 99_999_999_999}, "of the future"),
    "nobody": ({"sub": ""}, "names nobody"),
    "no subject": ({"sub": None}, "names nobody"),
    "a long subject": ({"sub": "a" * 256}, "names nobody"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_token_that_lies_is_refused(bent: Liar, name: str) -> None:
    client, started, answer = begun(bent)
    bent.claims, said = LIES[name]
    with pytest.raises(OidcError, match=said):
        client.finish(started, answer)


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token with alg none."""
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, claims)
    )
    return ".".join([*parts, ""])


def test_no_signature_is_no_token(bent: Liar) -> None:
    client, started, answer = begun(bent)
    bent.raw_token = unsigned(bent.good_claims())
    with pytest.raises(OidcError, match="signature"):
        client.finish(started, answer)


def test_a_shared_secret_or_another_key_signs_nothing(bent: Liar) -> None:
    client, started, answer = begun(bent)
    bent.header, bent.signed_with = {"alg": "HS256"}, shared_secret_key()
    bent.published = [bent.key, shared_secret_key()]
    with pytest.raises(OidcError, match="signature"):
        client.finish(started, answer)
    bent.header = {"alg": "RS256", "kid": "one"}
    bent.signed_with = RSAKey.generate_key(2048, parameters={"kid": "one"})
    with pytest.raises(OidcError, match="signature"):
        client.finish(started, answer)
    bent.signed_with, bent.header = None, {"alg": "RS512", "kid": "one"}  # good, but not allowed
    with pytest.raises(OidcError, match="signature"):
        client.finish(started, answer)


def test_a_new_key_is_found_but_forgeries_do_not_make_us_ask_all_the_time(
    bent: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, started, answer = begun(bent)
    client.finish(started, answer)
    old = bent.key
    bent.key = RSAKey.generate_key(2048, parameters={"kid": "two"})
    bent.published, bent.header = [bent.key], {"alg": "RS256", "kid": "two"}
    later_ns = clock.monotonic_ns() + 60 * clock.NS_PER_S
    monkeypatch.setattr(clock, "monotonic_ns", lambda: later_ns)
    assert client.finish(started, answer).subject == "alice"
    asked = sum(path == "/keys" for path, _ in bent.asked)
    bent.signed_with = old
    for _ in range(5):
        with pytest.raises(OidcError, match="signature"):
            client.finish(started, answer)
    assert sum(path == "/keys" for path, _ in bent.asked) == asked


def test_an_answer_to_another_request_is_refused(bent: Liar) -> None:
    client, started, answer = begun(bent)
    for wrong, said in (
        ({"state": "another"}, "another sign-in"), ({"code": ""}, "no code"),
        ({"iss": "https://mixed.up"}, "another provider"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "<script>"}, r"refused: \?"),
    ):  # fmt: skip
        with pytest.raises(OidcError, match=said):
            client.finish(started, answer | wrong)
    late = msgspec.structs.replace(started, until_ns=clock.unix_ns() - 1)
    with pytest.raises(OidcError, match="too long"):
        client.finish(late, answer)


def test_a_provider_that_says_it_names_itself_must(bent: Liar) -> None:
    bent.metadata = {"authorization_response_iss_parameter_supported": True}
    client, started, answer = begun(bent)
    with pytest.raises(OidcError, match="another provider"):
        client.finish(started, answer)
    assert client.finish(started, answer | {"iss": bent.issuer}).subject == "alice"


def test_userinfo_about_somebody_else_is_worth_nothing(bent: Liar) -> None:
    bent.userinfo = {"sub": "alice", "groups": ["admins"], "department": "x"}
    client, started, answer = begun(bent)
    claims = client.finish(started, answer).claims
    assert claims["department"] == "x"
    assert claims["groups"] == ["staff"]  # what is signed goes first
    bent.userinfo = {"sub": "mallory"}
    with pytest.raises(OidcError, match="somebody else"):
        client.finish(started, answer)


def test_a_provider_is_who_the_settings_name_and_has_https(bent: Liar) -> None:
    bent.metadata = {"issuer": "https://another.example"}
    with pytest.raises(OidcError, match="must agree"):
        begun(bent)
    bent.metadata = {"token_endpoint": "http://another.example/token"}
    with pytest.raises(OidcError, match="https is needed"):
        begun(bent)
    for url in ("http://example.org", "ftp://localhost/x", "https://", "nonsense", "http://[::1"):
        with pytest.raises(OidcError):
            check_url(url)


def test_a_secret_that_is_not_there_is_said(bent: Liar) -> None:
    client, started, answer = begun(bent, client_secret_env="UNSET_VARIABLE")
    with pytest.raises(OidcError, match="UNSET_VARIABLE"):
        client.finish(started, answer)


def person(**claims: Any) -> Person:
    given = {"email": "alice@example.org", "email_verified": True, "groups": ["staff"]}
    return Person(issuer="https://id.example", subject="alice", claims=given | claims)


SETTINGS = Oidc(issuer="https://id.example", roles={"admins": "owner", "staff": "engineer"})


def test_groups_give_roles_at_every_sign_in(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        add_account(books, name="root", role=Role.OWNER, actor="test")
        assert account_for(books, SETTINGS, person()).role is Role.ENGINEER
        up = account_for(books, SETTINGS, person(groups=["staff", "admins"], email="new@name.org"))
        assert (up.role, up.name) == (Role.OWNER, "alice@example.org")  # told by the subject
        assert account_for(books, SETTINGS, person(groups="staff")).role is Role.ENGINEER
        with pytest.raises(SignInError, match="no group"):
            account_for(books, SETTINGS, person(groups=["others"]))
        set_disabled(books, "alice@example.org", is_disabled=True, actor="test")
        with pytest.raises(SignInError, match="disabled"):
            account_for(books, SETTINGS, person())


def test_groups_do_not_take_the_last_owner(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        account_for(books, SETTINGS, person(groups=["admins"]))
        with pytest.raises(LastOwnerError):
            account_for(books, SETTINGS, person(groups=["staff"]))


def test_a_local_account_is_not_taken_over_by_its_name(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        add_account(books, name="alice@example.org", role=Role.OWNER, actor="test")
        with pytest.raises(SignInError, match="tollbook people link"):
            account_for(books, SETTINGS, person())
        for wrong in (
            {"email_verified": False},
            {"email_verified": "true"},
            {"email": None},
            {"email": "a b"},
        ):
            with pytest.raises(SignInError):
                account_for(books, SETTINGS, person(**({"email": "x@y.org"} | wrong)))


def test_a_tenants_account_stays_a_tenants(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        add_account(books, name="root", role=Role.OWNER, actor="test")
        account_for(books, SETTINGS, person())
        set_role(books, "alice@example.org", Role.TENANT, "acme", actor="test")
        found = account_for(books, SETTINGS, person(groups=["admins"]))
        assert (found.role, found.tenant_id) == (Role.TENANT, "acme")


@pytest.mark.parametrize("groups", [None, 7, {"admins": 1}, [["admins"]], "nothing"])
def test_odd_groups_give_nothing(groups: Any) -> None:
    assert role_of(SETTINGS, {"groups": groups}) is None
    assert role_of(msgspec.structs.replace(SETTINGS, default_role="viewer"), {}) is Role.VIEWER
