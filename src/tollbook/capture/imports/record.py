"""A call as another tool logged it, and the two frames that it is in the spool."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.call import CallClosed, CallOpened, Metering, Observer, Status
from tollbook.dialects.otel import NAME, usage_object
from tollbook.dialects.otel_names import (
    RAW_DIALECT,
    RAW_USAGE,
    SPEC_COST,
    SPEC_COST_CURRENCY,
    SPEC_COST_SOURCE,
    is_count,
)
from tollbook.identity import Mechanism, resolve
from tollbook.identity.values import ClaimsBuilder

if TYPE_CHECKING:
    from decimal import Decimal

    from tollbook.call import Identity

_TOKENS: Final = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "total": "gen_ai.usage.total_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "cache_write_5m": "gen_ai.usage.cache_write.5m.input_tokens",
    "cache_write_1h": "gen_ai.usage.cache_write.1h.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "input_audio": "gen_ai.usage.audio.input_tokens",
    "output_audio": "gen_ai.usage.audio.output_tokens",
    "search_units": "gen_ai.usage.search_units",
    "web_searches": "gen_ai.usage.web_search_requests",
}
"""Quantities to the attributes under which dialect ``otel`` reads them."""
QUANTITIES: Final = tuple(_TOKENS)


class Record(Struct, kw_only=True):
    """What a row says of a call. Times are nanoseconds since the epoch; None is not told."""

    row_id: str
    started_at_ns: int
    provider: str
    operation: str = "chat"
    model_requested: str | None = None
    model_actual: str | None = None
    ended_at_ns: int | None = None
    time_to_first_token_ns: int | None = None
    usage: dict[str, Any] = {}
    """Attributes of usage as dialect ``otel`` reads them."""
    notes: list[str] = []
    """What stands beside the numbers in words."""
    http_status: int | None = None
    is_error: bool = False
    error_type: str | None = None
    is_billable: bool = True
    is_stream: bool = False
    provider_response_id: str | None = None
    service_tier: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    api_key_id: str | None = None
    owner: ClaimsBuilder


def new_owner() -> ClaimsBuilder:
    """Return what collects whose a row is."""
    return ClaimsBuilder(Mechanism.IMPORT)


def tokens(**counts: int | None) -> dict[str, Any]:
    """Return attributes of usage for quantities (:data:`QUANTITIES`); None is left out."""
    return {_TOKENS[name]: count for name, count in counts.items() if count is not None}


def cost(usd: Decimal | None, *, is_invoiced: bool = False) -> dict[str, Any]:
    """Return attributes of a reported cost.

    Args:
        usd: None for none.
        is_invoiced: the provider's own figure, not one that a tool worked out.
    """
    if usd is None:
        return {}
    source = {SPEC_COST_SOURCE: "provider"} if is_invoiced else {}
    return {SPEC_COST: format(usd, "f"), SPEC_COST_CURRENCY: "USD", **source}


def raw_usage(dialect: str, text: str) -> dict[str, Any]:
    """Return attributes of a provider's own usage object, as JSON text."""
    return {RAW_USAGE: text, RAW_DIALECT: dialect}


def call_id_of(source: str, row_id: str) -> bytes:
    """Return the id of a row's call, 16 bytes: the same whenever and wherever it is imported."""
    return sha256(f"import:{source}:{row_id}".encode(errors="surrogatepass")).digest()[:16]


def frames_of(
    record: Record, source: str, default_environment: str
) -> tuple[CallOpened, CallClosed]:
    """Return a record as the frames of a call that was seen by an import.

    Args:
        record: what a row says.
        source: the kind of log, or the name of a mapping; part of the call's id.
        default_environment: of a call that does not name one.
    """
    call_id = call_id_of(source, record.row_id)
    has_usage = any(is_count(name) for name in record.usage) or RAW_USAGE in record.usage
    ended_ns = max(record.ended_at_ns or record.started_at_ns, record.started_at_ns)
    opened = CallOpened(
        call_id=call_id,
        started_at_ns=record.started_at_ns,
        identity=_identity(record, default_environment),
        provider=record.provider,
        dialect=NAME,
        operation=record.operation,
        metering=Metering.METERED,
        method="",
        path="",
        model_requested=record.model_requested or record.model_actual,
        is_stream=record.is_stream,
        trace_id=record.trace_id,
        parent_span_id=record.parent_span_id,
        observer=Observer.IMPORT,
        span_id=record.span_id,
    )
    closed = CallClosed(
        call_id=call_id,
        closed_at_ns=ended_ns,
        status=Status.ERROR if record.is_error else Status.OK,
        http_status=record.http_status,
        error_type=record.error_type,
        time_to_first_token_ns=record.time_to_first_token_ns,
        duration_ns=ended_ns - record.started_at_ns,
        provider_response_id=record.provider_response_id,
        model_actual=record.model_actual,
        service_tier=record.service_tier,
        usage=(usage_object(record.usage, f"import.{source}", "", record.notes),),
        usage_complete=has_usage,
        is_billable=record.is_billable and (has_usage or not record.is_error),
    )
    return opened, closed


def _identity(record: Record, default_environment: str) -> Identity:
    claims = record.owner.build()
    return resolve(
        [] if claims is None else [claims],
        api_key_id=record.api_key_id,
        default_environment=default_environment,
    )
