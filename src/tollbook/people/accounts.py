"""Accounts: who may sign in, as what. They are disabled, never deleted, so old names keep meaning.

Whatever takes something from an account (its password, its role, its right to sign in) ends its
sessions in the same transaction.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock, ids
from tollbook.books.events import add_event, current_user
from tollbook.books.tables_people import accounts
from tollbook.desk.permits import Principal, Role, principal_of
from tollbook.identity.values import as_id
from tollbook.people.errors import (
    AccountInputError,
    AccountNotFoundError,
    LastOwnerError,
    NameTakenError,
)
from tollbook.people.passwords import check_password, hash_password
from tollbook.people.sessions import end_sessions_of

if TYPE_CHECKING:
    from tollbook.books.store import Books

PREFIX: Final = "user:"
_is_name = re.compile(r"[a-z0-9][a-z0-9._+-]{0,62}(@[a-z0-9][a-z0-9.-]{0,189})?").fullmatch
_TABLE: Final = accounts.c


class Account(Struct, frozen=True, kw_only=True):
    """An account, without what opens it."""

    account_id: str
    name: str
    role: Role
    tenant_id: str | None = None
    has_password: bool
    issuer: str | None = None
    subject: str | None = None
    created_at_ns: int
    created_by: str
    disabled_at_ns: int | None = None

    def principal(self, session: str) -> Principal:
        """Return who stands behind a request of one of its sessions."""
        name = f"{PREFIX}{self.name}"
        return principal_of(name, self.role, tenant=self.tenant_id, session=session)


def normal_name(text: str) -> str:
    """Return a name as it is kept: small letters, without spaces around it."""
    return text.strip().lower()


def add_account(
    books: Books, *, name: str, role: Role, tenant_id: str | None = None,
    password: str | None = None, issuer: str | None = None, subject: str | None = None,
    actor: str | None = None, is_first: bool = False,
) -> Account:  # fmt: skip
    """Make an account.

    Args:
        books: where it is kept.
        name: what one signs in with; small letters, digits and ``._+-``, or an e-mail address.
        role: what it may do.
        tenant_id: of role ``tenant``: the only one that it sees.
        password: None: it signs in otherwise, or sets one through a link.
        issuer: of OpenID Connect, with ``subject``: who it is there.
        subject: see ``issuer``.
        actor: who makes it; None for the user of this process.
        is_first: refuse where there is an account already.

    Raises:
        AccountInputError: a value that cannot be used.
        NameTakenError: there is an account of that name, or one where it must be the first.
    """
    name = normal_name(name)
    if not _is_name(name):
        raise AccountInputError("name", "give small letters, digits and ._+-, or an e-mail address")
    if (role is Role.TENANT) != (tenant_id is not None):
        raise AccountInputError("tenant", "goes with the role tenant, and with no other")
    if tenant_id is not None and as_id(tenant_id) is None:
        raise AccountInputError("tenant", "is no id of a tenant")
    hashed = None if password is None else hash_password(check_password(password, name))
    row: dict[str, Any] = {
        "account_id": f"acc_{ids.to_text(ids.new_id())}", "name": name, "role": role.value,
        "tenant_id": tenant_id, "password_hash": hashed, "issuer": issuer, "subject": subject,
        "created_at_ns": clock.unix_ns(), "created_by": actor or current_user(),
    }  # fmt: skip
    with books.write() as connection:
        is_taken = _TABLE.name == name if not is_first else sa.true()
        if connection.execute(sa.select(_TABLE.account_id).where(is_taken)).first() is not None:
            raise NameTakenError("account", name)
        connection.execute(accounts.insert().values(row))
        detail = {"account": name, "role": role.value, "tenant": tenant_id, "issuer": issuer}
        add_event(connection, actor=actor, action="account.created", detail=detail)
    return found_account(books, name)


def list_accounts(books: Books) -> list[Account]:
    """Return all accounts there ever were, by name."""
    with books.read() as connection:
        query = sa.select(accounts).order_by(_TABLE.name)
        return [account_of(row) for row in connection.execute(query).mappings()]


def has_accounts(books: Books) -> bool:
    """Whether anybody has an account."""
    with books.read() as connection:
        return connection.execute(sa.select(_TABLE.account_id).limit(1)).first() is not None


def found_account(books: Books, name: str) -> Account:
    """Return the account of a name.

    Raises:
        AccountNotFoundError: there is none.
    """
    with books.read() as connection:
        return _found(connection, name)


def account_of_subject(books: Books, issuer: str, subject: str) -> Account | None:
    """Return the account that is linked to somebody at a provider of OpenID Connect."""
    wanted = sa.select(accounts).where(_TABLE.issuer == issuer, _TABLE.subject == subject)
    with books.read() as connection:
        row = connection.execute(wanted).mappings().first()
    return None if row is None else account_of(row)


def password_hash_of(books: Books, name: str) -> tuple[Account, str | None] | None:
    """Return an account with the hash of its password; None where there is no such account."""
    query = sa.select(accounts).where(_TABLE.name == normal_name(name))
    with books.read() as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else (account_of(row), row["password_hash"])


def set_role(
    books: Books, name: str, role: Role, tenant_id: str | None = None, *, actor: str | None = None
) -> Account:
    """Give an account another role, and end its sessions.

    Raises:
        AccountNotFoundError: there is none of that name.
        AccountInputError: a tenant is given without the role, or the other way round.
        LastOwnerError: it is the last owner.
    """
    if (role is Role.TENANT) != (tenant_id is not None):
        raise AccountInputError("tenant", "goes with the role tenant, and with no other")
    with books.write() as connection:
        account = _found(connection, name)
        if (account.role, account.tenant_id) == (role, tenant_id):
            return account
        if role is not Role.OWNER:
            _must_not_be_last_owner(connection, account)
        _change(connection, account, role=role.value, tenant_id=tenant_id)
        detail = {"account": account.name, "from": account.role.value, "to": role.value}
        add_event(connection, actor=actor, action="account.role-changed", detail=detail)
        end_sessions_of(books, connection, account.account_id)
    return found_account(books, name)


def set_disabled(
    books: Books, name: str, *, is_disabled: bool, actor: str | None = None
) -> Account:
    """Keep an account from signing in, and end its sessions; or let it sign in again.

    Raises:
        AccountNotFoundError: there is none of that name.
        LastOwnerError: it is the last owner.
    """
    with books.write() as connection:
        account = _found(connection, name)
        if is_disabled == (account.disabled_at_ns is not None):
            return account
        if is_disabled:
            _must_not_be_last_owner(connection, account)
        _change(connection, account, disabled_at_ns=clock.unix_ns() if is_disabled else None)
        action = "account.disabled" if is_disabled else "account.enabled"
        add_event(connection, actor=actor, action=action, detail={"account": account.name})
        end_sessions_of(books, connection, account.account_id)
    return found_account(books, name)


def set_password(books: Books, name: str, password: str, *, actor: str | None = None) -> Account:
    """Give an account a new password, and end its sessions.

    Raises:
        AccountNotFoundError: there is none of that name.
        AccountInputError: the password cannot be used.
    """
    hashed = hash_password(check_password(password, normal_name(name)))
    with books.write() as connection:
        account = _found(connection, name)
        _change(connection, account, password_hash=hashed)
        detail = {"account": account.name}
        add_event(connection, actor=actor, action="account.password-changed", detail=detail)
        end_sessions_of(books, connection, account.account_id)
    return found_account(books, name)


def set_subject(
    books: Books, name: str, issuer: str, subject: str, *, actor: str | None = None
) -> Account:
    """Say who an account is at a provider of OpenID Connect, and end its sessions.

    Raises:
        AccountNotFoundError: there is none of that name.
        NameTakenError: another account is that person.
    """
    with books.write() as connection:
        account = _found(connection, name)
        theirs = sa.select(_TABLE.name).where(
            _TABLE.issuer == issuer, _TABLE.subject == subject, _TABLE.name != account.name
        )
        other = connection.execute(theirs).first()
        if other is not None:
            raise NameTakenError("that person is", other.name)
        _change(connection, account, issuer=issuer, subject=subject)
        detail = {"account": account.name, "issuer": issuer}
        add_event(connection, actor=actor, action="account.linked", detail=detail)
        end_sessions_of(books, connection, account.account_id)
    return found_account(books, name)


def renew_hash(books: Books, account: Account, old_hash: str, password: str) -> None:
    """Hash a password again, with today's parameters; its sessions go on."""
    hashed = hash_password(password)
    with books.write() as connection:
        connection.execute(
            accounts.update()
            .where(_TABLE.account_id == account.account_id, _TABLE.password_hash == old_hash)
            .values(password_hash=hashed)
        )


