from __future__ import annotations

import base64
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.portal.conftest import A, B

from tollbook import clock
from tollbook.books.records import FILE_NAME
from tollbook.books.store import open_books
from tollbook.console.portal import keys as keys_module
from tollbook.console.portal.errors import PortalTokenError
from tollbook.console.portal.keys import LIFETIME_MAX_S, add_key, signing_keys
from tollbook.console.portal.parts import Part
from tollbook.console.portal.revoking import issued_tokens, revoke
from tollbook.console.portal.tokens import TOKEN_CHARS_MAX, Issued, issue, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.books.store import Books

PARTS = (Part.USAGE, Part.BUDGET)
HOUR_NS = 3600 * clock.NS_PER_S


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    with open_books(tmp_path_factory.mktemp("books")) as opened:
        yield opened


@pytest.fixture(scope="module")
def made_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty books: migrating costs more than a test does."""
    path = tmp_path_factory.mktemp("template")
    open_books(path).close()
    return path / FILE_NAME


@pytest.fixture
def fresh(tmp_path: Path, made_books: Path) -> Iterator[Books]:
    copyfile(made_books, tmp_path / FILE_NAME)
    with open_books(tmp_path) as opened:
        yield opened


def later(monkeypatch: pytest.MonkeyPatch, ns: int) -> None:
    now_ns = clock.unix_ns() + ns
    monkeypatch.setattr(clock, "unix_ns", lambda: now_ns)


def test_a_token_says_whose_it_is_and_what_it_opens(books: Books) -> None:
    made = issue(books, A, PARTS, lifetime_s=60, author="anna")
    claims = verify(books, made.token)
    assert (claims.sub, claims.parts) == (A, PARTS)
    assert claims.exp - claims.iat == 60
    assert claims.aud == "tollbook-portal"


def test_a_token_that_has_expired_opens_nothing(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = issue(books, A, PARTS, lifetime_s=60)
    later(monkeypatch, 61 * clock.NS_PER_S)
    with pytest.raises(PortalTokenError, match="has expired"):
        verify(books, made.token)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), other=st.characters(codec="ascii"))
def test_a_token_with_one_letter_changed_opens_nothing_else(
    books: Books, at: int, other: str
) -> None:
    token = _one(books).token
    at %= len(token)
    changed = token[:at] + other + token[at + 1 :]
    if _bytes(changed) == _bytes(token):
        return  # the last letter of base64 has bits that mean nothing
    with pytest.raises(PortalTokenError):
        verify(books, changed)


_made: dict[int, Issued] = {}


def _one(books: Books) -> Issued:
    return _made.setdefault(id(books), issue(books, A, PARTS, lifetime_s=LIFETIME_MAX_S))


def _bytes(token: str) -> Any:
    try:
        return [
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
        ]
    except ValueError:
        return token


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=300))
def test_any_text_is_refused_in_words(books: Books, text: str) -> None:
    with pytest.raises(PortalTokenError):
        verify(books, text)


def _forged(books: Books, header: dict[str, Any] | None = None, **changed: Any) -> str:
    """Sign claims with our own key: what is checked beside the signature."""
    made = issue(books, A, PARTS, lifetime_s=60)
    key = signing_keys(books)[0]
    claims = msgspec.to_builtins(made.claims) | changed
    claims = {name: value for name, value in claims.items() if value is not None}
    head = {"alg": "HS256", "kid": key.kid} | (header or {})
    return jwt.encode(head, claims, OctKey.import_key(key.secret), algorithms=[head["alg"]])


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"}, {"iss": "somebody"}, {"sub": ""}, {"sub": None}, {"exp": None},
        {"parts": ["everything"]}, {"parts": None}, {"aud": ["tollbook-portal", "x"]},
        {"jti": None}, {"exp": 99_999_999_999}, {"iat": 0}, {"iat": "now"}, {"exp": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_claims_that_are_signed_but_wrong_open_nothing(
    books: Books, changed: dict[str, Any]
) -> None:
    assert verify(books, _forged(books)).sub == A
    with pytest.raises(PortalTokenError):
        verify(books, _forged(books, **changed))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_only_the_one_algorithm_is_accepted(books: Books, algorithm: str) -> None:
    with pytest.raises(PortalTokenError):
        verify(books, _forged(books, {"alg": algorithm}))


def test_a_token_without_a_signature_opens_nothing(books: Books) -> None:
    made = issue(books, A, PARTS)
    kid = signing_keys(books)[0].kid

    def part(what: object) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(what)).decode().rstrip("=")

    body = part(msgspec.to_builtins(made.claims))
    for head in ({"alg": "none", "kid": kid}, {"alg": "HS256", "kid": kid}, {"alg": "none"}):
        with pytest.raises(PortalTokenError):
            verify(books, f"{part(head)}.{body}.")


def test_a_huge_token_is_refused_before_it_is_read(books: Books) -> None:
    with pytest.raises(PortalTokenError, match="is not one"):
        verify(books, "a" * (TOKEN_CHARS_MAX + 1))


def test_a_token_of_other_books_opens_nothing_here(books: Books, fresh: Books) -> None:
    with pytest.raises(PortalTokenError, match="not in use"):
        verify(books, issue(fresh, A, PARTS).token)


def test_after_a_rotation_old_tokens_open_until_the_longest_could_have_expired(
    fresh: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = issue(fresh, A, PARTS, lifetime_s=LIFETIME_MAX_S)
    add_key(fresh, author=None)
    new = issue(fresh, A, PARTS)
    assert new.kid != old.kid
    assert verify(fresh, old.token).jti == old.claims.jti
    first = next(one for one in signing_keys(fresh) if one.kid == old.kid)
    assert not first.is_signing
    assert first.opens_until_ns is not None
    assert not first.opens(first.opens_until_ns)
    later(monkeypatch, LIFETIME_MAX_S * clock.NS_PER_S + HOUR_NS)
    with pytest.raises(PortalTokenError, match="not in use"):
        verify(fresh, old.token)


def test_a_revoked_token_opens_nothing_and_others_still_do(fresh: Books) -> None:
    one, two = issue(fresh, A, PARTS), issue(fresh, A, PARTS)
    revoke(fresh, "token", one.claims.jti, reason="lost", author=None)
    with pytest.raises(PortalTokenError, match="was revoked"):
        verify(fresh, one.token)
    assert verify(fresh, two.token).sub == A
    states = {row["jti"]: row["state"] for row in issued_tokens(fresh)}
    assert states == {one.claims.jti: "revoked", two.claims.jti: "valid"}


def test_all_tokens_of_a_tenant_are_revoked_and_later_ones_open(
    fresh: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = issue(fresh, A, PARTS), issue(fresh, B, PARTS)
    revoke(fresh, "tenant", A, reason="left", author=None)
    with pytest.raises(PortalTokenError, match="was revoked"):
        verify(fresh, mine.token)
    assert verify(fresh, other.token).sub == B
    later(monkeypatch, 2 * clock.NS_PER_S)
    assert verify(fresh, issue(fresh, A, PARTS).token).sub == A


def test_a_revoked_key_opens_nothing_and_another_signs(fresh: Books) -> None:
    old = issue(fresh, A, PARTS)
    revoke(fresh, "key", old.kid, reason="seen", author=None)
    with pytest.raises(PortalTokenError, match="not in use"):
        verify(fresh, old.token)
    new = issue(fresh, A, PARTS)
    assert new.kid != old.kid
    assert verify(fresh, new.token).sub == A


def test_neither_keys_nor_tokens_are_shown_by_repr(books: Books) -> None:
    made = issue(books, A, PARTS)
    key = signing_keys(books)[0]
    assert made.token not in repr(made)
    assert repr(key.secret) not in repr(key)
    assert "secret" not in repr(key)


def test_what_was_given_out_is_noted_without_the_token(fresh: Books) -> None:
    made = issue(fresh, A, PARTS, author="anna")
    assert made.token.encode() not in fresh.path.read_bytes()
    ((row),) = issued_tokens(fresh, tenant=A)
    assert (row["author"], row["parts"]) == ("anna", ["usage", "budget"])
    assert issued_tokens(fresh, tenant=B) == []


@pytest.mark.parametrize("table", ["portal_keys", "portal_tokens", "portal_revocations"])
@pytest.mark.parametrize("deed", ["DELETE FROM {}", "UPDATE {} SET author = 'x'"])
def test_history_of_portals_cannot_be_changed(fresh: Books, table: str, deed: str) -> None:
    issue(fresh, A, PARTS)
    revoke(fresh, "tenant", A, reason="left", author=None)
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), fresh.write() as connection:
        connection.exec_driver_sql(deed.format(table))


def test_keys_are_as_long_as_the_hash() -> None:
    assert keys_module._SECRET_BYTES >= 32  # RFC 7518 section 3.2
