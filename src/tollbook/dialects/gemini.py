"""The Gemini API and Vertex AI, with the other makers' APIs that they serve."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import structs

from tollbook.call import Call, Metering, UsageSource
from tollbook.dialects.anthropic import Anthropic
from tollbook.dialects.base import Header, Measured, RequestFacts, ResponseMeter, Rewritten, Route
from tollbook.dialects.estimate import measure_with
from tollbook.dialects.gemini_errors import google_error_body
from tollbook.dialects.gemini_interactions import InteractionStreamMeter, read_interaction
from tollbook.dialects.gemini_live import LiveMeter
from tollbook.dialects.gemini_paths import EMBED, GENERATE, IMAGE, INTERACTIONS, route_of
from tollbook.dialects.gemini_plain import (
    read_gemini_answer,
    read_image_answer,
    read_text_embeddings,
)
from tollbook.dialects.gemini_request import read_gemini_request
from tollbook.dialects.gemini_stream import GenerateArrayMeter, GenerateStreamMeter
from tollbook.dialects.gemini_usage import read_gemini_usage
from tollbook.dialects.hosted import HostedRoute, HostingDialect
from tollbook.dialects.http_head import (
    attempt_of,
    bearer_token,
    is_event_stream,
    response_header,
    text_header,
)
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter, UndeclaredMeter
from tollbook.dialects.tags_labels import with_labels
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import Dialect, NativeTags, SocketMeter

_KEY: Final = b"x-goog-api-key"
_OAUTH: Final = ("ya29.", "eyJ")
"""How access tokens of Google, and signed ones, begin; all else is an API key."""
_model_in = re.compile(rb"(?<=/models/)[^/:?%]+(?=(?::|%3[aA])\w+(?:\?|$))")
_MAX_KEY_CHARS: Final = 4096
_counts_output = re.compile(rb'"(?:candidates|response)TokenCount"').search


class Gemini(HostingDialect):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "gemini"
    can_comment = False
    """google-genai takes every line of a stream for a chunk in JSON, a comment too."""
    guests: ClassVar[Mapping[str, Dialect]] = {"openai": OpenAI(), "anthropic": Anthropic()}

    def route(self, method: str, path: str) -> Route:
        """Classify by model and verb at the end of the path."""
        return route_of(method, path)

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return ``x-goog-api-key``, or the bearer token of Vertex and of OpenAI's clients."""
        return text_header(headers, _KEY) or bearer_token(headers)

    def split_query_credential(self, target: bytes) -> tuple[bytes, str | None]:
        """Return the target without ``key`` (and ``access_token``), and the key that it held."""
        path, _, query = target.partition(b"?")
        if b"key=" not in query and b"access_token=" not in query and b"%" not in query:
            return target, None
        kept, key = [], None
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if unquote_to_bytes(name) not in {b"key", b"access_token"}:
                kept.append(pair)
            elif key is None and value:
                text = unquote_to_bytes(value).decode("latin-1")
                key = text if text.isprintable() and len(text) <= _MAX_KEY_CHARS else None
        return (path + b"?" + b"&".join(kept) if kept else path), key

    def is_credential(self, name: bytes) -> bool:
        """Whether a header carries the key."""
        return name in {_KEY, b"authorization"}

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries the key upstream: an API key, or an access token."""
        if key.startswith(_OAUTH):
            return [(b"authorization", b"Bearer " + key.encode())]
        return [(_KEY, key.encode())]

    def read_own_request(self, route: Route, body: bytes, user_is: str) -> RequestFacts:
        """Read a metered request."""
        return read_gemini_request(route, body, user_is=user_is)

    def own_meter(  # noqa: PLR0911 -- one return for each kind of answer
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter by what the response is, not by what was asked for."""
        if route.metering is not Metering.METERED:
            return SilentMeter()
        is_error = status >= 400  # noqa: PLR2004 -- HTTP
        if route.operation == INTERACTIONS:
            if is_event_stream(headers):
                return InteractionStreamMeter()
            plain = PlainMeter(read_interaction, is_error=is_error)
            return UndeclaredMeter(plain, InteractionStreamMeter()) if facts.is_stream else plain
        if route.operation == IMAGE:
            return PlainMeter(read_image_answer, is_error=is_error)
        if route.operation == EMBED:
            return PlainMeter(read_text_embeddings, is_error=is_error)
        if is_event_stream(headers):
            return GenerateStreamMeter()
        if facts.is_stream:
            return GenerateArrayMeter()
        return PlainMeter(read_gemini_answer, is_error=is_error)

    def socket_meter(self, route: Route) -> SocketMeter | None:
        """Return a meter of the Live API."""
        return LiveMeter() if route.is_socket and not isinstance(route, HostedRoute) else None

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the attempt as the official SDKs of OpenAI and Anthropic count it."""
        return attempt_of(headers)

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``x-request-id`` of what serves other APIs; Google's own answers have none."""
        return response_header(headers, b"x-request-id") or response_header(headers, b"request-id")

    def error_body(self, status: int, error_type: str, message: str) -> bytes:
        """Return ``{"error": {"code", "message", "status"}}`` as the official SDK reads it."""
        return google_error_body(status, error_type, message)

    def measure_own(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        closed = call.closed
        model = closed.model_actual or call.opened.model_requested
        if not closed.usage_complete and any(_counts_output(raw) for raw in closed.usage):
            # Each chunk counts all before it: better than the length of the text.
            closed = structs.replace(closed, output_chars=0, output_events=0)
            call = structs.replace(call, closed=closed)
        measured = measure_with(partial(read_gemini_usage, model=model), call)
        asked = call.opened.asked
        if measured.source is UsageSource.ESTIMATED and asked and not closed.usage:
            images = asked.get("images")
            if isinstance(images, int):
                why = "the answer could not be read: as many images as were asked for"
                return Measured(Kinds(images=images), UsageSource.ESTIMATED, (why,))
        return measured

    def own_with_model(
        self, route: Route, target: bytes, body: bytes, model: str
    ) -> Rewritten | None:
        """Replace the model in the path; of an interaction in the body."""
        if route.model is None:
            return super().own_with_model(route, target, body, model)
        name = quote(model, safe="@.-_").encode()
        changed, times = _model_in.subn(name, target, count=1)
        return Rewritten(changed, body) if times else None

    def own_with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Write tags into ``labels``, which Vertex has and the Gemini API refuses."""
        if route.operation != GENERATE or route.region is None:
            return body
        return with_labels(body, tags)

    def is_retryable(self, status: int, error_type: str | None) -> bool:
        """Whether another attempt may succeed: by status; Google's 409 is a real conflict."""
        return status != 409 and super().is_retryable(status, error_type)  # noqa: PLR2004 -- HTTP