def account_of(row: sa.RowMapping) -> Account:
    """Return an account of its row."""
    return Account(
        account_id=row["account_id"], name=row["name"], role=Role(row["role"]),
        tenant_id=row["tenant_id"], has_password=row["password_hash"] is not None,
        issuer=row["issuer"], subject=row["subject"], created_at_ns=row["created_at_ns"],
        created_by=row["created_by"], disabled_at_ns=row["disabled_at_ns"],
    )  # fmt: skip


def _found(connection: sa.Connection, name: str) -> Account:
    query = sa.select(accounts).where(_TABLE.name == normal_name(name))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise AccountNotFoundError(name)
    return account_of(row)


def _change(connection: sa.Connection, account: Account, **values: Any) -> None:
    of_it = _TABLE.account_id == account.account_id
    connection.execute(accounts.update().where(of_it).values(values))


def _must_not_be_last_owner(connection: sa.Connection, account: Account) -> None:
    if account.role is not Role.OWNER or account.disabled_at_ns is not None:
        return
    others = sa.select(_TABLE.account_id).where(
        _TABLE.role == Role.OWNER.value, _TABLE.disabled_at_ns.is_(None),
        _TABLE.account_id != account.account_id,
    )  # fmt: skip
    if connection.execute(others).first() is None:
        raise LastOwnerError(account.name)
