"""The two connections of a WebSocket tunnel, as the event loop calls them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools

from tollbook.capture.gateway.upstream import MAX_HEAD_BYTES, MAX_HEADERS, ProtocolError

if TYPE_CHECKING:
    from tollbook.dialects.base import Header

MAX_DECLINED_BYTES: Final = 1024 * 1024
"""Largest body of a provider's refusal."""
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_FINAL: Final = 200


class Tunnel(Protocol):
    """What the two sides tell."""

    def client_data(self, data: bytes) -> None:
        """Take bytes of the client."""

    def client_lost(self) -> None:
        """Take that the client is gone."""

    def client_is_slow(self, *, is_slow: bool) -> None:
        """Rest while the client takes no more, or go on."""

    def provider_accepted(self, headers: list[Header], rest: bytes) -> None:
        """Take the provider's 101 and the bytes behind it."""

    def provider_declined(self, status: int, headers: list[Header], body: bytes) -> None:
        """Take another answer, whole."""

    def provider_data(self, data: bytes) -> None:
        """Take bytes of the provider."""

    def provider_lost(self, error: Exception | None) -> None:
        """Take that the provider is gone."""

    def provider_is_slow(self, *, is_slow: bool) -> None:
        """Rest while the provider takes no more, or go on."""


class ClientSide(asyncio.Protocol):
    """Takes over the client's connection behind the head of its handshake."""

    __slots__ = ("_tunnel",)

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def data_received(self, data: bytes) -> None:
        """Pass."""
        self._tunnel.client_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass."""
        del exc
        self._tunnel.client_lost()

    def pause_writing(self) -> None:
        """Pass."""
        self._tunnel.client_is_slow(is_slow=True)

    def resume_writing(self) -> None:
        """Pass."""
        self._tunnel.client_is_slow(is_slow=False)


class ProviderSide(asyncio.Protocol):
    """Reads the provider's answer to the handshake, then passes bytes."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._status = 0
        self._body = b""
        self._size = 0
        self._is_complete = False
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass, or read the answer to the handshake."""
        if self._parser is None:
            self._tunnel.provider_data(data)
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
            if self._size > MAX_HEAD_BYTES + MAX_DECLINED_BYTES:
                raise ProtocolError("its answer to the handshake is too large")  # noqa: TRY301 -- one way out
        except httptools.HttpParserUpgrade as upgrade:
            if self._status == _SWITCHING_PROTOCOLS:
                self._parser = None
                self._tunnel.provider_accepted(self._headers, data[upgrade.args[0] :])
                return
            self._fail(ProtocolError("it asks to switch protocols in its turn"))
        except (httptools.HttpParserError, ProtocolError) as error:
            self._fail(ProtocolError(str(error)))
        else:
            if self._is_complete:
                self._declined()

    def eof_received(self) -> bool:
        """Close; an answer without a length ends here."""
        if self._parser is not None and self._status >= _FIRST_FINAL:
            self._declined()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass."""
        self._parser = None
        self._tunnel.provider_lost(exc)

    def pause_writing(self) -> None:
        """Pass."""
        self._tunnel.provider_is_slow(is_slow=True)

    def resume_writing(self) -> None:
        """Pass."""
        self._tunnel.provider_is_slow(is_slow=False)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """Forget an interim answer's head."""
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if len(self._headers) >= MAX_HEADERS:
            raise ProtocolError(f"over {MAX_HEADERS} response headers")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note the status."""
        assert self._parser is not None
        self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Keep the body of a refusal."""
        self._body += data

    def on_message_complete(self) -> None:
        """Note the end of a refusal; interim answers come before the one that counts."""
        self._is_complete = self._status >= _FIRST_FINAL

    def _declined(self) -> None:
        self._parser = None
        self._tunnel.provider_declined(self._status, self._headers, self._body)
        self.transport.close()

    def _fail(self, error: ProtocolError) -> None:
        self._parser = None
        self._tunnel.provider_lost(error)
        self.transport.abort()
