"""Calls and their charges as Arrow columns of ``entries``; written for speed, column by column.

A column that would say nothing is left out: a kind and its cost where all of them are zero, any
other column where all of it is NULL (:func:`tollbook.ledger.store.entry_table` has them again).
Most calls use few of the kinds and none of the rarer columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from tollbook.call import IDENTITY_FIELDS, CallClosed, CallOpened, Evidence, Identity, Status
from tollbook.ledger.exact import money_array, money_columns, money_from_int64
from tollbook.ledger.layersplit_bulk import layer_columns
from tollbook.ledger.schema import COST_COLUMNS, TIME_ARROW, UUID_ARROW, Kind
from tollbook.ledger.usagetext import usage_array
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from msgspec import Struct

    from tollbook.call import Call
    from tollbook.ledger.charge import Charge, PartCharge
    from tollbook.ledger.layersplit import Weights

_INT64_MAX: Final = 2**63 - 1
_INT32_MAX: Final = 2**31 - 1
_UUID_BYTES: Final = 16
_NO_KINDS: Final = Kinds(*[0] * len(KINDS))
_OPENED_TEXT: Final = (
    "provider", "dialect", "operation", "metering", "method", "path", "model_requested",
    "idempotency_key", "trace_id", "parent_span_id", "fallback_from", "route", "custom_id",
)  # fmt: skip
_CLOSED_TEXT: Final = (
    "model_actual", "service_tier", "status", "error_type", "provider_request_id",
    "provider_response_id",
)  # fmt: skip
_OPENED_INT: Final = ("input_chars", "max_output_tokens", "request_bytes")
_CLOSED_INT: Final = ("time_to_first_token_ns", "output_chars", "output_events", "response_bytes")
_encode = msgspec.json.encode


def call_columns(calls: Sequence[Call]) -> dict[str, Any]:
    """Return what the gateway saw, as Arrow arrays by column name.

    Quickest for some hundred calls at a time, while they are still in the processor's cache.
    """
    opened = _by_field(CallOpened, [call.opened for call in calls])
    closed = _by_field(CallClosed, [call.closed for call in calls])
    evidence = _by_field(Evidence, [call.evidence for call in calls])
    interrupted = Status.INTERRUPTED
    columns: dict[str, Any] = {
        "call_id": pa.ExtensionArray.from_storage(
            UUID_ARROW, pa.array(opened["call_id"], pa.binary(16))
        ),
        "called_at": _ints([at_ns // 1000 for at_ns in opened["started_at_ns"]]).cast(TIME_ARROW),
        "is_stream": pa.array(opened["is_stream"]),
        "attempt": _ints(opened["attempt"], _INT32_MAX, pa.int32()),
        "http_status": _ints(closed["http_status"], _INT32_MAX, pa.int32()),
        # How long an interrupted call took, or a line of a batch, nobody saw: zero is unknown.
        "duration_ns": _ints([
            None if status is interrupted else took_ns or None
            for status, took_ns in zip(closed["status"], closed["duration_ns"], strict=True)
        ]),
        "usage_complete": pa.array(closed["usage_complete"]),
        "is_billable": pa.array(closed["is_billable"]),
        "usage_raw": usage_array(closed["usage"]),
        "spool_writer": _text(evidence["writer"]),
        "spool_segment": _ints(evidence["segment"], _INT32_MAX, pa.int32()),
        "spool_offset": _ints(evidence["offset"]),
        "gateway_version": _text(evidence["version"]),
    }  # fmt: skip
    columns |= {name: _text(opened[name]) for name in _OPENED_TEXT}
    columns |= {name: _text(closed[name]) for name in _CLOSED_TEXT}
    columns |= {name: _ints(opened[name]) for name in _OPENED_INT}
    columns |= {name: _ints(closed[name]) for name in _CLOSED_INT}
    columns |= _identity_columns(opened["identity"])
    columns["operation_id"] = _uuids(opened["operation_id"])
    columns["retry_of"] = _uuids(opened["retry_of"])
    columns["cached_from"] = _uuids(closed["cached_from"])
    columns["provider_batch_id"] = _text(opened["batch_id"])
    columns["asked"] = _json(opened["asked"])
    columns |= _observed_columns(opened)
    return said(columns)


def _observed_columns(opened: dict[str, Any]) -> dict[str, Any]:
    return {
        "observer": _text(opened["observer"]),
        "span_id": _text(opened["span_id"]),
        "call_site": _text(_call_sites(opened)),
        "layer_weights": _json(opened["layers"]),
        "prefix_hash": _text(opened["prefix_hash"]),
        "prefix_chars": _ints([one or None for one in opened["prefix_chars"]]),
    }


def _call_sites(opened: dict[str, Any]) -> Sequence[str | None]:
    """Return the places in code; through a gateway the SDK's harness sends them as a tag."""
    tags = [one.tags for one in opened["identity"]]
    if not any(tags):
        sites: Sequence[str | None] = opened["call_site"]
        return sites
    return [
        site or (said.get("call_site") if said else None)
        for site, said in zip(opened["call_site"], tags, strict=True)
    ]


