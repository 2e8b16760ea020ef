"""Forms of signed-in people carry a token that other sites cannot know.

It is an HMAC over the session, so nothing needs to be kept; programs with a bearer token have no
session, and no browser that could be made to send their token for them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.desk.permits import Principal

FIELD: Final = "csrf_token"


def token_for(secret: bytes, principal: Principal) -> str:
    """Return the token of a principal's forms; empty where it has no session."""
    if principal.session is None:
        return ""
    return hmac.new(secret, b"csrf:" + principal.session.encode(), hashlib.sha256).hexdigest()


def is_genuine(secret: bytes, principal: Principal, given: str) -> bool:
    """Whether a form was made for a principal's session."""
    return hmac.compare_digest(token_for(secret, principal), given)
