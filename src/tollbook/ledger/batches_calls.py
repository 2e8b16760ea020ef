"""Lines of results as calls, so that they are measured, priced and stored like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook import ids
from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.dialects.batch_routes import BATCH
from tollbook.dialects.registry import UnknownDialectError, dialect_named

if TYPE_CHECKING:
    from tollbook.call import BatchResult
    from tollbook.ledger.batches_state import ProviderBatch

RESULTS_MISSING: Final = "batch_results_missing"
LINE_UNREADABLE: Final = "batch_line_unreadable"
_NOWHERE: Final = Evidence("", 0, 0, "")
_EARLIEST_NS: Final = 1_577_836_800_000_000_000  # 2020, before there were batches


def line_call(
    frame: BatchResult, evidence: Evidence, batch: ProviderBatch | None, owner: Identity
) -> Call:
    """Return a line as a call of its endpoint, made when the results were there."""
    endpoint = (None if batch is None else batch.endpoint) or frame.endpoint
    operation, metering = _operation(frame, endpoint)
    at_ns = frame.at_ns
    if batch is not None and batch.ended_us is not None:
        ended_ns = batch.ended_us * 1000
        at_ns = ended_ns if _EARLIEST_NS < ended_ns < at_ns else at_ns
    opened = CallOpened(
        call_id=frame.call_id,
        started_at_ns=at_ns,
        identity=owner,
        provider=frame.provider,
        dialect=frame.dialect,
        operation=operation,
        metering=metering,
        method="POST",
        path=endpoint or "",
        model_requested=None if batch is None else batch.model,
        batch_id=frame.source_id if batch is None else batch.batch_id,
        custom_id=frame.custom_id,
    )
    is_ok = frame.error_type is None and frame.problem is None
    closed = CallClosed(
        call_id=frame.call_id,
        closed_at_ns=at_ns,
        status=Status.OK if is_ok else Status.ERROR,
        http_status=frame.http_status,
        error_type=frame.error_type or (None if is_ok else LINE_UNREADABLE),
        provider_request_id=frame.provider_request_id,
        provider_response_id=frame.provider_response_id,
        model_actual=frame.model_actual,
        service_tier=frame.service_tier,
        usage=frame.usage,
        usage_complete=bool(frame.usage),
        is_billable=frame.is_billable,
    )
    return Call(opened, closed, evidence)


def _operation(frame: BatchResult, endpoint: str | None) -> tuple[str, Metering]:
    """Return what a line was; ``batch`` where nothing is known of what it cost."""
    if frame.is_billable and not frame.usage:
        is_free = endpoint is not None and _route(frame.dialect, endpoint)[1] is Metering.FREE
        return BATCH, Metering.FREE if is_free else Metering.METERED
    if endpoint is None:
        return "other", Metering.METERED
    operation, metering = _route(frame.dialect, endpoint)
    # Usage came: whatever made it is to be paid.
    return operation, Metering.METERED if metering is Metering.UNMETERED else metering


def _route(dialect: str, endpoint: str) -> tuple[str, Metering]:
    try:
        route = dialect_named(dialect).route("POST", endpoint)
    except UnknownDialectError:
        return "other", Metering.METERED
    return route.operation, route.metering


def missing_call(batch: ProviderBatch, owner: Identity, now_ns: int) -> Call:
    """Return a call that stands for results which did not come: its cost is unknown."""
    at_ns = (batch.created_us or batch.first_seen_us) * 1000
    at_ns = at_ns if _EARLIEST_NS < at_ns < now_ns else now_ns
    call_id = ids.new_id(now_ns)
    opened = CallOpened(
        call_id=call_id,
        started_at_ns=at_ns,
        identity=owner,
        provider=batch.provider,
        dialect=batch.dialect,
        operation=BATCH,
        metering=Metering.METERED,
        method="POST",
        path=batch.endpoint or batch.collection,
        model_requested=batch.model,
        batch_id=batch.batch_id,
    )
    closed = CallClosed(
        call_id=call_id, closed_at_ns=now_ns, status=Status.ERROR, error_type=RESULTS_MISSING
    )
    return Call(opened, closed, _NOWHERE)


def nothing_call(batch: ProviderBatch, owner: Identity, now_ns: int) -> Call:
    """Return a call that stands for a batch which ended without any result: it is not billed."""
    call = missing_call(batch, owner, now_ns)
    return Call(
        call.opened,
        replace(call.closed, error_type=f"batch_{batch.status}"[:128], is_billable=False),
        call.evidence,
    )


def renamed(call: Call, call_id: bytes) -> Call:
    """Return a call under another id."""
    return Call(
        replace(call.opened, call_id=call_id), replace(call.closed, call_id=call_id), call.evidence
    )
