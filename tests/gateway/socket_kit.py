"""WebSockets by hand: frames, handshakes, a scriptable provider that speaks them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any

import msgspec
from tests.gateway.kit import Gateway, Provider, Received, read_head, running

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable

REALTIME = "/openai/v1/realtime?model=gpt-realtime"
KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(
    hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
).decode()
USAGE = (
    b'{"total_tokens":12,"input_tokens":5,"output_tokens":7,"input_token_details":{"text_tokens":5,'
    b'"audio_tokens":0},"output_token_details":{"text_tokens":7,"audio_tokens":0}}'
)


def frame(
    payload: bytes, opcode: int = 1, *, is_final: bool = True, is_masked: bool = True, rsv: int = 0
) -> bytes:
    """Return one frame."""
    size = len(payload)
    head = bytes((opcode | 0x80 * is_final | rsv,))
    mask_bit = 0x80 * is_masked
    if size < 126:
        head += bytes((size | mask_bit,))
    elif size < 1 << 16:
        head += bytes((126 | mask_bit,)) + size.to_bytes(2)
    else:
        head += bytes((127 | mask_bit,)) + size.to_bytes(8)
    if not is_masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def down(payload: bytes, **options: Any) -> bytes:
    """Return a frame of the provider."""
    return frame(payload, is_masked=False, **options)


def event(kind: str, **members: Any) -> bytes:
    return msgspec.json.encode({"type": kind, **members})


def created(response: str = "resp_1") -> bytes:
    return event("response.created", response={"id": response, "status": "in_progress"})


def done(response: str = "resp_1", status: str = "completed") -> bytes:
    return msgspec.json.encode(
        {
            "type": "response.done",
            "response": {"id": response, "status": status, "usage": msgspec.Raw(USAGE)},
        }
    )


def handshake(path: str = REALTIME, headers: str = "", *, authorization: bool = True) -> bytes:
    key = "Authorization: Bearer sk-own\r\n" if authorization else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{key}{headers}\r\n"
    ).encode()


def switching(headers: str = "", accept: str = ACCEPT) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-accept: {accept}\r\n{headers}\r\n"
    ).encode()


class SocketProvider(Provider):
    """Answers a handshake, then does what ``talk`` says."""

    def __init__(
        self,
        talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None,
        *,
        answer: bytes | None = None,
    ) -> None:
        super().__init__(self._accept)
        self._talk = talk
        self._answer = switching() if answer is None else answer
        self.seen = b""

    async def _accept(
        self,
        _: Provider,
        __: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(self._answer)
        if self._talk is not None:
            await self._talk(reader, writer)
        else:
            while data := await reader.read(65536):
                self.seen += data
        await writer.drain()
        writer.close()


class Line:
    """A client's end of a tunnel."""

    def __init__(self, gateway: Gateway, reader: Any, writer: Any) -> None:
        self.gateway, self.reader, self.writer = gateway, reader, writer
        self.head: dict[str, str] = {}
        self.status = 0

    async def open(self, request: bytes) -> None:
        self.writer.write(request)
        line, headers = await read_head(self.reader)
        self.status, self.head = int(line.split()[1]), dict(headers)

    async def exactly(self, data: bytes) -> None:
        """Expect these very bytes."""
        assert await self.reader.readexactly(len(data)) == data


@contextlib.asynccontextmanager
async def tunnel(
    provider: Provider, request: bytes | None = None, **options: Any
) -> AsyncIterator[Line]:
    """Open a socket through a gateway."""
    async with running(provider, **options) as gateway:
        client = await gateway.client()
        line = Line(gateway, client.reader, client.writer)
        await line.open(handshake() if request is None else request)
        yield line
