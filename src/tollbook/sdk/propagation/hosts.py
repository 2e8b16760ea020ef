"""Which hosts may be told whose work it is.

The gateway's, those that were allowed by name, and this machine's loopback: what goes there does
not leave the machine, and it is where a gateway and services run while one develops. Nobody else,
for who the customers of a product are is no business of the services it happens to call.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from tollbook.sdk.runtime import runtime


def may_receive(host: str) -> bool:
    """Whether a host may receive baggage and trace context.

    Args:
        host: a name or address, with or without a port, or a whole URL.
    """
    settings = runtime()
    return _may_receive(host, settings.gateway, settings.allowed_hosts)


@lru_cache(1024)
def _may_receive(host: str, gateway: str | None, allowed: tuple[str, ...]) -> bool:
    name = host_name(host)
    if not name:
        return False
    if gateway is not None and name == host_name(gateway):
        return True
    for one in allowed:
        if one.startswith("."):
            if name.endswith(one.lower()):
                return True
        elif name == host_name(one):
            return True
    return is_loopback(name)


def host_name(text: str) -> str:
    """Return the host of a URL, or of a host with or without a port; lower case, '' if none."""
    try:
        found = urlsplit(text if "//" in text else f"//{_bracketed(text)}").hostname
    except ValueError:
        return ""
    return (found or "").rstrip(".")


def is_loopback(name: str) -> bool:
    """Whether a host name is this machine's own (RFC 6761 section 6.3, RFC 5735, RFC 4291)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _bracketed(text: str) -> str:
    return f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
