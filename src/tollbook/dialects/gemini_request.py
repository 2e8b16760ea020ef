"""Read Gemini request bodies: limits, text length, what an image costs, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.dialects.base import RequestFacts, Route
from tollbook.dialects.gemini_layers import gemini_layers, interaction_layers
from tollbook.dialects.gemini_paths import IMAGE, INTERACTIONS
from tollbook.dialects.openai_layers import plain_layers
from tollbook.dialects.request_body import (
    BodyReader,
    any_of,
    as_count,
    as_model,
    text_length,
)
from tollbook.dialects.request_layers import UNKNOWN
from tollbook.dialects.request_owners import Owners, claims_from_body

if TYPE_CHECKING:
    from tollbook.dialects.request_layers import Layered
    from tollbook.identity.claims import Claims


class _Body(Struct, gc=False):
    # The API takes its names in camelCase and in snake_case (protobuf's JSON mapping).
    model: str | None = None
    stream: bool | None = None
    labels: Raw = Raw()
    generationConfig: Raw = Raw()  # noqa: N815 -- the API's name, as below
    generation_config: Raw = Raw()
    contents: Raw = Raw()
    content: Raw = Raw()
    requests: Raw = Raw()
    instances: Raw = Raw()
    parameters: Raw = Raw()
    input: Raw = Raw()
    system_instruction: Raw = Raw()
    systemInstruction: Raw = Raw()  # noqa: N815
    tools: Raw = Raw()
    cachedContent: Raw = Raw()  # noqa: N815
    cached_content: Raw = Raw()
    previous_interaction_id: Raw = Raw()


_read = BodyReader(_Body, {"model": str, "stream": bool}).read
_encode = msgspec.json.Encoder().encode
_LIMITS: Final = ("maxOutputTokens", "max_output_tokens")
_LABEL_MAX: Final = 63
_MAX_SAMPLES: Final = 16
_SIZES: Final = ("sampleImageSize", "imageSize", "aspectRatio")


def read_gemini_request(route: Route, body: bytes, *, user_is: str) -> RequestFacts:
    """Return the facts of a metered request; see :class:`RequestFacts`. Never raises."""
    read = _read(body)
    is_stream = route.is_stream is True
    if read is None:
        return RequestFacts(body, is_stream=is_stream)
    claims: tuple[Claims, ...] = ()
    if read.labels:
        claims = claims_from_body(Owners(read.labels), user_is)
    is_interaction = route.operation == INTERACTIONS
    return RequestFacts(
        body=body,
        model=as_model(read.model) if is_interaction else None,
        is_stream=is_stream or (is_interaction and read.stream is True),
        max_output_tokens=_limit(read.generationConfig or read.generation_config),
        input_chars=text_length(
            (
                read.contents, read.content, read.requests, read.instances, read.input,
                read.systemInstruction or read.system_instruction, read.tools,
            )
        ),
        claims=claims,
        asked=_asked(read.parameters) if route.operation == IMAGE else None,
        layered=_layered(route.operation, read),
    )  # fmt: skip


def _layered(operation: str, read: _Body) -> Layered:
    """Return the sections; unknown where a part of the prompt is kept by the provider."""
    if read.cachedContent or read.cached_content or read.previous_interaction_id:
        return UNKNOWN
    system = read.systemInstruction or read.system_instruction
    if operation == INTERACTIONS:
        return interaction_layers(read.input, system, read.tools)
    if read.contents:
        config = read.generationConfig or read.generation_config
        return gemini_layers(read.contents, system, read.tools, config)
    return plain_layers(read.content, read.requests, read.instances)


def _limit(config: Raw) -> int | None:
    members = any_of(config)
    if not isinstance(members, dict):
        return None
    return as_count(members.get(_LIMITS[0]) or members.get(_LIMITS[1]))


def _asked(parameters: Raw) -> dict[str, str | int]:
    """Return how many images of what size; one is the API's default."""
    members = any_of(parameters)
    if not isinstance(members, dict):
        members = {}
    count = as_count(members.get("sampleCount")) or 1
    asked: dict[str, str | int] = {"images": min(count, _MAX_SAMPLES)}
    for name in _SIZES:
        value = members.get(name)
        if isinstance(value, str) and value.isprintable() and len(value) <= _LABEL_MAX:
            asked["size" if name != "aspectRatio" else "aspect_ratio"] = value
    return asked
