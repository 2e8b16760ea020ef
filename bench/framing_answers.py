"""Streams of 20 events as each API frames them, with usage at the end; whole answers as bytes."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

from bench.answers import EVENTS, stream_events, stream_head

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT = "word "


def framings() -> dict[str, bytes]:
    """Return a whole streamed answer for each framing."""
    return {
        "chat": stream_head() + b"".join(stream_events()),
        "responses": _whole("text/event-stream", _responses()),
        "anthropic": _whole("text/event-stream", _anthropic()),
        "gemini": _whole("text/event-stream", _gemini()),
        "bedrock": _whole("application/vnd.amazon.eventstream", _bedrock()),
        "ollama": _whole("application/x-ndjson", _ollama()),
    }


def _whole(media_type: str, events: Iterable[bytes]) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(e), e) for e in events) + b"0\r\n\r\n"


def _named(event: dict[str, object]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _responses() -> Iterable[bytes]:
    for _ in range(EVENTS):
        yield _named({"type": "response.output_text.delta", "item_id": "msg_1", "delta": _TEXT})
    usage = {"input_tokens": 212, "output_tokens": EVENTS, "total_tokens": 212 + EVENTS}
    done = {"id": "resp_1", "model": "gpt-4o-mini", "status": "completed", "usage": usage}
    yield _named({"type": "response.completed", "response": {**done, "output": []}})


def _anthropic() -> Iterable[bytes]:
    usage = {"input_tokens": 212, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
               "model": "claude-haiku-4-5", "usage": usage}  # fmt: skip
    yield _named({"type": "message_start", "message": message})
    for _ in range(EVENTS):
        delta = {"type": "text_delta", "text": _TEXT}
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _named({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                  "usage": {"output_tokens": EVENTS}})  # fmt: skip
    yield _named({"type": "message_stop"})


def _gemini() -> Iterable[bytes]:
    for at in range(EVENTS):
        content = {"role": "model", "parts": [{"text": _TEXT}]}
        last = {"finishReason": "STOP"} if at == EVENTS - 1 else {}
        usage = {"promptTokenCount": 212, "candidatesTokenCount": at + 1,
                 "totalTokenCount": 213 + at}  # fmt: skip
        chunk = {"candidates": [{"content": content, **last}], "usageMetadata": usage,
                 "modelVersion": "gemini-2.5-flash", "responseId": "r1"}  # fmt: skip
        yield b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"


def _bedrock() -> Iterable[bytes]:
    for _ in range(EVENTS):
        yield _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": _TEXT}})
    yield _frame("messageStop", {"stopReason": "end_turn"})
    usage = {"inputTokens": 212, "outputTokens": EVENTS, "totalTokens": 212 + EVENTS}
    yield _frame("metadata", {"usage": usage, "metrics": {"latencyMs": 412}})


def _frame(kind: str, payload: dict[str, object]) -> bytes:
    """Return one message of ``application/vnd.amazon.eventstream`` (AWS, event stream encoding)."""
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":event-type", kind.encode()), (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )  # fmt: skip
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def _ollama() -> Iterable[bytes]:
    for _ in range(EVENTS):
        message = {"role": "assistant", "content": _TEXT}
        yield json.dumps({"model": "m", "message": message, "done": False}).encode() + b"\n"
    counts = {"prompt_eval_count": 212, "eval_count": EVENTS}
    last = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, **counts}
    yield json.dumps(last).encode() + b"\n"
