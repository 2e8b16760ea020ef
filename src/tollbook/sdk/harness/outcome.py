"""How a call ended: by its answer, or by what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.call import Status

if TYPE_CHECKING:
    from tollbook.dialects.base import Metered, ResponseMeter

_OK: Final = Status.OK
_ERROR: Final = Status.ERROR
_BAD_REQUEST: Final = 400
_UNSENT: Final = frozenset(
    {
        "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol",
        "LocalProtocolError", "ConnectTimeoutError", "EndpointConnectionError",
        "ProxyConnectionError", "SSLError", "ConnectionError", "ClientConnectorError",
        "ClientConnectorDNSError", "ClientProxyConnectionError",
    }
)  # fmt: skip
"""Errors of httpx, botocore, requests and aiohttp before a request was sent."""


class Outcome(NamedTuple):
    """How a call ended, and what was seen of its answer."""

    status: Status
    error_type: str | None
    metered: Metered
    is_billable: bool = True


def whole(status: int, metered: Metered) -> Outcome:
    """Return how a call ended whose answer came whole."""
    is_error = status >= _BAD_REQUEST or metered.error_type is not None
    return Outcome(
        _ERROR if is_error else _OK,
        metered.error_type or (f"http_{status}" if is_error else None),
        metered,
        is_billable_answer(status, metered),
    )


def what_failed(error: Exception, *, has_head: bool) -> tuple[str, bool]:
    """Return what stopped a call whose answer had begun or not, and whether it may be billed."""
    name = type(error).__name__
    is_timeout = "Timeout" in name
    if has_head:
        return "upstream_timeout" if is_timeout else "upstream_broken", True
    if name in _UNSENT:
        return "upstream_connect_timeout" if is_timeout else "upstream_unreachable", False
    return "upstream_timeout" if is_timeout else "upstream_disconnected", True


def is_billable_answer(status: int, metered: Metered) -> bool:
    """Whether the provider may bill a whole answer; the gateway's rule."""
    if metered.usage:
        return True
    if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP
        return False
    return metered.error_type is None or metered.output_events > 0


def held_by(meter: ResponseMeter) -> bytes:
    """Return what a meter that hides usage has not shown yet."""
    return getattr(meter, "held", b"")
