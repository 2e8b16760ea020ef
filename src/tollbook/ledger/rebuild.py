"""Stored entries back to calls, to measure and price them again from the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.ledger.exact import pico_list
from tollbook.ledger.layersplit import LayerSplit
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.ledger.usagetext import usage_objects
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from tollbook.ledger.charge import Charge

EVIDENCE_COLUMNS: Final = (
    "call_id", "called_at", "provider", "dialect", "operation", "metering", "method", "path",
    "model_requested", "model_actual", "service_tier", "is_stream", "status", "usage_raw",
    "input_chars", "output_chars", "output_events", "max_output_tokens", "usage_complete",
    "is_billable", "part", "call_model", "region", "asked", "provider_batch_id", "cached_from",
)  # fmt: skip
"""All that measuring and pricing look at."""
CHARGE_COLUMNS: Final = ("price_state", "price_tier", "region", "cost_source")
AMOUNTS: Final = ("cost_usd", "reported_cost_usd", "saved_cost_usd")

_NOBODY: Final = Identity()
_NOWHERE: Final = Evidence("", 0, 0, "")
_decode_asked: Final = msgspec.json.Decoder(dict[str, str | int]).decode


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a stored table; ids as 16 bytes, times as microseconds since the epoch."""
    names = table.column_names
    columns = [
        _plain(table.column(at), table.schema.field(at).type).to_pylist()
        for at in range(len(names))
    ]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _plain(column: Any, kind: Any) -> Any:
    if kind == UUID_ARROW:
        return column.cast(UUID_ARROW.storage_type)
    return column.cast("int64") if kind == TIME_ARROW else column


def call_of(row: Mapping[str, Any]) -> Call:
    """Return the call of an entry, as far as its charge depends on it.

    Args:
        row: from :func:`rows_of`, with at least :data:`EVIDENCE_COLUMNS`.

    Raises:
        ValueError: the stored values are not those of a call.
    """
    started_at_ns = row["called_at"] * 1000
    opened = CallOpened(
        call_id=row["call_id"], started_at_ns=started_at_ns, identity=_NOBODY,
        provider=row["provider"], dialect=row["dialect"], operation=row["operation"],
        metering=Metering(row["metering"]), method=row["method"], path=row["path"],
        model_requested=row["model_requested"], is_stream=row["is_stream"],
        input_chars=row["input_chars"] or 0, max_output_tokens=row["max_output_tokens"],
        region=row["region"], asked=_asked(row["asked"]), batch_id=row["provider_batch_id"],
    )  # fmt: skip
    closed = CallClosed(
        call_id=row["call_id"], closed_at_ns=started_at_ns, status=Status(row["status"]),
        model_actual=row["call_model"] if row["part"] else row["model_actual"],
        service_tier=row["service_tier"], cached_from=row["cached_from"],
        usage=usage_objects(row["usage_raw"]), usage_complete=row["usage_complete"],
        output_chars=row["output_chars"] or 0, output_events=row["output_events"] or 0,
        is_billable=row["is_billable"],
    )  # fmt: skip
    return Call(opened, closed, _NOWHERE)


def _asked(text: str | None) -> dict[str, str | int] | None:
    try:
        return None if text is None else _decode_asked(text)
    except msgspec.MsgspecError as error:
        raise ValueError("asked is not a JSON object of texts and numbers") from error


def charge_at(charge: Charge, part: int) -> Charge | None:
    """Return what a part of a call is charged (0: the call itself); None if it has no such part."""
    if part == 0:
        return charge
    return charge.further[part - 1].charge if 0 < part <= len(charge.further) else None


def stored_charge(
    row: Mapping[str, Any], amounts: Mapping[str, int | None], components: tuple[int | None, ...]
) -> tuple[object, ...]:
    """Return what an entry says of its charge, in the form of :func:`said_of`.

    Args:
        row: from :func:`rows_of`, with at least :data:`CHARGE_COLUMNS` and the kinds.
        amounts: ``cost_usd``, ``reported_cost_usd`` and ``saved_cost_usd`` in pico.
        components: the cost of each kind in pico.
    """
    cost = amounts["cost_usd"]
    return (
        kinds_of(row), row["price_state"], row["price_tier"], row["region"], row["cost_source"],
        cost, components if cost is not None else None,
        amounts["reported_cost_usd"], amounts["saved_cost_usd"],
    )  # fmt: skip


def said_of(charge: Charge) -> tuple[object, ...]:
    """Return what an entry of a charge would say, to compare it with what one says."""
    return (
        charge.kinds, charge.state, charge.tier, charge.region, charge.cost_source,
        charge.cost, charge.components, charge.reported, charge.saved,
    )  # fmt: skip


def kinds_of(row: Mapping[str, Any]) -> Kinds | None:
    """Return the stored kinds of an entry, None where they are unknown."""
    values = [row[name] for name in KINDS]
    return None if any(value is None for value in values) else Kinds(*values)


def stored_layers(table: pa.Table) -> Iterator[LayerSplit]:
    """Yield the tokens and the cost of each row by layer; those with an unknown one are None."""
    tokens = zip(*(table.column(name).to_pylist() for name in LAYER_TOKENS), strict=True)
    costs = zip(*(pico_list(table.column(name)) for name in LAYER_COSTS), strict=True)
    for pair in zip(tokens, costs, strict=True):
        yield LayerSplit(*(None if set(one) == {None} else one for one in pair))
