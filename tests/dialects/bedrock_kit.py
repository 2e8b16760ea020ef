"""A Bedrock dialect to ask, and the wrappings that its answers come in."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.dialects.aws_kit import event

from tollbook.dialects.base import Metered, RequestFacts, Route
from tollbook.dialects.registry import dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterable

BEDROCK = dialect_named("bedrock")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:"
STREAM = {b"content-type": b"application/vnd.amazon.eventstream"}
JSON = {b"content-type": b"application/json"}


def path(model: str, action: str) -> str:
    return f"/model/{quote(model, safe='')}/{action}"


def route(action: str = "converse", model: str = CLAUDE) -> Route:
    return BEDROCK.route("POST", path(model, action))


def read(body: bytes | dict[str, Any], action: str = "converse", **more: Any) -> RequestFacts:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BEDROCK.read_request(
        route(action, more.pop("model", CLAUDE)), raw, inject_stream_usage=True, user_is="user"
    )


def run(
    body: bytes,
    headers: dict[bytes, bytes] = STREAM,
    *,
    on: Route | None = None,
    status: int = 200,
    cuts: Iterable[int] = (),
) -> Metered:
    meter = BEDROCK.meter(on or route(), RequestFacts(b""), status, headers)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    shown = b"".join(meter.feed(body[start:end]) for start, end in pairwise(edges))
    assert shown + meter.flush() == body
    return meter.result()


def chunk(document: dict[str, Any]) -> bytes:
    wrapped = base64.b64encode(json.dumps(document).encode()).decode()
    return event("chunk", json.dumps({"bytes": wrapped, "p": "abcdef"}).encode())


def converse_event(name: str, document: dict[str, Any]) -> bytes:
    return event(name, json.dumps({**document, "p": "abc"}).encode())


def objects(seen: Metered) -> list[Any]:
    return [json.loads(raw) for raw in seen.usage]


USAGE = {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17, "serverToolUsage": {}}
