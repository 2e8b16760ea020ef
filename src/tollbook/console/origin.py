"""Where a browser believes it is, and whether a request comes from a page of ours.

Cookies of sessions are sent by browsers whoever makes them send a request, so what changes anything
must come from our own pages: by ``Sec-Fetch-Site`` or ``Origin``, which other sites cannot set.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from litestar.types import HTTPScope

    from tollbook.config.people import Console

_OWN_SITES: Final = ("same-origin", "none")  # none: typed in or a bookmark, by the person


class Origin(NamedTuple):
    """Scheme and host of the console as the browser sees them."""

    scheme: str
    host: str
    """With the port where it is not the scheme's own."""

    @property
    def url(self) -> str:
        """As browsers write it."""
        return f"{self.scheme}://{self.host}"

    @property
    def is_secure(self) -> bool:
        """Whether what is sent is encrypted on the way."""
        return self.scheme == "https"

    @property
    def is_local(self) -> bool:
        """Whether the browser is on the same machine, or tunnels to it."""
        return is_loopback(urlsplit(f"//{self.host}").hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is that of the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def header(scope: HTTPScope, name: bytes) -> str | None:
    """Return the value of a header that is there once, else None."""
    values = [value for key, value in scope["headers"] if key.lower() == name]
    return values[0].decode("latin-1").strip() if len(values) == 1 else None


def origin_of(scope: HTTPScope, console: Console) -> Origin:
    """Return where the browser that sent a request believes it is.

    Args:
        scope: of the request.
        console: with ``public_url``, where a proxy ends TLS.
    """
    host = (header(scope, b"host") or "").lower()
    if console.public_url is not None:
        public = urlsplit(console.public_url.lower())
        if host in ("", public.netloc):
            return Origin(public.scheme, public.netloc)
    return Origin(scope["scheme"], host)


def is_from_own_page(scope: HTTPScope, console: Console, *, must_say: bool) -> bool:
    """Whether a request was sent by a page of ours.

    Args:
        scope: of the request.
        console: see :func:`origin_of`.
        must_say: whether one that says nothing about it is taken as foreign; forms carry a token
            of their own, so theirs may say nothing.
    """
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if site is not None and site not in _OWN_SITES:
        return False
    if origin is not None:
        own = origin_of(scope, console)
        if console.public_url is not None:
            return origin.lower() == own.url
        # Without it, what a proxy calls itself to browsers is known by its host alone.
        return urlsplit(origin.lower()).netloc == own.host
    return site is not None or not must_say


def client_address(scope: HTTPScope) -> str:
    """Return the address of the client; empty where it is not known."""
    client = scope.get("client")
    return client[0] if client else ""
