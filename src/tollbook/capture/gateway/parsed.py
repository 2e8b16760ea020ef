"""A parsed request on its way from the client's connection to an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.capture.gateway.framing import METHODS, HeadError, clean_target, read_framing

if TYPE_CHECKING:
    import httptools

    from tollbook.capture.gateway.framing import Framing
    from tollbook.config.schema import Gateway
    from tollbook.dialects.base import Header

_DISCARD_BODY_BYTES: Final = 65_536
"""A refused request's body up to this size is read and dropped, so that the connection is kept."""


class Request:
    """A parsed head, and the body as far as it has come, of a request that waits its turn."""

    __slots__ = ("body", "framing", "headers", "is_complete", "is_http_10", "keep_alive", "method",
                 "target")  # fmt: skip

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: list[Header],
        framing: Framing,
        *,
        is_http_10: bool,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.framing = framing
        self.is_http_10 = is_http_10
        self.keep_alive = keep_alive
        self.body: list[bytes] = []
        self.is_complete = False

    @property
    def refuses_at_once(self) -> bool:
        """Whether a refusal is better answered before the body: it is large, or waits for leave."""
        framing = self.framing
        return (
            framing.expects_continue
            or framing.is_chunked
            or (framing.content_length or 0) > _DISCARD_BODY_BYTES
        )


def judged(  # noqa: PLR0911 -- one return for each rule
    parser: httptools.HttpRequestParser,
    target: bytes,
    headers: list[Header],
    head_fed: int,
    limits: Gateway,
) -> Request | HeadError:
    """Return the request whose head has just been parsed, or why it is refused.

    ``head_fed`` is how many bytes were read since the request began: no less than its head.
    """
    if len(headers) > limits.max_headers:
        return HeadError(431, f"over {limits.max_headers} request headers")
    if head_fed > limits.max_header_bytes:
        size = sum([len(name) + len(value) + 4 for name, value in headers])
        if size > limits.max_header_bytes:
            return HeadError(431, "the request header is too large")
    method = parser.get_method().decode()
    version = parser.get_http_version()
    is_http_10 = version == "1.0"
    if version != "1.1" and not is_http_10:
        return HeadError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method not in METHODS:
        return HeadError(405, f"method {method} is not supported")
    cleaned = clean_target(target)
    if isinstance(cleaned, HeadError):
        return cleaned
    framing = read_framing(headers, is_http_10=is_http_10)
    if isinstance(framing, HeadError):
        return framing
    return Request(
        method,
        cleaned,
        headers,
        framing,
        is_http_10=is_http_10,
        keep_alive=parser.should_keep_alive(),
    )
