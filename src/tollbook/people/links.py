"""Links that work once: to make the first owner, and to choose a password.

So nobody ever knows the password of somebody else, also not for a moment.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from tollbook import clock
from tollbook.books.tables_people import accounts, one_time_links
from tollbook.people.accounts import Account, account_of, has_accounts
from tollbook.people.errors import SignInError

if TYPE_CHECKING:
    from tollbook.books.store import Books

SETUP_LIFE_S: Final = 3600
RESET_LIFE_S: Final = 24 * 3600
_SECRET_BYTES: Final = 32
_TABLE: Final = one_time_links.c


def make_setup_link(books: Books) -> str | None:
    """Return the secret of a link that makes the first owner; None where there is an account.

    Those made before open nothing any more.
    """
    if has_accounts(books):
        return None
    return _make(books, None, SETUP_LIFE_S)


def make_password_link(books: Books, account: Account) -> str:
    """Return the secret of a link to choose a password; those made before open nothing."""
    return _make(books, account.account_id, RESET_LIFE_S)


def _make(books: Books, account_id: str | None, life_s: int) -> str:
    secret, now_ns = secrets.token_urlsafe(_SECRET_BYTES), clock.unix_ns()
    row = {
        "link_sha256": _digest(secret), "account_id": account_id, "created_at_ns": now_ns,
        "expires_at_ns": now_ns + life_s * clock.NS_PER_S,
    }  # fmt: skip
    with books.write() as connection:
        connection.execute(
            one_time_links.delete().where(_TABLE.account_id.is_not_distinct_from(account_id))
        )
        connection.execute(one_time_links.insert().values(row))
    return secret


def account_of_link(books: Books, secret: str) -> Account | None:
    """Return whose password a link sets; None where it makes the first owner.

    Raises:
        SignInError: it is unknown, used or too old.
    """
    query = sa.select(_TABLE.account_id).where(_is_good(secret))
    with books.read() as connection:
        found = connection.execute(query).first()
        if found is None:
            raise SignInError("this link has been used, has expired or never was; ask for another")
        if found.account_id is None:
            return None
        of_it = sa.select(accounts).where(accounts.c.account_id == found.account_id)
        return account_of(connection.execute(of_it).mappings().one())


def use_link(books: Books, secret: str) -> None:
    """Use a link up.

    Raises:
        SignInError: somebody else was faster, or it is too old.
    """
    with books.write() as connection:
        used = connection.execute(
            one_time_links.update().where(_is_good(secret)).values(used_at_ns=clock.unix_ns())
        )
        if used.rowcount == 0:
            raise SignInError("this link has been used, has expired or never was; ask for another")


def _is_good(secret: str) -> sa.ColumnElement[bool]:
    is_it: sa.ColumnElement[bool] = _TABLE.link_sha256 == _digest(secret)
    return is_it & _TABLE.used_at_ns.is_(None) & (_TABLE.expires_at_ns > clock.unix_ns())


def _digest(secret: str) -> bytes:
    return sha256(secret.encode(errors="replace")).digest()
