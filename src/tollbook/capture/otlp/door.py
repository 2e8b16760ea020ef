"""Who may hand something in: virtual keys, and nobody's where only this machine can come."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.identity import KeyBinding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from tollbook.books.records import KeyProblem

    class Keys(Protocol):
        """The virtual keys; see :class:`tollbook.books.directory.KeyDirectory`."""

        def lookup(self, secret: str) -> KeyBinding | KeyProblem:
            """Return what a secret is bound to, or why it admits nobody."""

        def refresh(self) -> bool:
            """Read the keys again if they changed; True if they were read."""


_HEADER: Final = "x-tollbook-key"
_PREFIX: Final = "tb_"
_HOW: Final = (
    "send a Tollbook key (tb_...) as 'authorization: Bearer KEY' or 'x-tollbook-key: KEY'"
    " (OTEL_EXPORTER_OTLP_HEADERS)"
)


class Refused(NamedTuple):
    """Why nothing is taken from a sender."""

    message: str


class Door:
    """Decides on the credentials of a request; belongs to one thread.

    Args:
        open_keys: makes the directory of keys, in the thread that uses it.
        requires_key: whether a key is needed; one that is sent must be good in any case.
    """

    def __init__(self, open_keys: Callable[[], Keys], *, requires_key: bool) -> None:
        self._open_keys = open_keys
        self._requires_key = requires_key
        self._keys: Keys | None = None

    def admit(self, headers: Iterable[tuple[str, str]]) -> KeyBinding | Refused | None:
        """Return the key of a request, None where it needs none, or why it is refused.

        Args:
            headers: names in lower case.
        """
        secret = secret_in(headers)
        if secret is None:
            return Refused(f"no key was sent; {_HOW}") if self._requires_key else None
        if not secret.startswith(_PREFIX):
            return Refused(f"the key that was sent is not Tollbook's; {_HOW}")
        keys = self._keys = self._keys or self._open_keys()
        keys.refresh()  # microseconds; a key that was revoked a moment ago is good no more
        found = keys.lookup(secret)
        if isinstance(found, KeyBinding):
            return found
        return Refused(f"the Tollbook key is refused: {found.reason}")


def secret_in(headers: Iterable[tuple[str, str]]) -> str | None:
    """Return the key in a request's headers; names in lower case.

    Exporters of some tools can send nothing but a user name and a password (RFC 7617): the
    password is the key. Other schemes are other services' business.
    """
    found = None
    for name, value in headers:
        if name == _HEADER:
            return value.strip()
        if name == "authorization":
            scheme, _, rest = value.strip().partition(" ")
            if scheme.lower() == "bearer":
                found = rest.strip()
            elif scheme.lower() == "basic":
                found = _password(rest.strip())
    return found


def _password(encoded: str) -> str | None:
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    password = text.partition(":")[2]
    return password if password.startswith(_PREFIX) else None
