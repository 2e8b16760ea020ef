"""Passwords: argon2id with the parameters of RFC 9106 section 4 for little memory (64 MiB).

Hashing is meant to be expensive, so no more than a few run at once: whoever floods the login page
makes sign-ins slow, and not the machine. An account that does not exist, or has no password, costs
the same as one that does.
"""

from __future__ import annotations

import threading
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from tollbook.people.errors import AccountInputError, BusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

from contextlib import contextmanager

MIN_CHARS: Final = 12
MAX_BYTES: Final = 1024
_AT_ONCE: Final = 2
_WAIT_S: Final = 5.0

HASHER: Final = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_slots: Final = threading.BoundedSemaphore(_AT_ONCE)


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=_WAIT_S):
        raise BusyError
    try:
        yield
    finally:
        _slots.release()


def check_password(password: str, name: str) -> str:
    """Return a new password in the form that is hashed (NFKC, as NIST SP 800-63B asks).

    Raises:
        AccountInputError: it is too short or too long, or says no more than the account's name.
    """
    text = _normal(password)
    if len(text) < MIN_CHARS:
        raise AccountInputError("password", f"give at least {MIN_CHARS} characters; a few words do")
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise AccountInputError("password", f"give at most {MAX_BYTES} bytes")
    parts = {part for part in (name.lower(), name.lower().partition("@")[0]) if part}
    rest = text.lower()
    for part in sorted(parts, key=len, reverse=True):
        rest = rest.replace(part, "")
    if len(set(rest)) < MIN_CHARS // 3:
        raise AccountInputError("password", "is the account's name or one thing repeated")
    return text


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, with its salt and parameters.

    Raises:
        BusyError: too many are hashed at this moment.
    """
    with _slot():
        return HASHER.hash(_normal(password))


def is_password(password: str, password_hash: str | None) -> bool:
    """Whether a password is the one that was hashed; takes as long where there is none.

    Raises:
        BusyError: too many are hashed at this moment.
    """
    if len(password) > MAX_BYTES:
        return False
    with _slot():
        try:
            HASHER.verify(password_hash or _nobodys(), _normal(password))
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(password_hash)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """Return the hash of a password that nobody has; made with the parameters of all others."""
    return HASHER.hash("nobody's password, made to take as long as anybody's")


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
