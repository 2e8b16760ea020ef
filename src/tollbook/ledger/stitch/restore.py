"""Entries back to whole calls: what the gateway saw, as it was booked first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from tollbook.call import (
    IDENTITY_FIELDS,
    Call,
    CallClosed,
    CallOpened,
    Conflict,
    Evidence,
    Identity,
    Metering,
    Observer,
    Status,
)
from tollbook.ledger.usagetext import usage_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPENED: Final = (
    "provider", "dialect", "operation", "method", "path", "model_requested", "is_stream", "attempt",
    "idempotency_key", "trace_id", "parent_span_id", "max_output_tokens", "operation_id",
    "retry_of", "fallback_from", "route", "region", "custom_id", "span_id", "call_site",
    "prefix_hash",
)  # fmt: skip
_CLOSED: Final = (
    "http_status", "error_type", "time_to_first_token_ns", "provider_request_id",
    "provider_response_id", "model_actual", "service_tier", "usage_complete", "is_billable",
    "cached_from",
)  # fmt: skip
_COUNTS_CLOSED: Final = ("output_chars", "output_events", "response_bytes", "duration_ns")
CALL_COLUMNS: Final = tuple(dict.fromkeys((
    "entry_id", "call_id", "called_at", "metering", "request_bytes", "input_chars", "asked",
    "provider_batch_id", "observer", "layer_weights", "prefix_chars", "status", "usage_raw",
    *IDENTITY_FIELDS, "api_key_id", "tags", "identity_detail", "spool_writer", "spool_segment",
    "spool_offset", "gateway_version", "reason", *_OPENED, *_CLOSED, *_COUNTS_CLOSED,
)))  # fmt: skip
"""All that a call is made of again."""

_decode_tags: Final = msgspec.json.Decoder(dict[str, str]).decode
_decode_asked: Final = msgspec.json.Decoder(dict[str, str | int]).decode
_decode_layers: Final = msgspec.json.Decoder(tuple[int, ...]).decode


class _Detail(msgspec.Struct, frozen=True):
    sources: dict[str, str] = {}
    conflicts: tuple[dict[str, str], ...] = ()
    problems: tuple[str, ...] = ()


_decode_detail: Final = msgspec.json.Decoder(_Detail).decode


def whole_call(row: Mapping[str, Any]) -> Call:
    """Return the call of an entry, so that its columns are those of the entry again.

    Args:
        row: from :func:`tollbook.ledger.rebuild.rows_of`, with :data:`CALL_COLUMNS`.

    Raises:
        ValueError: the stored values are not those of a call.
    """
    started_at_ns, call_id = row["called_at"] * 1000, row["call_id"]
    opened = CallOpened(
        call_id=call_id,
        started_at_ns=started_at_ns,
        identity=_identity(row),
        metering=Metering(row["metering"]),
        request_bytes=row["request_bytes"] or 0,
        input_chars=row["input_chars"] or 0,
        asked=None if row["asked"] is None else _decode_asked(row["asked"]),
        batch_id=row["provider_batch_id"],
        observer=None if row["observer"] is None else Observer(row["observer"]),
        layers=None if row["layer_weights"] is None else _decode_layers(row["layer_weights"]),
        prefix_chars=row["prefix_chars"] or 0,
        **{name: row[name] for name in _OPENED},
    )
    counts: dict[str, Any] = {name: row[name] or 0 for name in _COUNTS_CLOSED}
    closed = CallClosed(
        call_id=call_id,
        closed_at_ns=started_at_ns + counts["duration_ns"],
        status=Status(row["status"]),
        usage=usage_objects(row["usage_raw"]),
        **counts,
        **{name: row[name] for name in _CLOSED},
    )
    evidence = Evidence(
        row["spool_writer"] or "", row["spool_segment"] or 0, row["spool_offset"] or 0,
        row["gateway_version"] or "",
    )  # fmt: skip
    return Call(opened, closed, evidence)


def with_usage_of(call: Call, row: Mapping[str, Any]) -> Call:
    """Return a call with the usage that a later entry of it has."""
    closed = replace(
        call.closed, usage=usage_objects(row["usage_raw"]), usage_complete=row["usage_complete"],
        model_actual=row["model_actual"], service_tier=row["service_tier"],
    )  # fmt: skip
    return Call(call.opened, closed, call.evidence)


def with_owner_of(call: Call, row: Mapping[str, Any]) -> Call:
    """Return a call with the owner that a later entry of it has."""
    return Call(replace(call.opened, identity=_identity(row)), call.closed, call.evidence)


def _identity(row: Mapping[str, Any]) -> Identity:
    text = row["identity_detail"]
    detail = _Detail() if text is None else _decode_detail(text)
    return Identity(
        **{name: row[name] for name in IDENTITY_FIELDS},
        api_key_id=row["api_key_id"],
        tags={} if row["tags"] is None else _decode_tags(row["tags"]),
        sources=detail.sources,
        conflicts=tuple(Conflict(**one) for one in detail.conflicts),
        problems=detail.problems,
    )
