"""Forms of signed-in people carry a token that other sites cannot know.

It is an HMAC over the session, so nothing needs to be kept, and a salt that makes it another one on
every page: what a compressed page's length betrays of it is worth nothing (BREACH). Programs with a
bearer token have no session, and no browser that could be made to send their token for them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.desk.permits import Principal

FIELD: Final = "csrf_token"
_SALT_BYTES: Final = 8
_MARK: Final = "."


def token_for(secret: bytes, principal: Principal) -> str:
    """Return a token for a principal's forms; empty where it has no session."""
    if principal.session is None:
        return ""
    return _salted(secret, principal.session, secrets.token_hex(_SALT_BYTES))


def is_genuine(secret: bytes, principal: Principal, given: str) -> bool:
    """Whether a form was made for a principal's session."""
    if principal.session is None:
        return not given
    salt = given.partition(_MARK)[0]
    return hmac.compare_digest(
        _salted(secret, principal.session, salt).encode(), given.encode(errors="replace")
    )


def _salted(secret: bytes, session: str, salt: str) -> str:
    text = f"csrf:{salt}:{session}".encode(errors="replace")
    return f"{salt}{_MARK}{hmac.new(secret, text, hashlib.sha256).hexdigest()}"
