"""Stored entries back to calls, to measure and price them again from the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.ledger.usagetext import usage_objects
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

EVIDENCE_COLUMNS: Final = (
    "call_id", "called_at", "provider", "dialect", "operation", "metering", "method", "path",
    "model_requested", "model_actual", "service_tier", "is_stream", "status", "usage_raw",
    "input_chars", "output_chars", "output_events", "max_output_tokens", "usage_complete",
    "is_billable",
)  # fmt: skip
"""All that measuring and pricing look at."""

_NOBODY: Final = Identity()
_NOWHERE: Final = Evidence("", 0, 0, "")


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
    )  # fmt: skip
    closed = CallClosed(
        call_id=row["call_id"], closed_at_ns=started_at_ns, status=Status(row["status"]),
        model_actual=row["model_actual"], service_tier=row["service_tier"],
        usage=usage_objects(row["usage_raw"]), usage_complete=row["usage_complete"],
        output_chars=row["output_chars"] or 0, output_events=row["output_events"] or 0,
        is_billable=row["is_billable"],
    )  # fmt: skip
    return Call(opened, closed, _NOWHERE)


def kinds_of(row: Mapping[str, Any]) -> Kinds | None:
    """Return the stored kinds of an entry, None where they are unknown."""
    values = [row[name] for name in KINDS]
    return None if any(value is None for value in values) else Kinds(*values)
