"""The Cohere API, versions 1 and 2, with the OpenAI API that it also serves."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec
from msgspec import Raw, Struct

from tollbook.call import Call, Metering, UsageSource
from tollbook.dialects.base import Header, Measured, RequestFacts, ResponseMeter, Route
from tollbook.dialects.cohere_layers import cohere_layers, message_layers
from tollbook.dialects.cohere_plain import read_cohere_answer
from tollbook.dialects.cohere_stream import CohereLineMeter, CohereStreamMeter
from tollbook.dialects.cohere_usage import read_cohere_usage
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
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.openai_layers import plain_layers, rerank_layers
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter, UndeclaredMeter
from tollbook.dialects.request_body import (
    BodyReader,
    as_count,
    as_model,
    text_length,
    without_litellm_metadata,
)
from tollbook.dialects.request_owners import Owners, claims_from_body
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import Dialect
    from tollbook.dialects.request_layers import Layered

_METERED: Final = {
    "chat": Route("chat", Metering.METERED, inspects_body=True),
    "embed": Route("embeddings", Metering.METERED, inspects_body=True),
    "rerank": Route("rerank", Metering.METERED, inspects_body=True),
    "generate": Route("text_completion", Metering.METERED, inspects_body=True),
    "summarize": Route("text_completion", Metering.METERED, inspects_body=True),
}
_FREE: Final = {
    "tokenize": Route("count_tokens", Metering.FREE, inspects_body=False),
    "detokenize": Route("count_tokens", Metering.FREE, inspects_body=False),
    "check-api-key": Route("check_api_key", Metering.FREE, inspects_body=False),
}
_MODELS: Final = Route("models", Metering.FREE, inspects_body=False)
_OTHER: Final = Route("other", Metering.UNMETERED, inspects_body=False)
_DOCUMENTS_A_UNIT: Final = 100
"""One search unit is a query with up to so many documents (https://cohere.com/pricing)."""


class _Body(Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    litellm_metadata: Raw = Raw()
    messages: Raw = Raw()
    message: Raw = Raw()
    chat_history: Raw = Raw()
    preamble: Raw = Raw()
    prompt: Raw = Raw()
    text: Raw = Raw()
    texts: Raw = Raw()
    inputs: Raw = Raw()
    documents: Raw = Raw()
    query: Raw = Raw()
    tools: Raw = Raw()


_read = BodyReader(_Body, {"model": str, "stream": bool, "max_tokens": int}).read
_decode_list = msgspec.json.Decoder(list[Raw]).decode


class Cohere(HostingDialect):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "cohere"
    stream_types: tuple[bytes, ...] = (b"text/event-stream", *NDJSON_TYPES)
    guests: ClassVar[Mapping[str, Dialect]] = {"openai": OpenAI()}

    def route(self, method: str, path: str) -> Route:
        """Classify by the end of the path."""
        return _route(method, path)

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return the bearer token."""
        return bearer_token(headers)

    def is_credential(self, name: bytes) -> bool:
        """Whether a header carries the key."""
        return name == b"authorization"

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries the key upstream."""
        return [(b"authorization", b"Bearer " + key.encode())]

    def read_own_request(self, route: Route, body: bytes, user_is: str) -> RequestFacts:
        """Read a metered request."""
        read = _read(body)
        if read is None:
            return RequestFacts(body)
        owners = read.litellm_metadata
        asked: dict[str, str | int] | None = None
        if route.operation == "rerank":
            asked = {"search_units": _units(read.documents)}
        return RequestFacts(
            body=without_litellm_metadata(body) if owners else body,
            model=as_model(read.model),
            is_stream=read.stream is True,
            max_output_tokens=as_count(read.max_tokens),
            input_chars=text_length(
                (
                    read.messages, read.message, read.chat_history, read.preamble, read.prompt,
                    read.text, read.texts, read.inputs, read.documents, read.query, read.tools,
                )
            ),
            claims=claims_from_body(Owners(litellm_metadata=owners), user_is) if owners else (),
            asked=asked,
            layered=_layered(read),
        )  # fmt: skip

    def own_meter(
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter by what the response is, not by what was asked for."""
        if route.metering is not Metering.METERED:
            return SilentMeter()
        if is_event_stream(headers):
            return CohereStreamMeter()
        if is_ndjson(headers):
            return CohereLineMeter()
        plain = PlainMeter(read_cohere_answer, is_error=status >= 400)  # noqa: PLR2004 -- HTTP
        return UndeclaredMeter(plain, CohereStreamMeter()) if facts.is_stream else plain

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the attempt as a client counts it; the official one does not say."""
        return attempt_of(headers)

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``x-debug-trace-id``."""
        found = response_header(headers, b"x-debug-trace-id")
        return found or response_header(headers, b"x-request-id")

    def error_body(self, status: int, error_type: str, message: str) -> bytes:  # noqa: ARG002 -- the shape is the same for every status
        """Return ``{"message": …}`` as the official SDK reads it, our word for it beside it."""
        return msgspec.json.encode({"message": message, "type": error_type})

    def measure_own(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        measured = measure_with(read_cohere_usage, call)
        if (
            measured.source is UsageSource.ESTIMATED
            and call.opened.operation == "rerank"
            and not call.closed.usage
        ):
            # Ranking is billed by the search, however long the texts are.
            units = (call.opened.asked or {}).get("search_units", 1)
            why = "the provider reported no usage: search units by the number of documents"
            kinds = Kinds(search_units=units if isinstance(units, int) else 1)
            return Measured(kinds, UsageSource.ESTIMATED, (why,))
        return measured


@lru_cache(maxsize=1024)
def _route(method: str, path: str) -> Route:
    path = plain_path(path)
    _, found, rest = path.partition("/compatibility/")
    if found:
        return hosted("openai", OpenAI().route(method, "/" + rest))
    last = path.rpartition("/")[2]
    if method == "POST":
        return _METERED.get(last) or _FREE.get(last, _OTHER)
    if method == "GET" and (last == "models" or "/models/" in path):
        return _MODELS
    return _OTHER


def _layered(read: _Body) -> Layered:
    if read.messages:
        return cohere_layers(read.messages, read.tools, read.documents)
    if read.message:
        return message_layers(
            read.message, read.chat_history, read.preamble, read.documents, read.tools
        )
    if read.query:
        return rerank_layers(read.query, read.documents)
    return plain_layers(read.prompt, read.text, read.texts, read.inputs)


def _units(documents: Raw) -> int:
    """Return the search units that so many documents are, at least one."""
    try:
        count = len(_decode_list(documents)) if documents else 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        count = 0
    return max(1, -(-count // _DOCUMENTS_A_UNIT))
