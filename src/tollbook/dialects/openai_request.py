"""Read an OpenAI request body: model, stream, limits, text length and owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct

from tollbook.dialects.base import RequestFacts, Route
from tollbook.dialects.layer_marks import MEMBER, take_marks
from tollbook.dialects.openai_layers import (
    chat_layers,
    plain_layers,
    rerank_layers,
    responses_layers,
)
from tollbook.dialects.openai_paths import RERANK
from tollbook.dialects.request_body import (
    BodyReader,
    as_count,
    as_model,
    asked_for_usage,
    text_length,
    without_litellm_metadata,
)
from tollbook.dialects.request_layers import UNKNOWN, Layered
from tollbook.dialects.request_owners import Owners, claims_from_body

if TYPE_CHECKING:
    from tollbook.identity.claims import Claims

TAKES_STREAM_OPTIONS: Final = frozenset({"chat", "text_completion"})
"""The Responses API always reports usage and refuses the option."""

_BACKGROUND: Final[dict[str, str | int]] = {"background": 1}

_MEMBER: Final = MEMBER.encode()


class _Body(Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    stream_options: Raw = Raw()
    background: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: Raw = Raw()
    litellm_metadata: Raw = Raw()
    tags: Raw = Raw()
    messages: Raw = Raw()
    input: Raw = Raw()
    prompt: Raw = Raw()
    instructions: Raw = Raw()
    tools: Raw = Raw()
    functions: Raw = Raw()
    response_format: Raw = Raw()
    text: Raw = Raw()
    query: Raw = Raw()
    documents: Raw = Raw()
    previous_response_id: Raw = Raw()
    conversation: Raw = Raw()


_read = BodyReader(
    _Body,
    {
        "model": str,
        "stream": bool,
        "background": bool,
        "max_tokens": int,
        "max_completion_tokens": int,
        "max_output_tokens": int,
        "user": str,
        "safety_identifier": str,
    },
).read


def read_openai_request(
    route: Route, body: bytes, *, inject_stream_usage: bool, user_is: str
) -> RequestFacts:
    """Return the facts of a metered request; see :class:`RequestFacts`. Never raises."""
    read = _read(body)
    if read is None:
        return RequestFacts(body)
    is_stream = read.stream is True
    forwarded = None
    if is_stream and inject_stream_usage and route.operation in TAKES_STREAM_OPTIONS:
        forwarded = asked_for_usage(body, read.stream_options)
    claims: tuple[Claims, ...] = ()
    user = read.user or read.safety_identifier
    if user or read.metadata or read.litellm_metadata or read.tags:
        where = "user" if read.user else "safety_identifier"
        owners = Owners(read.metadata, read.litellm_metadata, read.tags, user, where)
        claims = claims_from_body(owners, user_is)
    hides_usage = forwarded is not None
    sent = body if forwarded is None else forwarded
    marks = None
    if read.metadata and _MEMBER in bytes(read.metadata):
        sent, marks = take_marks(sent, read.metadata)
    # Copied once for all that look at them.
    told = bytes(read.messages or read.input)
    tools = bytes(read.tools) if read.tools else b""
    return RequestFacts(
        body=without_litellm_metadata(sent) if read.litellm_metadata else sent,
        model=as_model(read.model),
        is_stream=is_stream,
        max_output_tokens=as_count(
            read.max_completion_tokens or read.max_output_tokens or read.max_tokens
        ),
        input_chars=text_length(
            (read.query, read.documents)
            if route.operation == RERANK
            else (
                told, read.input if read.messages else b"", read.prompt, read.instructions, tools,
                read.functions, read.response_format, read.text,
            )
        ),
        claims=claims,
        hides_usage=hides_usage,
        asked=_BACKGROUND if read.background else None,
        layered=_layered(route.operation, read, told, tools),
        marks=marks,
    )  # fmt: skip


def _layered(operation: str, read: _Body, told: bytes, tools: bytes) -> Layered:
    """Return the sections; unknown where a part of the prompt is kept by the provider."""
    if read.messages:
        return chat_layers(told, tools, read.functions, read.response_format)
    if operation == "responses":
        if read.previous_response_id or read.conversation or read.prompt:
            return UNKNOWN
        return responses_layers(told, read.instructions, tools, read.text)
    if operation == RERANK:
        return rerank_layers(read.query, read.documents)
    return plain_layers(read.prompt, told)
