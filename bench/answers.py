"""What the canned provider answers and what the clients ask: OpenAI chat, with usage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "gpt-4o-mini-2024-07-18"
EVENTS = 20
"""Content events of a streamed answer; role, finish and usage events come on top."""

_USAGE = {
    "prompt_tokens": 212,
    "completion_tokens": EVENTS,
    "total_tokens": 212 + EVENTS,
    "prompt_tokens_details": {"cached_tokens": 128, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
    "content-type: {kind}\r\n"
    "openai-processing-ms: 412\r\n"
    "openai-version: 2020-10-01\r\n"
    "x-ratelimit-remaining-requests: 9999\r\n"
    "x-ratelimit-remaining-tokens: 1999000\r\n"
    "x-request-id: req_5d7a0a7c1f1e4b7c8a51c7a3f0c1d2e3\r\n"
    "{length}\r\n\r\n"
)


def plain_answer() -> bytes:
    """Return a whole JSON answer of about 1 KB, head included."""
    body = json.dumps(
        {
            "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
            "object": "chat.completion",
            "created": 1795248000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "word " * EVENTS, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
        }
    ).encode()
    head = _HEAD.format(kind="application/json", length=f"content-length: {len(body)}")
    return head.encode() + body


def message_answer() -> bytes:
    """Return the same as Anthropic's API answers it."""
    body = json.dumps(
        {
            "id": "msg_01AbCdEfGhIjKlMnOpQrStUv",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [{"type": "text", "text": "word " * EVENTS}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 84,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 128,
                "output_tokens": EVENTS,
                "service_tier": "standard",
            },
        }
    ).encode()
    head = _HEAD.format(kind="application/json", length=f"content-length: {len(body)}")
    return head.encode() + body


def stream_head() -> bytes:
    """Return the head of a streamed answer."""
    kind = "text/event-stream; charset=utf-8"
    return _HEAD.format(kind=kind, length="transfer-encoding: chunked").encode()


def stream_events() -> Iterator[bytes]:
    """Yield the events of a streamed answer, each as one HTTP chunk, the last one included."""
    yield _event({"role": "assistant", "content": "", "refusal": None})
    for _ in range(EVENTS):
        yield _event({"content": "word "})
    yield _event({}, finish="stop")
    yield _event(None, usage=True)
    yield _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def content_event() -> bytes:
    """Return one content event as an HTTP chunk."""
    return _event({"content": "word "})


def request_body(size_bytes: int, *, is_stream: bool) -> bytes:
    """Return a chat request of about ``size_bytes``: a system prompt and a conversation."""
    request: dict[str, object] = {
        "model": "gpt-4o-mini",
        "messages": [],
        "temperature": 0.2,
        "max_tokens": 256,
    }
    if is_stream:
        request["stream"] = True
    messages = [{"role": "system", "content": "You are a helpful assistant. " * 4}]
    turn = 'The quick brown fox jumps over the lazy dog, said the "clerk".\n' * 4
    while True:
        request["messages"] = messages
        missing = size_bytes - len(json.dumps(request))
        if missing < 40:
            return json.dumps(request).encode()
        role = "user" if len(messages) % 2 else "assistant"
        messages.append({"role": role, "content": turn[: max(1, missing - 40)]})


def agent_body(dialect: str, size_bytes: int) -> bytes:
    """Return an agent's request: tools, a question, calls and results of a kilobyte each."""
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Which invoices are overdue?"}]
    described = "Search the invoices of one customer by state and month. " * 3
    tools: list[dict[str, Any]] = []
    for at in range(10):
        tool = {"name": f"search_{at}", "description": described}
        if dialect == "openai":
            tools.append({"type": "function", "function": {**tool, "parameters": schema}})
        else:
            tools.append({**tool, "input_schema": schema})
    body = {"model": "m", "tools": tools, "messages": messages, "max_tokens": 100}
    found = '{"id": "inv_7f3a", "state": "overdue", "total": 120.5}\n' * 18
    at = 0
    while len(json.dumps(body)) < size_bytes:
        at += 1
        if dialect == "openai":
            call = {"name": "search_1", "arguments": '{"query": "overdue"}'}
            calls = [{"id": f"call_{at}", "type": "function", "function": call}]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages.append({"role": "tool", "tool_call_id": f"call_{at}", "content": found})
        else:
            use = {"type": "tool_use", "id": f"t{at}", "name": "search_1", "input": {"query": "x"}}
            messages.append({"role": "assistant", "content": [use]})
            result = {"type": "tool_result", "tool_use_id": f"t{at}", "content": found}
            messages.append({"role": "user", "content": [result]})
    return json.dumps(body).encode()


def request_headers(at: int) -> dict[str, str]:
    """Return the headers of the ``at``-th caller: its own key and its owner as W3C baggage."""
    return {
        "Host": "127.0.0.1",
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "OpenAI/Python 3.52.0",
        "authorization": "Bearer sk-bench-not-a-secret",
        "x-stainless-retry-count": "0",
        "baggage": f"tenant.id=tenant-{at % 64},user.id=user-{at},feature=search",
    }


def _event(
    delta: dict[str, object] | None, *, finish: str | None = None, usage: bool = False
) -> bytes:
    data = {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
        "object": "chat.completion.chunk",
        "created": 1795248000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": []
        if delta is None
        else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": _USAGE if usage else None,
    }
    return _chunk(b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
