"""Each call with its score, a line each: for looking further, and for other programs.

Written while the traces are judged, so it may be larger than memory.
"""

from __future__ import annotations

import csv
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.outputs.hops import plain
from tollbook.money import usd_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.scoring import CallScore
    from tollbook.audit.trace import Trace

COLUMNS: Final = (
    "trace_id", "span_id", "started_at_ns", "service", "operation", "provider",
    "model_requested", "model_actual", "tenant_id", "team_id", "input_tokens", "output_tokens",
    "cost_usd", "currency", "price_card", "price_problem", "score", "lacks", "cause",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula (OWASP, CSV injection)."""


def csv_rows(file: IO[str]) -> Callable[[dict[str, Any]], None]:
    """Return what writes a row as CSV; the names are written at once.

    Args:
        file: opened with ``newline=""``.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)

    def write(row: dict[str, Any]) -> None:
        writer.writerow([_cell(row[name]) for name in COLUMNS])

    return write


def jsonl_rows(file: IO[bytes]) -> Callable[[dict[str, Any]], None]:
    """Return what writes a row as JSON Lines."""
    encode = msgspec.json.Encoder().encode

    def write(row: dict[str, Any]) -> None:
        file.write(encode(row) + b"\n")

    return write


def row_of(trace: Trace, span: SpanFact, scored: CallScore) -> dict[str, Any]:
    """Return a call as plain values; what is not known is None."""
    call = span.call
    assert call is not None
    tenant, team = trace.owner_of(span), trace.owner_of(span, "team_id")
    kinds = call.kinds
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "started_at_ns": span.started_at_ns or None,
        "service": span.service,
        "operation": call.operation,
        "provider": call.provider,
        "model_requested": call.model_requested,
        "model_actual": call.model_actual,
        "tenant_id": None if tenant is None else tenant.value,
        "team_id": None if team is None else team.value,
        "input_tokens": None if kinds is None else kinds.input_tokens,
        "output_tokens": None if kinds is None else kinds.output_tokens,
        "cost_usd": None if call.cost_pico is None else usd_text(call.cost_pico),
        "currency": "USD",
        "price_card": call.price_card,
        "price_problem": call.price_problem,
        "score": scored.score_millis / 10,
        "lacks": list(scored.lacks),
        "cause": scored.cause,
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(value)
    text = plain(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
