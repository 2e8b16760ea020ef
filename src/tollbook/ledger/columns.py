"""Calls and their charges as Arrow columns of ``entries``; written for speed, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from tollbook.call import IDENTITY_FIELDS, Status
from tollbook.ledger.exact import money_array, money_from_int64
from tollbook.ledger.schema import COST_COLUMNS, TIME_ARROW, UUID_ARROW, Kind
from tollbook.ledger.usagetext import usage_text
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.call import Call, CallClosed, CallOpened, Identity
    from tollbook.ledger.charge import Charge

_INT64_MAX: Final = 2**63 - 1
_INT32_MAX: Final = 2**31 - 1
_NO_KINDS: Final = Kinds(*[0] * len(KINDS))
_OPENED_TEXT: Final = (
    "provider", "dialect", "operation", "metering", "method", "path", "model_requested",
    "idempotency_key", "trace_id", "parent_span_id",
)  # fmt: skip
_CLOSED_TEXT: Final = (
    "model_actual", "service_tier", "status", "error_type", "provider_request_id",
    "provider_response_id",
)  # fmt: skip
_OPENED_INT: Final = ("input_chars", "max_output_tokens", "request_bytes")
_CLOSED_INT: Final = ("time_to_first_token_ns", "output_chars", "output_events", "response_bytes")
_encode = msgspec.json.encode


def call_columns(calls: Sequence[Call]) -> dict[str, Any]:
    """Return what the gateway saw, as Arrow arrays by column name."""
    opened: list[CallOpened] = [call.opened for call in calls]
    closed: list[CallClosed] = [call.closed for call in calls]
    evidence = [call.evidence for call in calls]
    columns: dict[str, Any] = {
        "call_id": pa.ExtensionArray.from_storage(
            UUID_ARROW, pa.array([one.call_id for one in opened], pa.binary(16))
        ),
        "called_at": _ints([one.started_at_ns // 1000 for one in opened]).cast(TIME_ARROW),
        "is_stream": pa.array([one.is_stream for one in opened]),
        "attempt": _ints([one.attempt for one in opened], _INT32_MAX, pa.int32()),
        "http_status": _ints([one.http_status for one in closed], _INT32_MAX, pa.int32()),
        # How long an interrupted call took, nobody saw.
        "duration_ns": _ints(
            [None if one.status is Status.INTERRUPTED else one.duration_ns for one in closed]
        ),
        "usage_complete": pa.array([one.usage_complete for one in closed]),
        "is_billable": pa.array([one.is_billable for one in closed]),
        "usage_raw": _text([usage_text(one.usage) if one.usage else None for one in closed]),
        "spool_writer": _text([one.writer for one in evidence]),
        "spool_segment": _ints([one.segment for one in evidence], _INT32_MAX, pa.int32()),
        "spool_offset": _ints([one.offset for one in evidence]),
        "gateway_version": _text([one.version for one in evidence]),
    }
    for name in _OPENED_TEXT:
        columns[name] = _text([getattr(one, name) for one in opened])
    for name in _CLOSED_TEXT:
        columns[name] = _text([getattr(one, name) for one in closed])
    for name in _OPENED_INT:
        columns[name] = _ints([getattr(one, name) for one in opened])
    for name in _CLOSED_INT:
        columns[name] = _ints([getattr(one, name) for one in closed])
    return columns | _identity_columns([one.identity for one in opened])


def _identity_columns(identities: Sequence[Identity]) -> dict[str, Any]:
    columns = {
        name: _text([getattr(one, name) for one in identities])
        for name in (*IDENTITY_FIELDS, "api_key_id")
    }
    columns["tags"] = _text(
        [_encode(one.tags).decode() if one.tags else None for one in identities]
    )
    columns["identity_source"] = _text([one.sources.get("tenant_id") for one in identities])
    columns["identity_detail"] = _text([_identity_detail(one) for one in identities])
    return columns


def _identity_detail(identity: Identity) -> str | None:
    """Return ``{"sources": {field: mechanism}, "conflicts": [...], "problems": [...]}`` as text."""
    if not (identity.conflicts or identity.problems):
        return (
            '{"sources":' + _encode(identity.sources).decode() + "}" if identity.sources else None
        )
    detail: dict[str, Any] = {}
    if identity.sources:
        detail["sources"] = identity.sources
    if identity.conflicts:
        detail["conflicts"] = [msgspec.structs.asdict(one) for one in identity.conflicts]
    if identity.problems:
        detail["problems"] = identity.problems
    return _encode(detail).decode()


def charge_columns(charges: Sequence[Charge], kind: Kind = Kind.CHARGE) -> dict[str, Any]:
    """Return the kinds, the price and the cost of calls, as Arrow arrays by column name."""
    rows = len(charges)
    texts: dict[tuple[str, ...], str | None] = {(): None}
    columns: dict[str, Any] = {
        "kind": _same(kind.value, rows),
        "calls": pa.array(np.ones(rows, dtype=np.int32)),
        "usage_source": _text([one.source for one in charges]),
        "usage_problems": _text([_words(texts, one.problems) for one in charges]),
        "price_state": _text([one.state for one in charges]),
        "price_card_id": _text([one.card_id for one in charges]),
        "price_flags": _text([_words(texts, one.flags) for one in charges]),
        "cost_usd": money_array([one.cost for one in charges]),
    }
    _add_kinds(columns, [one.kinds for one in charges])
    _add_components(columns, [one.components for one in charges])
    return columns


def _add_kinds(columns: dict[str, Any], kinds: list[Kinds | None]) -> None:
    missing = np.fromiter((one is None for one in kinds), np.bool_, len(kinds))
    mask = missing if missing.any() else None
    flat = np.array([_NO_KINDS if one is None else one for one in kinds], dtype=np.int64)
    for name, values in zip(KINDS, flat.reshape(-1, len(KINDS)).T, strict=True):
        columns[name] = pa.array(np.ascontiguousarray(values), mask=mask)


def _add_components(columns: dict[str, Any], components: list[tuple[int, ...] | None]) -> None:
    width = len(KINDS)
    try:
        flat = np.array([one or _NO_KINDS for one in components], dtype=np.int64)
    except OverflowError:
        for at, name in enumerate(COST_COLUMNS):
            columns[name] = money_array([one[at] if one else None for one in components])
        return
    missing = np.fromiter((one is None for one in components), np.bool_, len(components))
    mask = missing if missing.any() else None
    for name, values in zip(COST_COLUMNS, flat.reshape(-1, width).T, strict=True):
        columns[name] = money_from_int64(values, mask)


def _words(texts: dict[tuple[str, ...], str | None], words: tuple[str, ...]) -> str | None:
    """Return a JSON array of texts, None for none; the same few come again and again."""
    text = texts.get(words)
    if text is None and words:
        text = texts[words] = _encode(words).decode()
    return text


def _text(values: list[Any]) -> Any:
    return pa.array(values, pa.string())


def _same(value: str, rows: int) -> Any:
    return pa.array([value] * rows, pa.string())


def _ints(values: list[int | None], largest: int = _INT64_MAX, kind: Any = None) -> Any:
    """Return an integer column; what no such column holds (from a client's header) is unknown."""
    kind = kind or pa.int64()
    try:
        return pa.array(values, kind)
    except (OverflowError, pa.ArrowInvalid):
        fit = [one if one is not None and -largest <= one <= largest else None for one in values]
        return pa.array(fit, kind)
