"""What a client without an SDK reads out of an answer: how it ended, its id, its usage."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

_ID = re.compile(rb'"id":\s*"((?:chatcmpl-|cmpl-|resp_|msg_)[^"]*)"')
_CONTENT = re.compile(
    rb'"delta":\{"content":"[^"]|"tool_calls":\[|"text":"|output_text\.delta"|arguments\.delta"'
    rb"|content_block_delta"
)


class View(NamedTuple):
    """An answer's meaning."""

    is_complete: bool
    response_id: str | None
    events: int
    input_tokens: int | None
    output_tokens: int | None


def count_content(chunk: bytes) -> int:
    """Return how many ``data:`` lines of a stream's piece may carry content."""
    return sum(1 for line in chunk.split(b"\n") if line[:5] == b"data:" and _CONTENT.search(line))


def view_plain(body: bytes) -> View:
    """Read a JSON answer."""
    try:
        fields = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return View(False, None, 0, None, None)
    if not isinstance(fields, dict):
        return View(False, None, 0, None, None)
    return View(True, fields.get("id"), 0, *_tokens(fields.get("usage")))


def view_stream(body: bytes) -> View:
    """Read a whole event stream."""
    events = body.count(b"\ndata:") + body.startswith(b"data:")
    found = _ID.search(body)
    response_id = found[1].decode() if found else None
    is_complete = (
        b"data: [DONE]" in body
        or b"event: message_stop" in body
        or b"event: response.completed" in body
        or b"event: response.incomplete" in body
    ) and b"event: error" not in body
    usage: dict[str, Any] = {}
    for line in body.split(b"\n"):
        if line.startswith(b"data: {") and b'"usage":{' in line:
            fields = msgspec.json.decode(line[6:])
            part = fields.get("usage")
            for holder in ("message", "response"):
                part = part or fields.get(holder, {}).get("usage")
            usage |= part or {}
    return View(is_complete, response_id, events, *_tokens(usage))


def _tokens(usage: object) -> tuple[int | None, int | None]:
    """Return input (cached included) and output tokens."""
    if not isinstance(usage, dict) or not usage:
        return None, None
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    given = usage.get("input_tokens", usage.get("prompt_tokens"))
    output = usage.get("output_tokens", usage.get("completion_tokens"))
    return None if given is None else given + cached + written, output
