"""Corrections: a reversal that mirrors an entry, and a new charge that takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tollbook.ledger.columns import charge_columns
from tollbook.ledger.schema import COST_COLUMNS, ENTRY_SCHEMA, Kind
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.ledger.charge import Charge

NEGATED: Final = ("calls", *KINDS, "cost_usd", *COST_COLUMNS)
"""What a reversal takes back; everything else it repeats."""

OWN: Final = ("entry_id", "batch_id", "booked_at", "kind", "replaces", "reason")
"""What an entry has of its own, whatever it corrects."""


def correction_columns(
    table: pa.Table, charges: Sequence[Charge], reasons: Sequence[str]
) -> dict[str, Any]:
    """Return the columns of reversals of stored charges, followed by their new charges.

    Args:
        table: the charges, with every column of ``entries``.
        charges: what each is charged now.
        reasons: why, for each.
    """
    replaces = {"replaces": table.column("entry_id"), "reason": pa.array(reasons, pa.string())}
    reversals = {name: pc.negate(table.column(name)) for name in NEGATED} | replaces
    reversals["kind"] = pa.array([Kind.REVERSAL.value] * table.num_rows, pa.string())
    renewals = charge_columns(charges) | replaces
    columns = {}
    for field in ENTRY_SCHEMA:
        if field.name in OWN and field.name not in renewals:
            continue  # ids and the time of booking are given when they are appended
        stored = table.column(field.name)
        both = [reversals.get(field.name, stored), renewals.get(field.name, stored)]
        columns[field.name] = _concat(both, field.type)
    return columns


def _concat(parts: list[Any], kind: pa.DataType) -> Any:
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
