"""Requests and answers of the two oldest APIs, as the cases need them."""

from __future__ import annotations

from typing import Any

CHAT: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "x" * 80}]}
STREAM: dict[str, Any] = {**CHAT, "stream": True}
MESSAGE: dict[str, Any] = {**CHAT, "max_tokens": 100}
ANTHROPIC = "/v1/messages"


def completion(usage: Any = None, *, text: str = "hello", **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                     "finish_reason": "stop"}],
    }  # fmt: skip
    if usage is not None:
        answer["usage"] = usage
    return answer | fields


def chunk(text: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    made: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", "choices": choices
    }  # fmt: skip
    return made | fields


STOP: dict[str, Any] = chunk() | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def usage(given: int, out: int, *, cached: int = 0, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "prompt_tokens": given, "completion_tokens": out, "total_tokens": given + out
    }  # fmt: skip
    if cached:
        made["prompt_tokens_details"] = {"cached_tokens": cached}
    return made | fields


def final(*counts: int, **fields: Any) -> dict[str, Any]:
    return chunk(usage=usage(*counts, **fields))


def message(usage: Any, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
        "content": [{"type": "text", "text": "hello"}], "usage": usage,
    }  # fmt: skip
    return made | fields


def message_stream(
    start: Any, delta: Any, *, text: str = "hello", **fields: Any
) -> list[dict[str, Any]]:
    return [
        {"type": "message_start", "message": message(start, content=[], **fields)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": delta},
        {"type": "message_stop"},
    ]  # fmt: skip


def body_of(seen: bytes) -> bytes:
    """Return the body of a chunked answer without its framing."""
    rest, body = seen.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            break
    return body


FAULT = {"error": {"type": "server_error", "code": "server_error", "message": "no"}}
START = {"input_tokens": 30, "output_tokens": 1, "cache_read_input_tokens": 4000}
WORDS = message_stream(START, {"output_tokens": 400}, text="some words")
CACHED = {
    "input_tokens": 20, "cache_read_input_tokens": 5000, "cache_creation_input_tokens": 0,
    "output_tokens": 100,
}  # fmt: skip
DONE_USAGE = usage(1, 1)
