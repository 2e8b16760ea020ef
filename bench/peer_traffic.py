"""Calls to a provider that misbehaves as real ones do, with what it bills for each of them.

The same calls go through every peer; what its books say afterwards is held against ``BILLED``.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_S = 60.0
_case = re.compile(rb"case:([a-z0-9-]+)").search
_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_NANO_USD = {
    "gpt-4o": (2500, 1250, 0, 0, 10_000),
    "gpt-4o-mini": (150, 75, 0, 0, 600),
    "text-embedding-3-small": (20, 0, 0, 0, 0),
    "claude-sonnet-4-5": (3000, 300, 3750, 6000, 15_000),
}
"""A token of input, cache read, cache write of 5 minutes and of an hour, output: list prices in
10^-9 dollars, which is dollars per million tokens times a thousand."""

Step = bytes | float
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Billed(NamedTuple):
    """What the provider bills for one call."""

    model: str
    uncached: int = 0
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    output: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return sum(self[1:])

    @property
    def nano_usd(self) -> int:
        """The amount due, in 10^-9 dollars."""
        return sum(n * rate for n, rate in zip(self[1:], _NANO_USD[self.model], strict=True))


class PeerCase(NamedTuple):
    """One call: what the client asks and does, what the provider answers, what it bills."""

    name: str
    says: str
    """What is odd about it, for the table."""
    body: dict[str, Any]
    steps: Sequence[Step]
    billed: Billed
    path: str = "/v1/chat/completions"
    leaves_at: bytes | float | None = None
    times: int = 1


def _json(body: Any, status: str = "200 OK") -> list[Step]:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return [head.encode() + b"\r\n\r\n" + data]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _sse(*events: Any, done: bool = True) -> list[bytes]:
    made = []
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        made.append(_chunk(f"{name}data: {json.dumps(event)}\n\n".encode()))
    return [*made, _chunk(b"data: [DONE]\n\n")] if done else made


def _stream(events: Sequence[bytes]) -> list[Step]:
    return [_STREAM_HEAD, *events, b"0\r\n\r\n"]


def _chat(name: str, model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    text = f"case:{name} " + "please answer " * 20
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def _completion(model: str, usage: Any, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "word " * 40}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    made = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [choice]}  # fmt: skip
    return made | ({} if usage is None else {"usage": usage}) | more


def _delta(text: str | None, model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    made = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    return made | {"choices": choices} | more


_STOP = _delta(None) | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def _usage(given: int, out: int, cached: int = 0) -> dict[str, Any]:
    return {"prompt_tokens": given, "completion_tokens": out, "total_tokens": given + out,
            "prompt_tokens_details": {"cached_tokens": cached}}  # fmt: skip


def _message(usage: Any, model: str = "claude-sonnet-4-5", **more: Any) -> dict[str, Any]:
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": "word " * 40}], "stop_reason": "end_turn",
            "stop_sequence": None, "usage": usage}  # fmt: skip
    return made | more


def _message_events(start: Any, delta: Any, texts: int) -> list[dict[str, Any]]:
    text = {"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "word " * 4}}  # fmt: skip
    return [
        {"type": "message_start", "message": _message(start, content=[], stop_reason=None)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[text] * texts,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": delta},
        {"type": "message_stop"},
    ]


def _claude(name: str, **more: Any) -> dict[str, Any]:
    return _chat(name, "claude-sonnet-4-5", max_tokens=1000, **more)


_MESSAGES = "/v1/messages"
_LONG = _sse(*[_delta("word " * 4)] * 20, done=False)
_END = _sse(_STOP, _delta(None, usage=_usage(1000, 500)))
_CLAUDE_START = {"input_tokens": 30, "cache_read_input_tokens": 4000, "output_tokens": 1}
_CLAUDE_LONG = _sse(*_message_events(_CLAUDE_START, {"output_tokens": 400}, 20), done=False)
_SPLIT_WRITES = {
    "input_tokens": 10, "output_tokens": 50, "cache_creation_input_tokens": 3000,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
    "cache_read_input_tokens": 0,
}  # fmt: skip
_ERROR = {"error": {"message": "The server had an error", "type": "server_error", "code": None}}
_GPT, _MINI, _SONNET = "gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"

CASES: tuple[PeerCase, ...] = (
    PeerCase("plain", "nothing odd", _chat("plain"), _json(_completion(_GPT, _usage(1000, 100))),
             Billed(_GPT, 1000, output=100)),
    PeerCase("cached", "cached input within the prompt", _chat("cached"),
             _json(_completion(_GPT, _usage(2006, 300, 1920))),
             Billed(_GPT, 86, 1920, output=300)),
    PeerCase("stream", "stream, usage not asked for by the client", _chat("stream", stream=True),
             _stream([*_LONG, *_END]), Billed(_GPT, 1000, output=500)),
    PeerCase("stream-leaves", "the client leaves a stream; the provider goes on",
             _chat("stream-leaves", stream=True), [_STREAM_HEAD, *_LONG, 0.3, *_LONG, *_END,
             b"0\r\n\r\n"], Billed(_GPT, 1000, output=500), leaves_at=b"word"),
    PeerCase("plain-leaves", "the client leaves before a plain answer", _chat("plain-leaves"),
             [1.0, *_json(_completion(_GPT, _usage(1000, 500)))],
             Billed(_GPT, 1000, output=500), leaves_at=0.4),
    PeerCase("usage-then-error", "an error after the usage in a stream",
             _chat("usage-then-error", stream=True),
             _stream([*_LONG, *_sse(_STOP, _delta(None, usage=_usage(1000, 500)), _ERROR,
                                    done=False)]), Billed(_GPT, 1000, output=500)),
    PeerCase("zero", "an explicit usage of zero", _chat("zero"),
             _json(_completion(_GPT, _usage(0, 0))), Billed(_GPT)),
    PeerCase("served-other", "another model served than was asked for", _chat("served-other"),
             _json(_completion("gpt-4o-mini-2024-07-18", _usage(10_000, 1000))),
             Billed(_MINI, 10_000, output=1000)),
    PeerCase("same-ids", "three streams with one id", _chat("same-ids", stream=True),
             _stream([*_LONG, *_END]), Billed(_GPT, 1000, output=500), times=3),
    PeerCase("error", "the provider refuses and bills nothing", _chat("error"),
             _json(_ERROR, "500 Internal Server Error"), Billed(_GPT)),
    PeerCase("embeddings", "embeddings", {"model": "text-embedding-3-small",
             "input": "case:embeddings " + "word " * 40},
             _json({"object": "list", "model": "text-embedding-3-small", "data": [
                 {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
                 "usage": {"prompt_tokens": 50_000, "total_tokens": 50_000}}),
             Billed("text-embedding-3-small", 50_000), path="/v1/embeddings"),
    PeerCase("messages", "messages with cache reads", _claude("messages"),
             _json(_message({"input_tokens": 20, "cache_read_input_tokens": 5000,
                             "cache_creation_input_tokens": 0, "output_tokens": 100})),
             Billed(_SONNET, 20, 5000, output=100), path=_MESSAGES),
    PeerCase("messages-1h", "cache writes of five minutes and of an hour", _claude("messages-1h"),
             _json(_message(_SPLIT_WRITES)),
             Billed(_SONNET, 10, 0, 1000, 2000, 50), path=_MESSAGES),
    PeerCase("messages-stream", "the same prompt streamed", _claude("messages-stream", stream=True),
             _stream(_CLAUDE_LONG), Billed(_SONNET, 30, 4000, output=400), path=_MESSAGES),
    PeerCase("messages-leaves", "the stop button on messages",
             _claude("messages-leaves", stream=True),
             [_STREAM_HEAD, *_CLAUDE_LONG[:4], 0.5, *_CLAUDE_LONG[4:], b"0\r\n\r\n"],
             Billed(_SONNET, 30, 4000, output=400), path=_MESSAGES, leaves_at=b"word"),
)  # fmt: skip


class MisbehavingProvider:
    """Answers by the case that a request's text names; listens on its own thread."""

    def __init__(self) -> None:
        self.port = 0
        self.answered: dict[str, int] = {}
        self._cases = {case.name: case for case in CASES}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _length(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                found = _case(body)
                if found is None:
                    writer.write(_NOT_FOUND)
                    continue
                case = self._cases[found[1].decode()]
                self.answered[case.name] = self.answered.get(case.name, 0) + 1
                for step in case.steps:
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        await asyncio.sleep(step)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def play(port: int, prefixes: dict[str, str], headers: dict[str, str]) -> None:
    """Send every case, one after the other.

    Args:
        port: of the peer.
        prefixes: what comes before the path, for ``openai`` and ``anthropic``.
        headers: of every request.
    """
    for case in CASES:
        family = "anthropic" if case.path == _MESSAGES else "openai"
        for _ in range(case.times):
            await _one(case, port, prefixes[family], headers)


async def _one(case: PeerCase, port: int, prefix: str, headers: dict[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(case.body).encode()
    lines = [f"POST {prefix}{case.path} HTTP/1.1", "host: peer", "connection: close",
             "content-type: application/json", f"content-length: {len(body)}",
             f"x-tollbook-tenant: {case.name}",
             *(f"{name}: {value}" for name, value in headers.items())]  # fmt: skip
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    received = b""
    try:
        async with asyncio.timeout(_LIMIT_S):
            if isinstance(case.leaves_at, float):
                await asyncio.sleep(case.leaves_at)
                return
            while case.leaves_at is None or case.leaves_at not in received:
                data = await reader.read(65_536)
                if not data:
                    break
                received += data
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
