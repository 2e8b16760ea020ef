"""What a client is told when its provider cannot be reached or does not answer."""

from __future__ import annotations

import logging
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.headers import own_response
from tollbook.capture.gateway.notices import notice
from tollbook.capture.gateway.pool import PoolExhaustedError
from tollbook.capture.gateway.upstream import ProtocolError

if TYPE_CHECKING:
    from tollbook.budgets.guard import Refused
    from tollbook.capture.gateway.routing.policy import FailureCause
    from tollbook.dialects.base import Dialect, Header

logger = logging.getLogger(__name__)


class Failure(NamedTuple):
    """A call that got no answer from its provider."""

    refusal: Refusal
    is_billable: bool
    """Whether the provider may have worked on it."""
    cause: FailureCause | None = None
    """Why there is no answer; None where another attempt would end no better."""


def failure_reply(
    refusal: Refusal,
    dialect: Dialect,
    *,
    call_id: bytes,
    keep_alive: bool,
    is_head: bool,
    lines: bytes = b"",
) -> bytes:
    """Return the whole response, in the shape that the API's own SDK understands.

    ``lines`` are further header lines.
    """
    extra: list[Header] = []
    if refusal.retry_after_s is not None:
        extra.append((b"retry-after", b"%d" % refusal.retry_after_s))
    if refusal.should_retry is not None:
        extra.append((b"x-should-retry", b"true" if refusal.should_retry else b"false"))
    return own_response(
        refusal.status,
        dialect.error_body(refusal.status, refusal.error_type, refusal.message),
        call_id=call_id,
        extra=extra,
        lines=lines + refusal.lines,
        keep_alive=keep_alive,
        is_head=is_head,
    )


def budget_refusal(refused: Refused) -> Refusal:
    """Return what a caller is told whose budget has no room, or cannot be asked."""
    if refused.is_unavailable:
        return Refusal(503, "budget_unavailable", refused.reason, True, refused.retry_after_s)
    # Of a limit by the minute, and of a wait that was too short, another try soon is the remedy.
    is_brief = refused.retry_after_s == 1 or (
        refused.rule is not None and refused.rule.bucket_s == 1
    )
    told = [
        ("", None if refused.rule is None else refused.rule.budget.name),
        ("-remaining", refused.left),
        ("-limit", refused.limit),
        ("-reset", None if refused.reset_at_s is None else str(refused.reset_at_s)),
    ]
    lines = "".join(f"x-tollbook-budget{name}: {value}\r\n" for name, value in told if value)
    return Refusal(
        429, "budget_exceeded", refused.reason, is_brief, refused.retry_after_s or None,
        lines.encode(),
    )  # fmt: skip


def connect_failure(provider: str, error: Exception) -> Failure:
    """Return the answer to a request that never left; it may safely be sent again."""
    cause: FailureCause = "connect"
    if isinstance(error, PoolExhaustedError):
        cause = "busy"
        refusal = Refusal(
            503, "gateway_overloaded", f"all connections to {provider!r} are in use", True
        )
    elif isinstance(error, TimeoutError):
        refusal = Refusal(
            504, "upstream_connect_timeout", f"{provider!r} did not accept a connection", True
        )
    else:
        refusal = Refusal(
            502, "upstream_unreachable", f"{provider!r} cannot be reached: {_reason(error)}", True
        )
    notice(logger, f"connect {provider}", "provider %s: %s", provider, refusal.message)
    return Failure(refusal, is_billable=False, cause=cause)


def upstream_failure(
    provider: str, error: Exception | None, *, is_timeout: bool, was_stale: bool
) -> Failure:
    """Return the answer to a request that was sent but got no response head.

    A provider that falls silent or hangs up may have generated, and bills what it generated: such
    a call is estimated. Not so where ``was_stale``, the connection having been closed before the
    request came, or where what answers does not speak HTTP.
    """
    if is_timeout:
        refusal = Refusal(504, "upstream_timeout", f"{provider!r} did not begin to answer in time")
    elif isinstance(error, ProtocolError):
        refusal = Refusal(
            502, "upstream_protocol_error", f"{provider!r} gave a response that is not HTTP"
        )
        notice(logger, f"protocol {provider}", "provider %s broke HTTP: %s", provider, error)
    else:
        refusal = Refusal(
            502, "upstream_disconnected", f"{provider!r} closed the connection without an answer"
        )
    notice(logger, f"answer {provider}", "provider %s: %s", provider, refusal.message)
    is_billable = is_timeout or not (was_stale or isinstance(error, ProtocolError))
    return Failure(refusal, is_billable, "timeout" if is_timeout else "disconnect")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
