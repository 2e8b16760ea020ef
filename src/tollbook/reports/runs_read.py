"""What the ledger knows of a run: the calls that name it, the spans and calls of their traces."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tollbook.money import pico_from_usd
from tollbook.reports.runs_rows import CallRow, SpanRow, Sums
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.reports.reader import Reader

CALLS_MAX: Final = 50_000
SPANS_MAX: Final = 50_000
TRACES_MAX: Final = 1_000
FIELDS: Final = ("agent_run_id", "trace_id", "request_id")
"""What an id may be, in the order in which it is looked for."""

_SIGN: Final = "CASE kind WHEN 'charge' THEN 1 WHEN 'reversal' THEN -1 ELSE 0 END"
_SAID: Final = (
    "call_id", "called_at", "tenant_id", "agent_run_id", "request_id", "workflow_step", "trace_id",
    "span_id", "parent_span_id", "provider", "operation", "status", "usage_source", "price_state",
    "retry_of", "duration_ns",
)  # fmt: skip


def _total(kinds: Sequence[str]) -> str:
    return " + ".join(f"coalesce({kind}, 0)" for kind in kinds)


_LATEST: Final = ", ".join(f"{name} := {name}" for name in _SAID)
# A call is its entries added up; what it was is what the last charge says of it.
_CALLS: Final = f"""
    WITH told AS (
        SELECT arg_max(struct_pack({_LATEST}, model := coalesce(model_actual, model_requested),
                                   detail := identity_detail), entry_id)
                   FILTER (kind = 'charge' AND coalesce(part, 0) = 0) AS said,
            sum(cost_usd) AS cost_usd,
            sum({_SIGN}) FILTER (cost_usd IS NULL) AS without_cost,
            sum({_total(INPUT_KINDS)}) AS input_tokens,
            sum({_total(OUTPUT_KINDS)}) AS output_tokens,
            sum({_SIGN}) AS charges
        FROM entries
        WHERE called_at BETWEEN ? AND ?
          AND ({{field}} = ? OR trace_id IN (SELECT unnest(?::VARCHAR[])))
        GROUP BY entries.call_id)
    SELECT {", ".join(f"said.{name}" for name in _SAID)}, said.model, said.detail, cost_usd,
        without_cost, input_tokens, output_tokens
    FROM told WHERE charges > 0 AND said IS NOT NULL"""  # noqa: S608 -- constants
_SPAN_OF_TIME: Final = "SELECT min(called_at), max(called_at) FROM entries WHERE {which}"
_BEYOND: Final = f"""
    SELECT count(*), sum(cost_usd), count(*) FILTER (without_cost > 0), sum(input_tokens),
        sum(output_tokens), count(*) FILTER (status <> 'ok'),
        sum(cost_usd) FILTER (status <> 'ok'), count(*) FILTER (retry_of IS NOT NULL),
        sum(cost_usd) FILTER (retry_of IS NOT NULL)
    FROM (SELECT * FROM ({_CALLS}) WHERE {{field}} = ?
          ORDER BY called_at, call_id OFFSET ?)"""  # noqa: S608 -- constants
_TRACES_OF_CALLS: Final = (
    "SELECT DISTINCT trace_id FROM entries WHERE {field} = ? AND trace_id IS NOT NULL"
    " ORDER BY trace_id LIMIT ?"
)
_TRACES_OF_SPANS: Final = (
    # The text is looked for first: reading JSON takes many times as long.
    "SELECT DISTINCT trace_id FROM (SELECT trace_id, identity FROM spans WHERE"
    " contains(identity, ?)) WHERE json_extract_string(identity, ?) = ? ORDER BY trace_id LIMIT ?"
)
_SPANS: Final = (
    "SELECT trace_id, span_id, parent_span_id, name, kind, is_error, started_at, ended_at,"
    " identity, call_id FROM spans WHERE trace_id IN (SELECT unnest(?::VARCHAR[]))"
    " ORDER BY started_at, span_id LIMIT ?"
)
# A wrapper is charged as one of the calls within it: it is none of them.
_CHARGED_AS: Final = (
    "SELECT call_id, CASE state WHEN 'wrapper' THEN NULL ELSE charged_as END FROM observations"
    " WHERE trace_id IN (SELECT unnest(?::VARCHAR[])) AND charged_as IS NOT NULL"
)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Found(NamedTuple):
    """All that is known of a run."""

    field: str
    """What the id is: one of :data:`FIELDS`."""
    calls: list[CallRow]
    """Those that name it, then others of the same traces."""
    spans: list[SpanRow]
    charged_as: dict[str, str | None]
    """Id of a call that others saw too, to the call that it is booked as; None: to those in it."""
    beyond: Sums | None
    """Calls that name the run beyond those above, added up."""
    is_cut: bool
    """There are more spans, traces or unnamed calls than were looked at."""


def find_run(reader: Reader, wanted: str) -> Found | None:
    """Look for a run by its id, its trace id, or the id of the request that caused it.

    Raises:
        QueryTimeoutError: it took too long.
    """
    for field in FIELDS:
        found = _find(reader, field, wanted)
        if found is not None:
            return found
    return None


def _find(reader: Reader, field: str, wanted: str) -> Found | None:
    traces = _traces(reader, field, wanted)
    is_cut = len(traces) > TRACES_MAX
    traces = traces[:TRACES_MAX]
    which = [*_span_of_time(reader, field, wanted, traces), wanted, traces]
    calls_sql = _CALLS.format(field=field)
    rows = reader.fetch(
        f"SELECT * FROM ({calls_sql}) ORDER BY {field} IS DISTINCT FROM ?, called_at, call_id"  # noqa: S608 -- constants
        " LIMIT ?",
        [*which, wanted, CALLS_MAX + 1],
    )
    calls = [_call(row) for row in rows[:CALLS_MAX]]
    spans = [_span(row) for row in reader.fetch(_SPANS, [traces, SPANS_MAX + 1])] if traces else []
    is_cut |= len(spans) > SPANS_MAX
    if not any(getattr(one, field) == wanted for one in calls) and not any(
        one.said(field) == wanted for one in spans
    ):
        return None
    beyond = None
    if len(rows) > CALLS_MAX:
        named = sum(getattr(one, field) == wanted for one in calls)
        is_cut |= named < CALLS_MAX
        if named == CALLS_MAX:
            (row,) = reader.fetch(_BEYOND.format(field=field), [*which, wanted, CALLS_MAX])
            beyond = _sums(row)
    charged = reader.fetch(_CHARGED_AS, [traces]) if traces else []
    return Found(
        field, calls, spans[:SPANS_MAX],
        {str(one): None if other is None else str(other) for one, other in charged}, beyond, is_cut,
    )  # fmt: skip


def _span_of_time(
    reader: Reader, field: str, wanted: str, traces: Sequence[str]
) -> tuple[datetime, datetime]:
    """Return the first and last moment of a run's calls, found in one or two columns.

    Of a year of calls only the hours in between are then read in all the columns.
    """
    found = reader.fetch(_SPAN_OF_TIME.format(which=f"{field} = ?"), [wanted])
    if traces:
        which = "trace_id IN (SELECT unnest(?::VARCHAR[]))"
        found += reader.fetch(_SPAN_OF_TIME.format(which=which), [traces])
    known = [(first, last) for first, last in found if first is not None]
    nothing = datetime(1970, 1, 1)  # noqa: DTZ001 -- as the ledger has times
    return (
        min((first for first, _ in known), default=nothing),
        max((last for _, last in known), default=nothing),
    )


def _traces(reader: Reader, field: str, wanted: str) -> list[str]:
    if field == "trace_id":
        return [wanted]
    of_calls = reader.fetch(_TRACES_OF_CALLS.format(field=field), [wanted, TRACES_MAX + 1])
    text = msgspec.json.encode(wanted).decode()
    of_spans = reader.fetch(_TRACES_OF_SPANS, [text, f"$.{field}", wanted, TRACES_MAX + 1])
    return sorted({trace_id for (trace_id,) in (*of_calls, *of_spans)})


def _call(row: tuple[Any, ...]) -> CallRow:
    said = dict(zip(_SAID, row, strict=False))
    model, detail, cost, without_cost, input_tokens, output_tokens = row[len(_SAID) :]
    known = _json(detail)
    sources = known.get("sources")
    return CallRow(
        **{name: said[name] for name in _SAID if name not in ("call_id", "retry_of")},
        call_id=str(said["call_id"]),
        retry_of=None if said["retry_of"] is None else str(said["retry_of"]),
        model=model,
        sources=sources if isinstance(sources, dict) else {},
        has_conflict=bool(known.get("conflicts")),
        cost=_pico(cost),
        is_cost_known=not without_cost,
        input_tokens=int(input_tokens),
        output_tokens=int(output_tokens),
    )


def _span(row: tuple[Any, ...]) -> SpanRow:
    *told, identity, call_id = row
    return SpanRow._make([*told, _json(identity), None if call_id is None else str(call_id)])


def _sums(row: tuple[Any, ...]) -> Sums:
    calls, cost, unknown, inputs, outputs, failed, failed_cost, retries, retry_cost = row
    return Sums(
        calls, _pico(cost), unknown, int(inputs or 0), int(outputs or 0), failed,
        _pico(failed_cost), retries, _pico(retry_cost),
    )  # fmt: skip


def _pico(value: Any) -> int:
    return 0 if value is None else pico_from_usd(value)


def _json(text: str | None) -> dict[str, Any]:
    """Return a stored JSON object; what is none says nothing."""
    try:
        return {} if text is None else _decode(text)
    except msgspec.MsgspecError:
        return {}
