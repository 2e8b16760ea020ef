"""Corrections: a reversal that mirrors an entry, and a new charge that takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tollbook.layers import LAYER_COSTS, LAYER_TOKENS
from tollbook.ledger.columns import charge_columns, part_columns
from tollbook.ledger.layersplit import weights_of
from tollbook.ledger.schema import COST_COLUMNS, ENTRY_SCHEMA, Kind
from tollbook.ledger.store import absent_column
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.ledger.charge import Charge, PartCharge
    from tollbook.ledger.layersplit import Weights

NEGATED: Final = (
    "calls", *KINDS, "reported_cost_usd", "saved_cost_usd", "cost_usd", *COST_COLUMNS,
    *LAYER_TOKENS, *LAYER_COSTS, "billable_usd",
)  # fmt: skip
"""What a reversal takes back; everything else it repeats."""

_BILLED: Final = ("billable_usd", "billing_rule_id", "billing_flags")
"""Said anew by the store's biller of every charge, by the rules that hold for its call."""

OWN: Final = ("entry_id", "batch_id", "booked_at", "kind", "replaces", "reason")
"""What an entry has of its own, whatever it corrects."""

_CHARGED: Final = (
    *KINDS, *COST_COLUMNS, "cost_usd", "reported_cost_usd", "saved_cost_usd", "cost_source",
    "price_state", "price_tier", "price_card_id", "price_flags", "usage_source", "usage_problems",
    "region", *LAYER_TOKENS, *LAYER_COSTS,
)  # fmt: skip
"""What a charge says anew; the rest is what the gateway saw."""


class Correction(NamedTuple):
    """One charge that is no longer right."""

    row: int
    """Which of the stored charges: the one to take back, or whose call has a further part."""
    charge: Charge | None
    """What takes its place; None: nothing."""
    reason: str
    part: tuple[int, PartCharge] | None = None
    """The charge is that of this part, which had no entry: nothing is taken back."""


def correction_columns(
    table: pa.Table, charges: Sequence[Charge], reasons: Sequence[str]
) -> dict[str, Any]:
    """Return the columns of reversals of stored charges, followed by their new charges.

    Args:
        table: the charges, with every column of ``entries``.
        charges: what each is charged now.
        reasons: why, for each.
    """
    pairs = enumerate(zip(charges, reasons, strict=True))
    return corrections(table, [Correction(at, *pair) for at, pair in pairs])


def rebilled(table: pa.Table, reason: str) -> dict[str, Any]:
    """Return the columns of reversals of stored charges, followed by the same charges again.

    What they are billed is left to the store, which says it of all that is appended.
    """
    reversed_rows, reversals = _reversals(table, [reason] * table.num_rows)
    renewals = _told(table, [reason] * table.num_rows)
    renewals |= {name: absent_column(name, table.num_rows) for name in _BILLED}
    kept = [(reversed_rows, reversals), (table, renewals)]
    return _joined(kept)


def corrections(
    table: pa.Table, wanted: Sequence[Correction], known: pa.Table | None = None
) -> dict[str, Any]:
    """Return the columns of reversals, followed by the charges that take their places.

    Args:
        table: stored charges, with every column of ``entries``.
        wanted: what is wrong with which of them, and what is right.
        known: the same rows with what is known of the calls now, where that is more.
    """
    known = table if known is None else known
    reversed_ = [one for one in wanted if one.part is None]
    renewed = [one for one in wanted if one.charge is not None and one.part is None]
    added = [one for one in wanted if one.part is not None]
    parts = [
        _reversals(_rows(table, reversed_), [one.reason for one in reversed_]),
        _renewals(_rows(known, renewed), renewed),
        _additions(_rows(known, added), added),
    ]
    return _joined([(rows, said) for rows, said in parts if rows.num_rows])


def _joined(kept: Sequence[tuple[pa.Table, dict[str, Any]]]) -> dict[str, Any]:
    return {
        field.name: joined(
            [said[field.name] if field.name in said else rows.column(field.name)
             for rows, said in kept],
            field.type,
        )
        for field in ENTRY_SCHEMA
        if field.name not in _GIVEN
    }  # fmt: skip


_GIVEN: Final = frozenset(["entry_id", "batch_id", "booked_at"])
"""Given when the entries are appended."""


def _rows(table: pa.Table, wanted: Sequence[Correction]) -> pa.Table:
    return table.take(pa.array([one.row for one in wanted], pa.int64()))


def _reversals(rows: pa.Table, reasons: Sequence[str]) -> tuple[pa.Table, dict[str, Any]]:
    said = {name: pc.negate(rows.column(name)) for name in NEGATED}
    return rows, said | _told(rows, reasons) | {
        "kind": pa.array([Kind.REVERSAL.value] * rows.num_rows, pa.string())
    }


def _renewals(
    rows: pa.Table, wanted: Sequence[Correction]
) -> tuple[pa.Table, dict[str, Any]]:  # fmt: skip
    said = _charged([one.charge for one in wanted if one.charge is not None], _weights(rows))
    # Which part of its call an entry is does not change.
    return rows, said | _told(rows, [one.reason for one in wanted])


def _additions(
    rows: pa.Table, wanted: Sequence[Correction]
) -> tuple[pa.Table, dict[str, Any]]:  # fmt: skip
    parts = [one.part for one in wanted if one.part is not None]
    models = rows.column("model_actual").to_pylist()
    charged = _charged([part.charge for _, part in parts], [None] * len(parts))
    said = charged | part_columns(parts, models)
    told = _told(rows, [one.reason for one in wanted])
    return rows, said | told | {"replaces": pa.nulls(rows.num_rows, pa.int64())}


def _weights(rows: pa.Table) -> list[Weights]:
    """Return what is known of the requests by section; not of parts, which others asked for."""
    texts, parts = rows.column("layer_weights").to_pylist(), rows.column("part").to_pylist()
    return [None if part else weights_of(one) for one, part in zip(texts, parts, strict=True)]


def _charged(charges: Sequence[Charge], weights: Sequence[Weights]) -> dict[str, Any]:
    """Return all that a charge says, what it leaves out included."""
    said = charge_columns(charges, weights=weights)
    del said["calls"], said["part"]
    return {
        name: said[name] if name in said else absent_column(name, len(charges))
        for name in (*_CHARGED, "kind", *_BILLED)
    }


def _told(rows: pa.Table, reasons: Sequence[str]) -> dict[str, Any]:
    return {"replaces": rows.column("entry_id"), "reason": pa.array(reasons, pa.string())}


def joined(parts: list[Any], kind: pa.DataType) -> Any:
    """Return stored and new arrays of one column as one."""
    chunks: list[Any] = [
        _of_type(chunk, kind)
        for part in parts
        for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])
    ]
    chunked: Any = pa.chunked_array  # whose stubs want a literal type
    return chunked(chunks, type=kind)


def _of_type(array: Any, kind: pa.DataType) -> Any:
    # DuckDB hands out booleans as an extension type, one byte each.
    return array if array.type == kind else array.storage.cast(kind)
