"""The OpenAI API and every server that speaks like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.call import Call, Metering
from tollbook.dialects.defaults import DialectDefaults
from tollbook.dialects.estimate import measure_with
from tollbook.dialects.http_head import (
    attempt_of,
    bearer_token,
    is_event_stream,
    response_header,
    text_header,
)
from tollbook.dialects.openai_measure import as_response, with_search
from tollbook.dialects.openai_media import OPERATIONS as MEDIA_OPERATIONS
from tollbook.dialects.openai_media import measure_media
from tollbook.dialects.openai_media_meter import media_meter
from tollbook.dialects.openai_media_request import read_media_request
from tollbook.dialects.openai_paths import openai_route
from tollbook.dialects.openai_plain import read_openai_answer
from tollbook.dialects.openai_realtime import RealtimeMeter
from tollbook.dialects.openai_request import read_openai_request
from tollbook.dialects.openai_responses import ResponsesStreamMeter
from tollbook.dialects.openai_stream import CompletionStreamMeter
from tollbook.dialects.openai_usage import read_openai_usage
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter, UndeclaredMeter
from tollbook.dialects.realtime_usage import OPERATIONS as REALTIME_OPERATIONS
from tollbook.dialects.realtime_usage import REALTIME, measure_realtime
from tollbook.dialects.responses_socket import ResponsesSocketMeter
from tollbook.dialects.tags_openai import with_openai_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import (
        Header,
        Measured,
        NativeTags,
        RequestFacts,
        ResponseMeter,
        Route,
        SocketMeter,
    )

# An enum's member is looked up ten times as slowly as a module's name.
_METERED: Final = Metering.METERED


class OpenAI(DialectDefaults):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "openai"

    def route(self, method: str, path: str) -> Route:
        """Classify by the end of the path."""
        return openai_route(method, path)

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return the bearer token, or the ``api-key`` of servers that take that."""
        return bearer_token(headers) or text_header(headers, b"api-key")

    def is_credential(self, name: bytes) -> bool:
        """Whether a header carries the key."""
        return name in {b"authorization", b"api-key"}

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries the key upstream."""
        return [(b"authorization", b"Bearer " + key.encode())]

    def read_request(
        self, route: Route, body: bytes, *, inject_stream_usage: bool, user_is: str
    ) -> RequestFacts:
        """Read a metered request."""
        if route.operation in MEDIA_OPERATIONS:
            return read_media_request(route, body, user_is)
        return read_openai_request(
            route, body, inject_stream_usage=inject_stream_usage, user_is=user_is
        )

    def meter(
        self, route: Route, facts: RequestFacts, status: int, headers: Mapping[bytes, bytes]
    ) -> ResponseMeter:
        """Return a meter by what the response is, not by what was asked for."""
        if route.metering is not _METERED:
            return SilentMeter()
        is_stream = is_event_stream(headers)
        if route.operation in MEDIA_OPERATIONS:
            return media_meter(route, facts, status, is_stream=is_stream)
        if not is_stream:
            plain = PlainMeter(read_openai_answer, is_error=status >= 400)  # noqa: PLR2004 -- HTTP
            if not facts.is_stream:
                return plain
        stream: ResponseMeter
        if route.operation == "responses":
            stream = ResponsesStreamMeter()
        else:
            stream = CompletionStreamMeter(hides_usage=facts.hides_usage)
        return stream if is_stream else UndeclaredMeter(plain, stream)

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the attempt as the official SDK counts it."""
        return attempt_of(headers)

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``x-request-id``."""
        return response_header(headers, b"x-request-id")

    def error_body(self, status: int, error_type: str, message: str) -> bytes:  # noqa: ARG002 -- the shape is the same for every status
        """Return ``{"error": {...}}`` as the official SDK reads it."""
        error = {"message": message, "type": error_type, "param": None, "code": error_type}
        return msgspec.json.encode({"error": error})

    def with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Write tags into ``metadata`` and the end user's field."""
        return with_openai_tags(route, body, tags)

    def measure(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        operation = call.opened.operation
        if operation in REALTIME_OPERATIONS:
            return measure_realtime(call)
        if operation in MEDIA_OPERATIONS:
            return measure_media(call)
        measured = measure_with(read_openai_usage, call)
        if operation == "responses":
            return as_response(call, measured)
        return with_search(call, measured) if operation == "chat" else measured

    def socket_meter(self, route: Route) -> SocketMeter | None:
        """Return the meter of a Realtime session or of Responses over a WebSocket."""
        if not route.is_socket:
            return None
        if route.operation == REALTIME:
            return RealtimeMeter(route.model)
        return ResponsesSocketMeter(route.model)
