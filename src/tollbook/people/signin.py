"""Sign in with a password: throttled, in a time that does not tell who exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.people.accounts import Account, normal_name, password_hash_of, renew_hash
from tollbook.people.errors import SignInError
from tollbook.people.passwords import is_outdated, is_password

if TYPE_CHECKING:
    from tollbook.books.store import Books
    from tollbook.people.throttle import Throttle

_NAME_MAX_CHARS: Final = 256
_WRONG: Final = "the name or the password is wrong, or the account cannot sign in with a password"


def sign_in(books: Books, throttle: Throttle, name: str, password: str, address: str) -> Account:
    """Return the account of a name and its password.

    Args:
        books: where accounts are.
        throttle: how often it may be tried.
        name: as typed.
        password: as typed.
        address: of the client.

    Raises:
        ThrottledError: too many attempts have failed.
        BusyError: too many passwords are being checked.
        SignInError: wrong, without saying what.
    """
    name = normal_name(name)[:_NAME_MAX_CHARS]
    throttle.attempt(name, address)
    found = password_hash_of(books, name)
    account, password_hash = found or (None, None)
    # Disabled accounts and those without a password take the same way, and the same time.
    is_right = is_password(password, password_hash)
    if account is None or password_hash is None or not is_right or account.disabled_at_ns:
        raise SignInError(_WRONG)
    throttle.succeeded(name, address)
    if is_outdated(password_hash):
        renew_hash(books, account, password_hash, password)
    return account
