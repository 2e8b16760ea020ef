"""API tokens: what programs present instead of a session, with permits of their own."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from tollbook import clock, ids
from tollbook.books.events import add_event, current_user
from tollbook.books.tables_people import api_tokens
from tollbook.desk.permits import Access, Permit, Principal, Scope
from tollbook.identity.values import as_id
from tollbook.people.errors import AccountInputError, NameTakenError, TokenNotFoundError
from tollbook.people.sessions import note_change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.books.store import Books

PREFIX: Final = "tb_api_"
ACTOR_PREFIX: Final = "token:"
USED_EVERY_NS: Final = 3600 * clock.NS_PER_S
_SECRET_BYTES: Final = 32
_is_label = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}").fullmatch
_TABLE: Final = api_tokens.c


class ApiToken(Struct, frozen=True, kw_only=True):
    """A token as people see it; what opens it is not known any more."""

    token_id: str
    label: str
    permits: tuple[str, ...]
    tenant_id: str | None = None
    created_at_ns: int
    created_by: str
    expires_at_ns: int | None = None
    used_at_ns: int | None = None
    revoked_at_ns: int | None = None

    def is_alive(self, now_ns: int) -> bool:
        """Whether it still opens anything."""
        is_over = self.expires_at_ns is not None and now_ns >= self.expires_at_ns
        return self.revoked_at_ns is None and not is_over

    def principal(self) -> Principal:
        """Return who stands behind a request with it."""
        permits = frozenset(permit_of(one) for one in self.permits)
        return Principal(name=f"{ACTOR_PREFIX}{self.label}", permits=permits, tenant=self.tenant_id)


def permit_of(text: str) -> Permit:
    """Read a permit such as ``spend:read``; without an access it is to read.

    Raises:
        AccountInputError: there is no such permit.
    """
    scope, _, access = text.strip().partition(":")
    try:
        return Permit(Scope(scope), Access(access or Access.READ))
    except ValueError as error:
        known = ", ".join(one.value for one in Scope)
        raise AccountInputError(
            "permits", f"{text[:40]!r} is none; give SCOPE:read or SCOPE:write, SCOPE of {known}"
        ) from error


def create_token(
    books: Books, *, label: str, permits: Iterable[str], tenant_id: str | None = None,
    expires_at_ns: int | None = None, actor: str | None = None,
) -> tuple[ApiToken, str]:  # fmt: skip
    """Make a token and return it with what opens it, which is shown this once.

    Args:
        books: where it is kept.
        label: what people call it; unique among all there ever were.
        permits: such as ``spend:read``; to write includes to read.
        tenant_id: the only tenant that it sees; such a token sees its portal and nothing else.
        expires_at_ns: first moment that it opens nothing (epoch, UTC).
        actor: who makes it; None for the user of this process.

    Raises:
        AccountInputError: a value that cannot be used.
        NameTakenError: another token has the label.
    """
    chosen = {permit_of(text) for text in permits}
    if tenant_id is not None:
        chosen = chosen or {Permit(Scope.PORTAL)}
    if (tenant_id is not None) != (chosen == {Permit(Scope.PORTAL)}):
        raise AccountInputError(
            "permits", "a token of one tenant has the permit portal:read, and no other token has it"
        )
    if not chosen:
        raise AccountInputError("permits", "give at least one, such as spend:read")
    if tenant_id is not None and as_id(tenant_id) is None:
        raise AccountInputError("tenant", "is no id of a tenant")
    if not _is_label(label):
        raise AccountInputError("label", "give up to 63 letters, digits and ._-")
    now_ns = clock.unix_ns()
    if expires_at_ns is not None and expires_at_ns <= now_ns:
        raise AccountInputError("expires_at", "lies in the past; give a later moment")
    chosen |= {Permit(one.scope, Access.READ) for one in chosen}
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    made = ApiToken(
        token_id=f"tok_{ids.to_text(ids.new_id())}", label=label,
        permits=tuple(sorted(str(one) for one in chosen)), tenant_id=tenant_id,
        created_at_ns=now_ns, created_by=actor or current_user(), expires_at_ns=expires_at_ns,
    )  # fmt: skip
    row = msgspec.structs.asdict(made) | {
        "permits": msgspec.json.encode(made.permits).decode(), "token_sha256": _digest(secret),
    }  # fmt: skip
    with books.write() as connection:
        taken = sa.select(_TABLE.token_id).where(_TABLE.label == label)
        if connection.execute(taken).first() is not None:
            raise NameTakenError("token", label)
        connection.execute(api_tokens.insert().values(row))
        detail = {"token": label, "permits": list(made.permits), "tenant": tenant_id}
        add_event(connection, actor=actor, action="token.created", detail=detail)
    note_change(books)
    return made, secret


def list_tokens(books: Books) -> list[ApiToken]:
    """Return all tokens there ever were, oldest first."""
    with books.read() as connection:
        query = sa.select(api_tokens).order_by(_TABLE.created_at_ns, _TABLE.token_id)
        return [_token_of(row) for row in connection.execute(query).mappings()]


def token_of_secret(books: Books, secret: str) -> ApiToken | None:
    """Return the token that a secret opens, dead or alive; None where it opens none."""
    if not secret.startswith(PREFIX):
        return None
    query = sa.select(api_tokens).where(_TABLE.token_sha256 == _digest(secret))
    with books.read() as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else _token_of(row)


def revoke_token(books: Books, name: str, *, actor: str | None = None) -> ApiToken:
    """Revoke the token of an id or label for good; a second time changes nothing.

    Raises:
        TokenNotFoundError: there is none.
    """
    is_it = (_TABLE.token_id == name) | (_TABLE.label == name)
    with books.write() as connection:
        row = connection.execute(sa.select(api_tokens).where(is_it)).mappings().first()
        if row is None:
            raise TokenNotFoundError(name)
        found = _token_of(row)
        if found.revoked_at_ns is not None:
            return found
        revoked = msgspec.structs.replace(found, revoked_at_ns=clock.unix_ns())
        connection.execute(
            api_tokens.update()
            .where(_TABLE.token_id == found.token_id)
            .values(revoked_at_ns=revoked.revoked_at_ns)
        )
        add_event(connection, actor=actor, action="token.revoked", detail={"token": found.label})
    note_change(books)
    return revoked


def mark_used(connection: sa.Connection, token_id: str, at_ns: int) -> None:
    """Write when a token was last used."""
    is_it = _TABLE.token_id == token_id
    connection.execute(api_tokens.update().where(is_it).values(used_at_ns=at_ns))


def _digest(secret: str) -> bytes:
    # The secret has 256 random bits: nothing can be gained by a slow hash, or by how long it takes
    # to find a digest in an index.
    return sha256(secret.encode(errors="replace")).digest()


def _token_of(row: sa.RowMapping) -> ApiToken:
    values: dict[str, Any] = {name: row[name] for name in ApiToken.__struct_fields__}
    values["permits"] = tuple(msgspec.json.decode(row["permits"], type=list[str]))
    return ApiToken(**values)
