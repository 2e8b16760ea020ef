"""Whose a host is: a provider's, ours, or anybody's."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tollbook.capture.otlp.providers import KNOWN_HOSTS, UNKNOWN, provider_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_PRIVATE_ENDS: Final = (
    ".local", ".localhost", ".internal", ".intranet", ".lan", ".home.arpa", ".svc", ".test",
    ".corp", ".private", ".consul", ".cluster",
)  # fmt: skip
"""RFC 6761 and 6762, ICANN's ``.internal``, and what clusters call their services."""


@lru_cache(maxsize=4096)
def provider_at(host: str) -> str | None:
    """Return the provider whose host it is, None where it is none that is known."""
    found = provider_of({"server.address": host}, None, KNOWN_HOSTS)[0]
    return None if found == UNKNOWN else found


@lru_cache(maxsize=4096)
def is_public(host: str) -> bool:
    """Whether a host can be anybody's: not an address of a private network, not a local name."""
    bare = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(bare).is_global
    except ValueError:
        return "." in bare and not bare.endswith(_PRIVATE_ENDS)


def is_trusted(host: str, trusted: Sequence[str]) -> bool:
    """Whether a host is one that was named as ours, or below one (``example.com``)."""
    bare = host.rstrip(".").lower()
    names = [one.lower().removeprefix("*").strip(".") for one in trusted]
    return any(bare == name or bare.endswith("." + name) for name in names if name)


def bare_host(peer: str) -> str:
    """Return the host of ``host:port``; an address of IPv6 is left as it is."""
    head, colon, port = peer.rpartition(":")
    return head if colon and port.isdigit() and ":" not in head else peer
