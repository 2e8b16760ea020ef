"""Who presents the token of this process: a command of the same user on the same machine."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tollbook.books.events import current_user
from tollbook.console.auth import is_token
from tollbook.desk.permits import Role, principal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import HTTPScope

    from tollbook.desk.permits import Principal

_SCHEME: Final = b"bearer "


def bearer_token(scope: HTTPScope) -> str | None:
    """Return the one bearer token of a request, None where there is none or several."""
    values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(values) != 1 or not values[0].lower().startswith(_SCHEME):
        return None
    return values[0][len(_SCHEME) :].decode("latin-1").strip()


def process_token(token: str) -> Callable[[HTTPScope], Principal | None]:
    """Return what knows the bearer of a token as an owner: whoever can read its file is one."""
    digest = sha256(token.encode()).digest()
    owner = principal_of(current_user(), Role.OWNER)

    def authenticate(scope: HTTPScope) -> Principal | None:
        given = bearer_token(scope)
        return owner if given is not None and is_token(given, digest) else None

    return authenticate
