"""Read a Bedrock request body: limits, text length, owners, and what only the request says.

``converse`` has one shape. ``invoke`` takes the body of the model's maker: Anthropic, Nova, Titan,
Llama, Mistral, Cohere, AI21, Stability and others (Bedrock user guide, "Inference request
parameters and response fields"). Their members do not contradict each other, so one reader knows
them all.
The model and whether it streams are in the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct

from tollbook.dialects.base import RequestFacts, Route
from tollbook.dialects.bedrock_layers import conversation_layers
from tollbook.dialects.cohere_layers import message_layers
from tollbook.dialects.openai_layers import plain_layers, rerank_layers
from tollbook.dialects.request_body import (
    BodyReader,
    any_of,
    as_count,
    text_length,
    without_litellm_metadata,
)
from tollbook.dialects.request_owners import Owners, claims_from_body
from tollbook.identity.claims import Claims, Mechanism
from tollbook.identity.names import put_mapping
from tollbook.identity.values import ClaimsBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.dialects.request_layers import Layered

_LIMITS: Final = ("maxTokens", "max_new_tokens", "maxTokenCount")
"""As converse and Nova, older Nova, and Titan call the limit inside their settings."""
_MAX_WORD_CHARS: Final = 32
_MAX_PIXELS: Final = 65_536
_MAX_IMAGES: Final = 1000


class _Body(Struct, gc=False):
    # Limits
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_gen_len: int | None = None  # Llama
    max_tokens_to_sample: int | None = None  # Claude 2
    inferenceConfig: Raw = Raw()  # noqa: N815 -- the provider's name, like those below
    textGenerationConfig: Raw = Raw()  # noqa: N815
    # Text
    messages: Raw = Raw()
    system: Raw = Raw()
    tools: Raw = Raw()
    toolConfig: Raw = Raw()  # noqa: N815
    prompt: Raw = Raw()
    inputText: Raw = Raw()  # noqa: N815
    message: Raw = Raw()
    chat_history: Raw = Raw()
    documents: Raw = Raw()
    texts: Raw = Raw()
    query: Raw = Raw()
    preamble: Raw = Raw()
    # Owners
    requestMetadata: Raw = Raw()  # noqa: N815
    metadata: Raw = Raw()
    litellm_metadata: Raw = Raw()
    # Images
    imageGenerationConfig: Raw = Raw()  # noqa: N815


_read = BodyReader(
    _Body,
    {
        "max_tokens": int,
        "max_completion_tokens": int,
        "max_gen_len": int,
        "max_tokens_to_sample": int,
    },
).read


def read_bedrock_request(route: Route, body: bytes, *, user_is: str) -> RequestFacts:
    """Return the facts of a metered request; see :class:`RequestFacts`. Never raises."""
    read = _read(body)
    if read is None:
        return RequestFacts(body, is_stream=route.is_stream is True)
    return RequestFacts(
        body=without_litellm_metadata(body) if read.litellm_metadata else body,
        is_stream=route.is_stream is True,
        max_output_tokens=_limit(read),
        input_chars=text_length(
            (
                read.messages, read.system, read.tools, read.toolConfig, read.prompt,
                read.inputText, read.message, read.chat_history, read.documents, read.texts,
                read.query,
            )
        ),
        claims=_claims(read, user_is),
        asked=_asked(route.operation, read),
        layered=_layered(route, read),
    )  # fmt: skip


def _layered(route: Route, read: _Body) -> Layered:
    if read.messages:
        is_anthropic = route.model is not None and "anthropic" in route.model
        tools = read.tools or read.toolConfig
        return conversation_layers(read.messages, read.system, tools, is_anthropic=is_anthropic)
    if read.message:
        return message_layers(
            read.message, read.chat_history, read.preamble, read.documents, read.tools
        )
    if read.query:
        return rerank_layers(read.query, read.documents)
    return plain_layers(read.prompt, read.inputText, read.texts)


def _limit(read: _Body) -> int | None:
    limit = (
        read.max_tokens
        or read.max_completion_tokens
        or read.max_gen_len
        or read.max_tokens_to_sample
    )
    for settings in (read.inferenceConfig, read.textGenerationConfig):
        if limit is None and settings:
            members = any_of(settings)
            if isinstance(members, dict):
                limit = next((members[name] for name in _LIMITS if name in members), None)
    return as_count(limit)


def _claims(read: _Body, user_is: str) -> tuple[Claims, ...]:
    """Return the owners named in ``requestMetadata`` (converse) or in a body of Anthropic's."""
    claims: tuple[Claims, ...] = ()
    if read.requestMetadata:
        native = ClaimsBuilder(Mechanism.PROVIDER_NATIVE)
        metadata = any_of(read.requestMetadata)
        if isinstance(metadata, dict):
            put_mapping(native, metadata, "requestMetadata")
        made = native.build()
        if made is not None:
            claims = (made,)
    if read.metadata or read.litellm_metadata:
        owners = Owners(read.metadata, read.litellm_metadata, user_where="metadata.user_id")
        # LiteLLM goes before what the provider's own fields say.
        claims = (*claims_from_body(owners, user_is), *claims)
    return claims


def _asked(operation: str, read: _Body) -> dict[str, str | int] | None:
    """Return what a price depends on and no answer repeats."""
    if operation == "rerank":
        documents = any_of(read.documents)
        return {"documents": len(documents)} if isinstance(documents, list) else None
    if operation == "image":
        settings = any_of(read.imageGenerationConfig)
        return _image_asked(settings) if isinstance(settings, dict) else None
    return None


def _image_asked(settings: Mapping[str, Any]) -> dict[str, str | int]:
    asked: dict[str, str | int] = {}
    count = settings.get("numberOfImages")
    if type(count) is int and 0 < count <= _MAX_IMAGES:
        asked["images"] = count
    quality = settings.get("quality")
    if isinstance(quality, str) and quality.isalnum() and len(quality) <= _MAX_WORD_CHARS:
        asked["quality"] = quality
    width, height = settings.get("width"), settings.get("height")
    if _is_size(width) and _is_size(height):
        asked["size"] = f"{width}x{height}"
    return asked


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= _MAX_PIXELS
