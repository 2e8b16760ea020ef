"""What most dialects have in common, as a base class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.base import Header, NativeTags, Rewritten, Route, SocketMeter
from tollbook.dialects.request_body import with_model
from tollbook.dialects.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Mapping

_RETRYABLE: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""As the official SDKs of OpenAI and Anthropic have it (``_should_retry``; their 409 is a lock that
was not had in time); 529 is Anthropic's "overloaded"."""


class DialectDefaults:
    """See :class:`tollbook.dialects.base.Dialect`; a dialect overrides what differs."""

    stream_types: tuple[bytes, ...] = (b"text/event-stream",)
    can_comment = True

    def split_query_credential(self, target: bytes) -> tuple[bytes, str | None]:
        """Return the target as it is: keys come in headers."""
        return target, None

    def with_query(self, route: Route, query: bytes) -> Route:  # noqa: ARG002 -- nothing in it
        """Return the route as it is: the path tells everything."""
        return route

    def with_model(self, route: Route, target: bytes, body: bytes, model: str) -> Rewritten | None:
        """Replace the ``model`` member of a JSON body, at its place."""
        changed = with_model(body, model) if route.inspects_body else None
        return None if changed is None else Rewritten(target, changed)

    def with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:  # noqa: ARG002 -- nowhere to write them
        """Return the body as it is: this API has no field for tags."""
        return body

    def tag_headers(self, route: Route, tags: NativeTags) -> list[Header]:  # noqa: ARG002 -- as above
        """Return no header."""
        return []

    def socket_meter(self, route: Route) -> SocketMeter | None:  # noqa: ARG002 -- as above
        """Return None: no WebSocket."""
        return None

    def retry_after_s(self, status: int, headers: Mapping[bytes, bytes]) -> float | None:  # noqa: ARG002 -- any status may have it
        """Return ``retry-after-ms`` or ``retry-after`` (RFC 9110 section 10.2.3)."""
        return retry_after_s(headers)

    def is_retryable(self, status: int, error_type: str | None) -> bool:
        """Whether another attempt may succeed: by status, but for a quota that is used up."""
        return status in _RETRYABLE and error_type != "insufficient_quota"
