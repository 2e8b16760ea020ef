"""Hashes of passwords, and what a sign-in costs whoever tries."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type
from hypothesis import given
from hypothesis import strategies as st
from tests.people.people_kit import PASSWORD

from tollbook import clock
from tollbook.books.store import open_books
from tollbook.desk.permits import Role
from tollbook.people import passwords
from tollbook.people.accounts import add_account, password_hash_of, set_disabled
from tollbook.people.errors import AccountInputError, BusyError, SignInError, ThrottledError
from tollbook.people.signin import sign_in
from tollbook.people.throttle import BY_ADDRESS, Buckets, Rate, Throttle, network_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.people.conftest import Hashers


def test_hashes_are_argon2id_with_the_parameters_of_the_rfc(hashers: Hashers) -> None:
    found = extract_parameters(hashers.real.hash("x"))
    assert found.type is Type.ID
    # RFC 9106 section 4, the second choice: 64 MiB, three passes, four lanes, 128 bits of salt.
    assert (found.memory_cost, found.time_cost, found.parallelism) == (65_536, 3, 4)
    assert (found.salt_len, found.hash_len) == (16, 32)


def test_two_hashes_of_one_password_differ_and_both_hold() -> None:
    first, second = passwords.hash_password(PASSWORD), passwords.hash_password(PASSWORD)
    assert first != second
    assert passwords.is_password(PASSWORD, first)
    assert passwords.is_password(PASSWORD, second)
    assert not passwords.is_password(PASSWORD + "x", first)
    assert not passwords.is_password(PASSWORD, None)
    assert not passwords.is_password(PASSWORD, "no hash at all")
    assert not passwords.is_password("x" * 5000, first)


def test_how_an_accent_was_typed_does_not_matter() -> None:
    composed, combining = "caf\u00e9 caf\u00e9 caf\u00e9", "cafe\u0301 cafe\u0301 cafe\u0301"
    assert passwords.is_password(combining, passwords.hash_password(composed))


def test_a_hash_of_other_parameters_is_renewed_at_the_next_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_books(tmp_path) as books:
        add_account(books, name="anna", role=Role.OWNER, password=PASSWORD, actor="test")
        old = password_hash_of(books, "anna")
        stronger = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
        monkeypatch.setattr(passwords, "HASHER", stronger)
        sign_in(books, Throttle(), "anna", PASSWORD, "127.0.0.1")
        new = password_hash_of(books, "anna")
        assert old
        assert new
        assert old[1] != new[1]
        assert extract_parameters(str(new[1])).time_cost == 2
        sign_in(books, Throttle(), "anna", PASSWORD, "127.0.0.1")


def test_whoever_does_not_exist_costs_as_much_as_who_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_books(tmp_path) as books:
        add_account(books, name="anna", role=Role.OWNER, password=PASSWORD, actor="test")
        add_account(books, name="gone", role=Role.VIEWER, password=PASSWORD, actor="test")
        add_account(books, name="single", role=Role.VIEWER, issuer="i", subject="s", actor="test")
        set_disabled(books, "gone", is_disabled=True, actor="test")
        verified: list[str] = []
        real = passwords.HASHER

        class Counting:
            def verify(self, hashed: str, password: str) -> bool:
                verified.append(hashed)
                return real.verify(hashed, password)

            def hash(self, password: str) -> str:
                return real.hash(password)

            def check_needs_rehash(self, hashed: str) -> bool:
                return real.check_needs_rehash(hashed)

        passwords._nobodys()
        monkeypatch.setattr(passwords, "HASHER", Counting())
        for name in ("anna", "gone", "single", "nobody"):
            with pytest.raises(SignInError):
                sign_in(books, Throttle(), name, "wrong", "127.0.0.1")
        with pytest.raises(SignInError):
            sign_in(books, Throttle(), "gone", PASSWORD, "127.0.0.1")
        # One verification each, with the same parameters.
        assert len(verified) == 5
        assert len({str(extract_parameters(one)) for one in verified}) == 1


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "at least 12"), ("x" * 2000, "at most"), ("aaaaaaaaaaaaaaaa", "repeated"),
        ("anna@example.org", "the account's name"), ("annaannaannaanna", "the account's name"),
    ],
)  # fmt: skip
def test_passwords_that_are_none_are_refused(password: str, said: str) -> None:
    with pytest.raises(AccountInputError, match=said) as caught:
        passwords.check_password(password, "anna@example.org")
    assert password not in caught.value.message


def test_only_a_few_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_WAIT_S", 0.05)
    go, entered = threading.Event(), threading.Semaphore(0)

    class Slow:
        def hash(self, password: str) -> str:
            del password
            entered.release()
            assert go.wait(10)
            return "a hash"

    monkeypatch.setattr(passwords, "HASHER", Slow())
    threads = [
        threading.Thread(target=passwords.hash_password, args=(PASSWORD,))
        for _ in range(passwords._AT_ONCE)
    ]
    for one in threads:
        one.start()
        assert entered.acquire(timeout=10)
    with pytest.raises(BusyError):
        passwords.hash_password(PASSWORD)
    go.set()
    for one in threads:
        one.join()
    assert passwords.hash_password(PASSWORD) == "a hash"


def test_attempts_from_one_network_are_bounded_whatever_names_they_try() -> None:
    throttle = Throttle()
    for number in range(BY_ADDRESS.burst):
        throttle.attempt(f"name-{number}", f"2001:db8::{number:x}")
    with pytest.raises(ThrottledError) as caught:
        throttle.attempt("another", "2001:db8::ffff")
    assert 1 <= caught.value.retry_after_s <= BY_ADDRESS.refill_s
    throttle.attempt("another", "2001:db8:1::1")  # another subscriber


def test_success_costs_nothing() -> None:
    throttle = Throttle()
    for _ in range(200):
        throttle.attempt("anna", "127.0.0.1")
        throttle.succeeded("anna", "127.0.0.1")


@given(steps=st.lists(st.integers(0, 100), max_size=60), burst=st.integers(1, 8))
def test_no_more_attempts_than_the_rate_allows(steps: list[int], burst: int) -> None:
    # An independent model: attempts let through in any stretch of time are at most the burst and
    # one for each refill in it.
    now, through = [0], []
    original: Any = clock.monotonic_ns
    buckets = Buckets(Rate(burst, 10.0))
    try:
        clock.monotonic_ns = lambda: now[0] * clock.NS_PER_S
        for step in steps:
            now[0] += step
            if buckets.take("x") == 0:
                through.append(now[0])
    finally:
        clock.monotonic_ns = original
    for first in range(len(through)):
        for last in range(first, len(through)):
            allowed = burst + (through[last] - through[first]) / 10.0
            assert last - first + 1 <= allowed + 1e-6


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    buckets = Buckets(Rate(1, 1000.0), entries_max=10)
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets._used) == 10


def test_networks() -> None:
    assert network_of("203.0.113.9") == network_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("testclient") == "testclient"
