"""The close frame of a call, from what its answer showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook import clock
from tollbook.call import CallClosed
from tollbook.capture.gateway.answer import NOTHING_METERED

if TYPE_CHECKING:
    from tollbook.call import CallOpened, Status
    from tollbook.capture.gateway.answer import Answer
    from tollbook.dialects.base import Dialect, Metered


def close_frame(
    opened: CallOpened,
    answer: Answer | None,
    dialect: Dialect,
    *,
    status: Status,
    http_status: int | None,
    error_type: str | None,
    first_token_ns: int | None,
    started_ns: int,
    is_billable: bool,
) -> CallClosed:
    """Return how a call went; ``answer`` is None where the provider gave none.

    ``started_ns`` is of the monotonic clock; ``first_token_ns`` is counted from it.
    """
    if answer is None:
        metered, provider_request_id, response_bytes = NOTHING_METERED, None, 0
    else:
        metered, response_bytes = answer.metered(), answer.bytes_in
        provider_request_id = dialect.provider_request_id(answer.table)
    return CallClosed(
        call_id=opened.call_id,
        closed_at_ns=clock.unix_ns(),
        status=status,
        http_status=http_status,
        error_type=error_type,
        time_to_first_token_ns=first_token_ns,
        duration_ns=clock.monotonic_ns() - started_ns,
        provider_request_id=provider_request_id,
        provider_response_id=metered.provider_response_id,
        model_actual=metered.model_actual or opened.model_sent,
        service_tier=metered.service_tier,
        usage=metered.usage,
        usage_complete=metered.usage_complete,
        output_chars=metered.output_chars,
        output_events=metered.output_events,
        response_bytes=response_bytes,
        is_billable=is_billable,
    )


def is_billable(status: int, metered: Metered) -> bool:
    """Return whether the provider may bill a whole answer: it reported usage, or gave a result.

    Redirects and errors give none, nor does an error with status 200 before any output.
    """
    if metered.usage:
        return True
    if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP
        return False
    return metered.error_type is None or metered.output_events > 0
