"""Accounts of people who come from a provider of OpenID Connect: who they are here, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.desk.permits import Role
from tollbook.people.accounts import (
    Account,
    account_of_subject,
    add_account,
    normal_name,
    set_role,
)
from tollbook.people.errors import AccountInputError, NameTakenError, SignInError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.store import Books
    from tollbook.config.people import Oidc
    from tollbook.people.oidc import Person

_POWER: Final = (Role.OWNER, Role.FINANCE, Role.ENGINEER, Role.VIEWER)
ACTOR: Final = "single-sign-on"


def account_for(books: Books, settings: Oidc, person: Person) -> Account:
    """Return the account of a person, made at the first sign-in, with the role of its groups.

    A local account of the same name is never taken over: an owner links it.

    Raises:
        SignInError: the person may not sign in here.
        LastOwnerError: the groups would take the role from the last owner.
    """
    role = role_of(settings, person.claims)
    found = account_of_subject(books, person.issuer, person.subject)
    if found is not None:
        if found.disabled_at_ns is not None:
            raise SignInError("this account is disabled; ask an owner")
        return _with_role(books, settings, found, role)
    if role is None:
        raise SignInError("you are in no group that may sign in here; ask an owner")
    name = name_of(settings, person.claims)
    try:
        return add_account(
            books, name=name, role=role, issuer=person.issuer, subject=person.subject, actor=ACTOR
        )
    except NameTakenError as error:
        raise SignInError(
            f"there is an account {name} already; an owner can link it to you: tollbook people link"
        ) from error
    except AccountInputError as error:
        raise SignInError(
            f"{settings.name_claim} of the provider cannot name an account"
        ) from error


def _with_role(books: Books, settings: Oidc, found: Account, role: Role | None) -> Account:
    if found.role is Role.TENANT or not settings.roles:
        return found  # given here, by an owner
    if role is None:
        raise SignInError("you are in no group that may sign in here; ask an owner")
    return found if role is found.role else set_role(books, found.name, role, actor=ACTOR)


def role_of(settings: Oidc, claims: Mapping[str, Any]) -> Role | None:
    """Return the most powerful role that a person's groups give; None: none at all."""
    given = claims.get(settings.groups_claim)
    groups = given if isinstance(given, list) else [given]
    held = {
        Role(settings.roles[one])
        for one in groups
        if isinstance(one, str) and one in settings.roles
    }
    for role in _POWER:
        if role in held:
            return role
    return None if settings.default_role is None else Role(settings.default_role)


def name_of(settings: Oidc, claims: Mapping[str, Any]) -> str:
    """Return the name of a new account.

    Raises:
        SignInError: the provider does not say it, or has not verified it.
    """
    given = claims.get(settings.name_claim)
    if not isinstance(given, str) or not given:
        raise SignInError(f"the provider does not say {settings.name_claim} of you")
    if settings.name_claim == "email" and claims.get("email_verified") is not True:
        raise SignInError("the provider has not verified your e-mail address")
    return normal_name(given)
