"""Tokens of portals: JSON Web Tokens (RFC 7519) of one tenant, signed with HS256, for minutes.

A token says whose portal it opens, which parts of it, and until when. It is good for nothing else:
its audience is the portal, and no other route of Tollbook knows its signature.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Meta, Struct

from tollbook import clock, ids
from tollbook.books.events import current_user
from tollbook.books.tables_portal import portal_revocations, portal_tokens
from tollbook.console.portal.errors import PortalTokenError
from tollbook.console.portal.keys import LIFETIME_MAX_S, read_keys, signing_key
from tollbook.console.portal.parts import Part

if TYPE_CHECKING:
    from collections.abc import Collection

    from tollbook.books.store import Books
    from tollbook.console.portal.keys import SigningKey

AUDIENCE: Final = "tollbook-portal"
ISSUER: Final = "tollbook"
ALGORITHM: Final = "HS256"
LIFETIME_S: Final = 900
TOKEN_CHARS_MAX: Final = 4_096
_LEEWAY_S: Final = 5
"""Clocks of two hosts of one installation may differ by as much."""


class Claims(Struct, frozen=True, kw_only=True):
    """What a token says (RFC 7519 section 4.1), and ``parts``."""

    iss: str
    aud: str
    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    """The tenant."""
    iat: int
    exp: int
    jti: Annotated[str, Meta(min_length=1, max_length=64)]
    parts: tuple[Part, ...]


class Issued(NamedTuple):
    """A token that was made; its text is shown this once."""

    token: str
    claims: Claims
    kid: str

    def __repr__(self) -> str:
        return f"Issued(jti={self.claims.jti!r})"


def issue(
    books: Books, tenant: str, parts: Collection[Part], *, lifetime_s: int = LIFETIME_S,
    author: str | None = None,
) -> Issued:  # fmt: skip
    """Make a token of a tenant and note that it was given out.

    Args:
        books: where keys are kept; the first token makes the first.
        tenant: whose portal it opens.
        parts: which parts of it.
        lifetime_s: seconds until it opens nothing.
        author: who asked for it; None for this process's user.

    Raises:
        BooksError: the books cannot be written.
    """
    assert 0 < lifetime_s <= LIFETIME_MAX_S, "the caller checks"
    now_ns = clock.unix_ns()
    now_s = now_ns // clock.NS_PER_S
    claims = Claims(
        iss=ISSUER, aud=AUDIENCE, sub=tenant, iat=now_s, exp=now_s + lifetime_s,
        jti=ids.to_text(ids.new_id()), parts=tuple(one for one in Part if one in parts),
    )  # fmt: skip
    with books.write() as connection:
        key = signing_key(connection, author)
        connection.execute(
            portal_tokens.insert().values(
                jti=claims.jti, tenant_id=tenant, kid=key.kid, issued_at_ns=now_ns,
                parts=msgspec.json.encode(claims.parts).decode(),
                expires_at_ns=claims.exp * clock.NS_PER_S, author=author or current_user(),
            )
        )  # fmt: skip
    header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}
    token = jwt.encode(header, msgspec.to_builtins(claims), OctKey.import_key(key.secret),
                       algorithms=[ALGORITHM])  # fmt: skip
    return Issued(token, claims, key.kid)


def verify(books: Books, token: str) -> Claims:
    """Return what a token says, once everything about it has been checked.

    Raises:
        PortalTokenError: it opens nothing.
        BooksError: the books cannot be read.
    """
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise PortalTokenError("is not one")
    now_ns = clock.unix_ns()
    with books.read() as connection:
        keys = {one.kid: one for one in read_keys(connection) if one.opens(now_ns)}
        claims = _checked(_signed(token, keys), now_ns // clock.NS_PER_S)
        if _is_revoked(connection, claims):
            raise PortalTokenError("was revoked")
    return claims


def _signed(token: str, keys: dict[str, SigningKey]) -> Claims:
    """Return the claims of a token that one of our keys has signed."""
    try:
        header = msgspec.json.decode(_unpadded(token.partition(".")[0]), type=dict[str, object])
    except (msgspec.DecodeError, ValueError) as error:
        raise PortalTokenError("is not one") from error
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise PortalTokenError("is signed with a key that is not in use")
    try:
        decoded = jwt.decode(token, OctKey.import_key(key.secret), algorithms=[ALGORITHM])
        return msgspec.convert(decoded.claims, Claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise PortalTokenError("is not genuine") from error


def _unpadded(text: str) -> bytes:
    """Read base64url without padding (RFC 7515 appendix C).

    Raises:
        ValueError: it is none.
    """
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _checked(claims: Claims, now_s: int) -> Claims:
    if claims.iss != ISSUER or claims.aud != AUDIENCE:
        raise PortalTokenError("is for another purpose")
    if not 0 < claims.exp - claims.iat <= LIFETIME_MAX_S or claims.iat > now_s + _LEEWAY_S:
        raise PortalTokenError("has times that cannot be")
    if claims.exp <= now_s:
        raise PortalTokenError("has expired")
    return claims


def _is_revoked(connection: sa.Connection, claims: Claims) -> bool:
    columns = portal_revocations.c
    # Of the second in which a tenant's tokens were revoked, all are: a token says whole seconds.
    whole_ns = claims.iat * clock.NS_PER_S
    found = connection.execute(
        sa.select(columns.revocation_id)
        .where(
            ((columns.kind == "token") & (columns.name == claims.jti))
            | (
                (columns.kind == "tenant")
                & (columns.name == claims.sub)
                & (columns.at_ns >= whole_ns)
            )
        )
        .limit(1)
    ).first()
    return found is not None
