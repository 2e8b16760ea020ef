"""The Anthropic API."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.call import Call, Metering
from tollbook.dialects.anthropic_plain import read_anthropic_answer
from tollbook.dialects.anthropic_request import read_anthropic_request
from tollbook.dialects.anthropic_stream import MessageStreamMeter
from tollbook.dialects.anthropic_usage import read_anthropic_usage
from tollbook.dialects.base import Header, Measured, RequestFacts, ResponseMeter, Route
from tollbook.dialects.batch_routes import anthropic_batch_route
from tollbook.dialects.defaults import DialectDefaults
from tollbook.dialects.estimate import measure_with
from tollbook.dialects.http_head import (
    attempt_of,
    bearer_token,
    is_event_stream,
    plain_path,
    response_header,
    text_header,
)
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter, UndeclaredMeter
from tollbook.dialects.tags_anthropic import with_anthropic_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import NativeTags

# An enum's member is looked up ten times as slowly as a module's name.
_METERED: Final = Metering.METERED
_MESSAGES: Final = Route("chat", Metering.METERED, inspects_body=True)
_COUNT_TOKENS: Final = Route("count_tokens", Metering.FREE, inspects_body=False)
_OTHER: Final = Route("other", Metering.UNMETERED, inspects_body=False)


class Anthropic(DialectDefaults):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "anthropic"

    def route(self, method: str, path: str) -> Route:
        """Classify by the end of the path."""
        path = plain_path(path)
        if method == "POST":
            if path.endswith("/messages"):
                return _MESSAGES
            if path.endswith("/messages/count_tokens"):
                return _COUNT_TOKENS
        return anthropic_batch_route(method, path) or _OTHER

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return ``x-api-key``, or the bearer token of OAuth clients."""
        return text_header(headers, b"x-api-key") or bearer_token(headers)

    def is_credential(self, name: bytes) -> bool:
        """Whether a header carries the key."""
        return name in {b"x-api-key", b"authorization"}

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries the key upstream."""
        return [(b"x-api-key", key.encode())]

    def read_request(
        self,
        route: Route,  # noqa: ARG002 -- one metered route
        body: bytes,
        *,
        inject_stream_usage: bool,  # noqa: ARG002 -- these streams always report usage
        user_is: str,
    ) -> RequestFacts:
        """Read a metered request."""
        return read_anthropic_request(body, user_is=user_is)

    def meter(
        self,
        route: Route,
        facts: RequestFacts,
        status: int,
        headers: Mapping[bytes, bytes],
    ) -> ResponseMeter:
        """Return a meter by what the response is, not by what was asked for."""
        if route.metering is not _METERED:
            return SilentMeter()
        if is_event_stream(headers):
            return MessageStreamMeter()
        plain = PlainMeter(read_anthropic_answer, is_error=status >= 400)  # noqa: PLR2004 -- HTTP
        return UndeclaredMeter(plain, MessageStreamMeter()) if facts.is_stream else plain

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the attempt as the official SDK counts it."""
        return attempt_of(headers)

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``request-id``."""
        return response_header(headers, b"request-id")

    def error_body(self, status: int, error_type: str, message: str) -> bytes:  # noqa: ARG002 -- the shape is the same for every status
        """Return ``{"type": "error", "error": {...}}`` as the official SDK reads it."""
        return msgspec.json.encode(
            {"type": "error", "error": {"type": error_type, "message": message}}
        )

    def with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Write the end user into ``metadata.user_id``."""
        return with_anthropic_tags(route, body, tags)

    def measure(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        measured = measure_with(read_anthropic_usage, call)
        if measured.further:
            # Which passes are the answer's own, its model tells; rarely is there more than one.
            read = partial(read_anthropic_usage, model=call.closed.model_actual)
            return measure_with(read, call)
        return measured
