"""A small WebSocket server side (RFC 6455), for the simulated providers' sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from tollbook.simulator.provider.answers import Header

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT: Final = 0x1
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_SHORT: Final = 126
_LONG: Final = 127
MESSAGE_MAX_BYTES: Final = 64 * 1024 * 1024


class Talker(Protocol):
    """What answers the messages of one socket."""

    def begin(self, socket: Socket) -> None:
        """Greet: the handshake is done."""

    def message(self, text: bytes) -> None:
        """Take a whole message."""

    def gone(self) -> None:
        """Take that the socket is closed."""


def accepted(key: str, headers: list[Header], protocol: str | None) -> bytes:
    """Return the 101 that answers a handshake."""
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-accept: " + base64.b64encode(digest),
        *(b"%b: %b" % header for header in headers),
    ]
    if protocol is not None:
        lines.append(b"sec-websocket-protocol: " + protocol.encode())
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Socket(asyncio.Protocol):
    """One connection after its handshake.

    Args:
        talker: answers messages.
        is_fragmented: send messages in three frames with a ping between them.
    """

    def __init__(self, talker: Talker, *, is_fragmented: bool) -> None:
        self._talker = talker
        self._is_fragmented = is_fragmented
        self._buffer = b""
        self._message = b""
        self._transport: asyncio.Transport | None = None
        self.pongs = 0

    def take_over(self, transport: asyncio.BaseTransport, rest: bytes) -> None:
        """Begin on a connection whose handshake has been answered."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_protocol(self)
        self._talker.begin(self)
        self.data_received(rest)

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        self._buffer += data
        while (frame := self._frame()) is not None:
            is_final, opcode, payload = frame
            if opcode == _PING:
                self._write(_PONG, payload)
            elif opcode == _PONG:
                self.pongs += 1
            elif opcode == _CLOSE:
                self._write(_CLOSE, payload)
                self.close()
                return
            else:
                self._message += payload
                if is_final:
                    text, self._message = self._message, b""
                    self._talker.message(text)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the talker."""
        del exc
        self._transport = None
        self._talker.gone()

    def send(self, text: bytes) -> None:
        """Send a text message."""
        if not self._is_fragmented or len(text) < 3:  # noqa: PLR2004 -- three frames
            self._write(_TEXT, text)
            return
        third = len(text) // 3
        self._write(_TEXT, text[:third], is_final=False)
        self._write(_PING, b"between")
        self._write(0, text[third : 2 * third], is_final=False)
        self._write(0, text[2 * third :])

    def close(self, *, is_abrupt: bool = False) -> None:
        """Close the connection; abruptly without what is still to be sent."""
        if self._transport is not None:
            if is_abrupt:
                self._transport.abort()
            else:
                self._transport.close()

    def say_goodbye(self, code: int) -> None:
        """Send a Close frame."""
        self._write(_CLOSE, code.to_bytes(2))

    def _write(self, opcode: int, payload: bytes, *, is_final: bool = True) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        size = len(payload)
        head = bytes((opcode | 0x80 * is_final,))
        if size < _SHORT:
            head += bytes((size,))
        elif size < 1 << 16:
            head += bytes((_SHORT,)) + size.to_bytes(2)
        else:
            head += bytes((_LONG,)) + size.to_bytes(8)
        self._transport.write(head + payload)

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """Take a whole frame off the buffer; a client that does not mask is cut off."""
        data = self._buffer
        if len(data) < 2:  # noqa: PLR2004 -- flags and length
            return None
        size, at = data[1] & 0x7F, 2
        if size >= _SHORT:
            at = 4 if size == _SHORT else 10
            size = int.from_bytes(data[2:at])
        if not data[1] & 0x80 or size > MESSAGE_MAX_BYTES:
            self.close(is_abrupt=True)
            self._buffer = b""
            return None
        end = at + 4 + size
        if len(data) < end:
            return None
        mask = data[at : at + 4]
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data[at + 4 : end]))
        self._buffer = data[end:]
        return bool(data[0] & 0x80), data[0] & 0x0F, payload