def said(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that say something: those that are not None."""
    return {name: one for name, one in columns.items() if one is not None}


def _by_field(kind: type[Struct], structs: Sequence[Struct]) -> dict[str, Any]:
    """Return the values of each field, in the order of the structs; all in C."""
    return dict(zip(kind.__struct_fields__, zip(*map(astuple, structs), strict=True), strict=True))


def _identity_columns(identities: Sequence[Identity]) -> dict[str, Any]:
    fields = _by_field(Identity, identities)
    columns = {name: _text(fields[name]) for name in (*IDENTITY_FIELDS, "api_key_id")}
    columns["tags"] = _json(fields["tags"])
    columns["identity_source"] = _text([one.get("tenant_id") for one in fields["sources"]])
    columns["identity_detail"] = _text([_identity_detail(one) for one in identities])
    return columns


def _identity_detail(identity: Identity) -> bytes | None:
    """Return ``{"sources": {field: mechanism}, "conflicts": [...], "problems": [...]}`` as text."""
    if not (identity.conflicts or identity.problems):
        return b'{"sources":' + _encode(identity.sources) + b"}" if identity.sources else None
    detail: dict[str, Any] = {}
    if identity.sources:
        detail["sources"] = identity.sources
    if identity.conflicts:
        detail["conflicts"] = [msgspec.structs.asdict(one) for one in identity.conflicts]
    if identity.problems:
        detail["problems"] = identity.problems
    return _encode(detail)


def charge_columns(
    charges: Sequence[Charge], kind: Kind = Kind.CHARGE, weights: Sequence[Weights] | None = None
) -> dict[str, Any]:
    """Return the kinds, the price and the cost of calls, as Arrow arrays by column name.

    Args:
        charges: of calls, or of parts of calls.
        kind: what the entries are.
        weights: of the request of each call by section; None where none is known.
    """
    columns: dict[str, Any] = {
        **kind_columns(kind, len(charges)),
        "usage_source": _text([one.source for one in charges]),
        "usage_problems": words_array([one.problems for one in charges]),
        "price_state": _text([one.state for one in charges]),
        "price_tier": _text([one.tier for one in charges]),
        "price_card_id": _text([one.card_id for one in charges]),
        "price_flags": words_array([one.flags for one in charges]),
        "cost_source": _text([one.cost_source for one in charges]),
        "region": _text([one.region for one in charges]),
        "reported_cost_usd": amounts([one.reported for one in charges]),
        "saved_cost_usd": amounts([one.saved for one in charges]),
        "cost_usd": money_array([one.cost for one in charges]),
    }
    columns |= counted([one.kinds for one in charges])
    _add_components(columns, [one.components for one in charges])
    columns |= layer_columns(charges, weights or [None] * len(charges))
    return said(columns)


def part_columns(
    parts: Sequence[tuple[int, PartCharge]], models: Sequence[str | None]
) -> dict[str, Any]:
    """Return the charges of parts of calls: each an entry beside the one of its call.

    Args:
        parts: each with its number within the call, from 1 on.
        models: the model that answered each call.
    """
    columns = charge_columns([part.charge for _, part in parts])
    columns["calls"] = pa.array(np.zeros(len(parts), dtype=np.int32))
    columns["part"] = pa.array([at for at, _ in parts], pa.int32())
    columns["part_label"] = _text([part.label or None for _, part in parts])
    columns["call_model"] = _text(models)
    columns["model_actual"] = _text(
        [part.model or model for (_, part), model in zip(parts, models, strict=True)]
    )
    return said(columns)


def kind_columns(kind: Kind, rows: int) -> dict[str, Any]:
    """Return what an entry of a kind says: its name, and that it counts one call, a whole one."""
    return {
        "kind": pa.repeat(pa.scalar(kind.value, pa.string()), rows),
        "calls": pa.array(np.ones(rows, dtype=np.int32)),
        "part": pa.array(np.zeros(rows, dtype=np.int32)),
    }


def counted(kinds: Sequence[Kinds | None]) -> dict[str, Any]:
    """Return the quantities, NULL where they are unknown."""
    missing = np.fromiter((one is None for one in kinds), np.bool_, len(kinds))
    flat = np.array([_NO_KINDS if one is None else one for one in kinds], dtype=np.int64)
    return quantity_columns(flat.reshape(-1, len(KINDS)), missing if missing.any() else None)


def quantity_columns(
    kinds: npt.NDArray[np.int64], unknown: npt.NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Return calls by kinds as columns; NULL where ``unknown``, left out where nobody used it."""
    used = set(np.flatnonzero((kinds != 0).any(axis=0)).tolist())
    unused = None if unknown is None else pa.array(np.zeros(len(kinds), np.int64), mask=unknown)
    columns: dict[str, Any] = {}
    for at, name in enumerate(KINDS):
        if at in used:
            columns[name] = pa.array(np.ascontiguousarray(kinds[:, at]), mask=unknown)
        elif unused is not None:
            columns[name] = unused
    return columns


def component_columns(
    parts: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Return the cost by kinds as columns; NULL where ``missing``, left out where all are zero."""
    used = np.flatnonzero((parts != 0).any(axis=0)).tolist()
    columns: dict[str, Any] = {}
    if missing is not None:
        unused = money_from_int64(np.zeros(len(parts), np.int64), missing)
        columns = dict.fromkeys(COST_COLUMNS, unused)
    if used:
        money = money_columns(parts[:, used], missing)
        columns |= zip([COST_COLUMNS[at] for at in used], money, strict=True)
    return columns


def amounts(pico: Sequence[int | None]) -> Any:
    """Return amounts that few entries have, None where none has one."""
    return None if pico.count(None) == len(pico) else money_array(pico)


def _add_components(columns: dict[str, Any], components: list[tuple[int, ...] | None]) -> None:
    try:
        flat = np.array([one or _NO_KINDS for one in components], dtype=np.int64)
    except OverflowError:
        for at, name in enumerate(COST_COLUMNS):
            columns[name] = money_array([one[at] if one else None for one in components])
        return
    missing = np.fromiter((one is None for one in components), np.bool_, len(components))
    columns.update(
        component_columns(flat.reshape(-1, len(KINDS)), missing if missing.any() else None)
    )


def words_array(words: Sequence[tuple[str, ...]]) -> Any:
    """Return JSON arrays of texts, NULL for none; the same few come again and again."""
    if not any(words):
        return None
    texts = {one: words_text(one) for one in set(words)}
    return _text([texts[one] for one in words])


def words_text(words: tuple[str, ...]) -> str | None:
    """Return a JSON array of texts, None for none."""
    return _encode(words).decode() if words else None


def _text(values: Sequence[Any]) -> Any:
    # Most calls leave the same columns empty.
    if values and values[0] is None and values.count(None) == len(values):
        return None
    return pa.array(values, pa.string())


def _json(values: Sequence[Any]) -> Any:
    if not any(values):
        return None
    return pa.array([_encode(one) if one else None for one in values], pa.string())


def _uuids(values: Sequence[bytes | None]) -> Any:
    if values and values[0] is None and values.count(None) == len(values):
        return None
    # An id of another size, from a damaged frame, is unknown.
    whole = [one if one is None or len(one) == _UUID_BYTES else None for one in values]
    return pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(whole, pa.binary(_UUID_BYTES)))


def _ints(values: Sequence[int | None], largest: int = _INT64_MAX, kind: Any = None) -> Any:
    """Return an integer column; what no such column holds (from a client's header) is unknown."""
    kind = kind or pa.int64()
    try:
        return pa.array(values, kind)
    except (OverflowError, pa.ArrowInvalid):
        fit = [one if one is not None and -largest <= one <= largest else None for one in values]
        return pa.array(fit, kind)
