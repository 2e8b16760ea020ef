"""Open connections to one provider: cached DNS, happy eyeballs, verified TLS.

Addresses are kept for 30 seconds and used on, stale, while the resolver fails. uvloop has no happy
eyeballs (RFC 8305) of its own, so ``aiohappyeyeballs`` connects the socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

import aiohappyeyeballs

from tollbook import clock
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohappyeyeballs import AddrInfoType

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
DNS_TTL_NS: Final = 30 * clock.NS_PER_S
_EYEBALLS_DELAY_S: Final = 0.25


class CaFileError(TollbookError):
    """A provider's ca_file cannot be used."""

    def __init__(self, provider: str, path: str, problem: str) -> None:
        super().__init__(
            f"providers.{provider}.ca_file: {path}: {problem}; expected a file of PEM certificates"
        )


def tls_context(provider: str, ca_file: str | None) -> ssl.SSLContext:
    """Return a verifying client context: the system's roots, or those of ``ca_file``.

    Raises:
        CaFileError: the file cannot be read or holds no certificate.
    """
    if ca_file is None:
        return _system_context()
    try:
        return _context(ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not PEM"
        raise CaFileError(provider, ca_file, reason) from error


@cache
def _system_context() -> ssl.SSLContext:
    """Return what providers share: reading the system's roots takes a tenth of a second."""
    return _context(None)


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialer:
    """Connects to one host and port."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        timeout_s: float,
    ) -> None:
        self._loop = loop
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout_s = timeout_s
        self._addresses: list[AddrInfoType] = []
        self._resolved_ns = 0

    async def dial(self, new: Callable[[], _P]) -> _P:
        """Return a new connection, ready to send on.

        Raises:
            OSError: no address answers, or TLS fails (ssl.SSLError is one).
            TimeoutError: not within the connect timeout.
        """
        async with asyncio.timeout(self._timeout_s):
            sock = await self._connect()
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                _, protocol = await self._loop.create_connection(
                    new,
                    sock=sock,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
            except BaseException:
                sock.close()
                raise
        return protocol

    async def _connect(self) -> socket.socket:
        addresses = await self._resolve()
        try:
            return await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_EYEBALLS_DELAY_S, loop=self._loop
            )
        except OSError:
            self._resolved_ns = 0  # the name may have moved
            raise

    async def _resolve(self) -> list[AddrInfoType]:
        now_ns = clock.monotonic_ns()
        if self._resolved_ns and now_ns - self._resolved_ns < DNS_TTL_NS:
            return self._addresses
        try:
            found = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            if not self._addresses:
                raise
            return self._addresses
        self._addresses = list(found)
        self._resolved_ns = now_ns
        return self._addresses
