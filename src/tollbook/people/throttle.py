"""How often a sign-in may fail: by account, by address, each a bucket of attempts that refills.

In memory: a restart forgives, and nothing that strangers send fills the disk. What is kept is
bounded; the oldest is forgotten first.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from tollbook import clock
from tollbook.people.errors import ThrottledError

_ENTRIES_MAX: Final = 20_000
_IPV6_NETWORK_BITS: Final = 64


class Rate(NamedTuple):
    """So many attempts at once, and another after so long."""

    burst: int
    refill_s: float


BY_ACCOUNT: Final = Rate(10, 60.0)
BY_ADDRESS: Final = Rate(30, 10.0)


class Buckets:
    """Attempts that are left, by key; safe in many threads."""

    def __init__(self, rate: Rate, entries_max: int = _ENTRIES_MAX) -> None:
        self._rate, self._entries_max = rate, entries_max
        self._used: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Use one attempt; return 0, or the seconds to wait where none is left."""
        now_ns = clock.monotonic_ns()
        with self._lock:
            used, at_ns = self._used.pop(key, (0.0, now_ns))
            used = max(0.0, used - (now_ns - at_ns) / clock.NS_PER_S / self._rate.refill_s)
            wait_s = max(0.0, (used + 1 - self._rate.burst) * self._rate.refill_s)
            self._used[key] = (used if wait_s else used + 1, now_ns)
            while len(self._used) > self._entries_max:
                self._used.popitem(last=False)
        return wait_s

    def give_back(self, key: str) -> None:
        """Return one attempt that has succeeded."""
        with self._lock:
            used, at_ns = self._used.pop(key, (0.0, 0))
            if used > 1:
                self._used[key] = (used - 1, at_ns)


class Throttle:
    """What stands before every check of a password."""

    def __init__(self) -> None:
        self._accounts, self._addresses = Buckets(BY_ACCOUNT), Buckets(BY_ADDRESS)

    def attempt(self, name: str, address: str) -> None:
        """Use an attempt of a name and of an address.

        Raises:
            ThrottledError: none is left.
        """
        wait_s = self._addresses.take(network_of(address)) or self._accounts.take(name)
        if wait_s:
            raise ThrottledError(math.ceil(wait_s))

    def succeeded(self, name: str, address: str) -> None:
        """Give the attempt back."""
        self._addresses.give_back(network_of(address))
        self._accounts.give_back(name)


def network_of(address: str) -> str:
    """Return what one subscriber has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK_BITS), strict=False))
