"""Read an Anthropic Messages request body: model, stream, limit, text length and owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct

from tollbook.dialects.anthropic_layers import anthropic_layers
from tollbook.dialects.base import RequestFacts
from tollbook.dialects.layer_marks import MEMBER, take_marks
from tollbook.dialects.request_body import (
    BodyReader,
    as_count,
    as_model,
    text_length,
    without_litellm_metadata,
)
from tollbook.dialects.request_owners import Owners, claims_from_body

if TYPE_CHECKING:
    from tollbook.identity.claims import Claims

_MEMBER: Final = MEMBER.encode()


class _Body(Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    metadata: Raw = Raw()
    litellm_metadata: Raw = Raw()
    tags: Raw = Raw()
    system: Raw = Raw()
    messages: Raw = Raw()
    tools: Raw = Raw()


_read = BodyReader(_Body, {"model": str, "stream": bool, "max_tokens": int}).read


def read_anthropic_request(body: bytes, *, user_is: str) -> RequestFacts:
    """Return the facts of a metered request; see :class:`RequestFacts`. Never raises."""
    read = _read(body)
    if read is None:
        return RequestFacts(body)
    claims: tuple[Claims, ...] = ()
    if read.metadata or read.litellm_metadata or read.tags:
        owners = Owners(
            read.metadata, read.litellm_metadata, read.tags, user_where="metadata.user_id"
        )
        claims = claims_from_body(owners, user_is)
    marks = None
    if read.metadata and _MEMBER in bytes(read.metadata):
        body, marks = take_marks(body, read.metadata)
    messages = bytes(read.messages)  # copied once for all that look at it
    tools = bytes(read.tools) if read.tools else b""
    return RequestFacts(
        body=without_litellm_metadata(body) if read.litellm_metadata else body,
        model=as_model(read.model),
        is_stream=read.stream is True,
        max_output_tokens=as_count(read.max_tokens),
        input_chars=text_length((messages, read.system, tools)),
        claims=claims,
        layered=anthropic_layers(messages, read.system, tools),
        marks=marks,
    )
