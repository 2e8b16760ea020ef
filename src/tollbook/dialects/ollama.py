"""Ollama's own API, with those of OpenAI and Anthropic that it also serves.

https://docs.ollama.com/api: answers and the last line of a stream have ``prompt_eval_count`` and
``eval_count``. A prompt that is still in memory is not evaluated anew and then has no count, or a
smaller one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.call import Call, Metering
from tollbook.dialects.anthropic import Anthropic
from tollbook.dialects.base import Header, Measured, RequestFacts, ResponseMeter, Route
from tollbook.dialects.estimate import measure_with
from tollbook.dialects.hosted import HostingDialect, hosted
from tollbook.dialects.http_head import (
    attempt_of,
    bearer_token,
    is_event_stream,
    plain_path,
    response_header,
)
from tollbook.dialects.ndjson import NDJSON_TYPES, is_ndjson
from tollbook.dialects.ollama_layers import generate_layers
from tollbook.dialects.ollama_usage import OllamaStreamMeter, read_ollama_answer, read_ollama_usage
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.openai_layers import chat_layers, plain_layers
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter
from tollbook.dialects.request_body import (
    BodyReader,
    any_of,
    as_count,
    as_model,
    text_length,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import Dialect
    from tollbook.dialects.request_layers import Layered

_METERED: Final = {
    "/api/chat": Route("chat", Metering.METERED, inspects_body=True),
    "/api/generate": Route("text_completion", Metering.METERED, inspects_body=True),
    "/api/embed": Route("embeddings", Metering.METERED, inspects_body=True),
    "/api/embeddings": Route("embeddings", Metering.METERED, inspects_body=True),
}
_MODELS: Final = Route("models", Metering.FREE, inspects_body=False)
_OTHER: Final = Route("other", Metering.UNMETERED, inspects_body=False)
_LISTS: Final = ("/api/tags", "/api/ps", "/api/version", "/api/show")


class _Body(Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    options: Raw = Raw()
    messages: Raw = Raw()
    prompt: Raw = Raw()
    suffix: Raw = Raw()
    system: Raw = Raw()
    input: Raw = Raw()
    tools: Raw = Raw()
    format: Raw = Raw()
    context: Raw = Raw()
    images: Raw = Raw()


_read = BodyReader(_Body, {"model": str, "stream": bool}).read


class Ollama(HostingDialect):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "ollama"
    stream_types: tuple[bytes, ...] = (*NDJSON_TYPES, b"text/event-stream")
    can_comment = False  # a line of NDJSON has no comments
    guests: ClassVar[Mapping[str, Dialect]] = {"openai": OpenAI(), "anthropic": Anthropic()}

    def route(self, method: str, path: str) -> Route:
        """Classify by the end of the path; ``/v1`` speaks OpenAI's API, or Anthropic's."""
        return _route(method, path)

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return the bearer token, which only ollama.com and proxies ask for."""
        return bearer_token(headers)

    def is_credential(self, name: bytes) -> bool:
        """Whether a header carries the key."""
        return name in {b"authorization", b"x-api-key"}

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries the key upstream."""
        return [(b"authorization", b"Bearer " + key.encode())]

    def read_own_request(self, route: Route, body: bytes, user_is: str) -> RequestFacts:  # noqa: ARG002 -- the API has no field for a user
        """Read a metered request; chat and generate stream unless told not to."""
        read = _read(body)
        streams = route.operation != "embeddings"
        if read is None:
            return RequestFacts(body, is_stream=False)
        options: Any = any_of(read.options)
        return RequestFacts(
            body=body,
            model=as_model(read.model),
            is_stream=streams and read.stream is not False,
            max_output_tokens=(
                as_count(options.get("num_predict")) if isinstance(options, dict) else None
            ),
            input_chars=text_length(
                (read.messages, read.prompt, read.suffix, read.system, read.input, read.tools)
            ),
            layered=_layered(read),
        )

    def own_meter(
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter by what the response is; a single document is a stream of one."""
        if route.metering is not Metering.METERED:
            return SilentMeter()
        if is_ndjson(headers) or is_event_stream(headers) or facts.is_stream:
            return OllamaStreamMeter()
        return PlainMeter(read_ollama_answer, is_error=status >= 400)  # noqa: PLR2004 -- HTTP

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the attempt as a client counts it; the official one does not say."""
        return attempt_of(headers)

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``x-request-id``, which ollama.com has and a server of one's own has not."""
        return response_header(headers, b"x-request-id")

    def error_body(self, status: int, error_type: str, message: str) -> bytes:  # noqa: ARG002 -- the shape is the same for every status
        """Return ``{"error": …}`` with a text, as the API does."""
        return msgspec.json.encode({"error": f"{message} ({error_type})"})

    def measure_own(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        return measure_with(read_ollama_usage, call)


def _layered(read: _Body) -> Layered:
    if read.messages:
        return chat_layers(read.messages, read.tools, Raw(), read.format)
    if read.input:
        return plain_layers(read.input)
    return generate_layers(read.system, read.context, read.prompt, read.suffix, read.images)


@lru_cache(maxsize=1024)
def _route(method: str, path: str) -> Route:
    path = plain_path(path)
    if method == "POST":
        for end, route in _METERED.items():
            if path.endswith(end):
                return route
    if path.endswith(_LISTS):
        return _MODELS
    if "/v1/messages" in path:
        return hosted("anthropic", Anthropic().route(method, path))
    if "/v1/" in path:
        return hosted("openai", OpenAI().route(method, path))
    return _OTHER
