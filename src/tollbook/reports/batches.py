"""Batches: what was submitted, what has come of it, what is still waited for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.ledger.batches_state import decode_identity
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.calls import plain
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError
from tollbook.reports.freshness import read_freshness
from tollbook.reports.params import gather, parse_limit, parse_range
from tollbook.reports.query import Moment
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.reports.reader import Reader

PARAMS: Final = ("since", "until", "period", "tz", "states", "provider", "limit")
STATES: Final = ("open", "waiting", "booked", "settled", "empty")
LIMIT_MAX: Final = 1_000
_LIMIT_DEFAULT: Final = 100
_NAMES: Final = (
    "provider", "batch_id", "state", "status", "endpoint", "model", "submitted_at", "ended_at",
    "lines", "booked", "seen_again", "unpriced", "cost_usd", "problem", "dialect", "collection",
    "unread",
)  # fmt: skip
# Each batch once, with what was read of it, what was booked for it and whose it is.
_SQL: Final = """
    WITH read AS (
        SELECT provider, provider_batch_id, sum(booked)::BIGINT AS booked,
               sum(seen_again)::BIGINT AS seen_again,
               coalesce(list(source_id) FILTER (is_read), []) AS done
        FROM batch_sources WHERE provider_batch_id IS NOT NULL GROUP BY ALL),
    cost AS (
        SELECT provider, provider_batch_id, sum(cost_usd) AS cost_usd,
               coalesce(sum(calls) FILTER (price_state = 'unpriced'), 0)::BIGINT AS unpriced
        FROM entries WHERE provider_batch_id IS NOT NULL AND metering <> 'free' GROUP BY ALL),
    one AS (
        SELECT batch.*, coalesce(read.booked, 0) AS booked,
               coalesce(read.seen_again, 0) AS seen_again, cost.cost_usd, cost.unpriced,
               list_filter(result_ids, lambda one: NOT list_contains(coalesce(read.done, []), one))
                   AS unread
        FROM provider_batches AS batch
        LEFT JOIN read USING (provider, provider_batch_id)
        LEFT JOIN cost USING (provider, provider_batch_id)),
    known AS (
        SELECT *, CASE
            WHEN is_ended AND len(result_ids) = 0 THEN 'empty'
            WHEN is_ended AND len(unread) = 0 THEN 'booked'
            WHEN lines IS NOT NULL AND booked >= lines THEN 'booked'
            WHEN settled_call_id IS NOT NULL AND NOT is_superseded THEN 'settled'
            WHEN is_ended THEN 'waiting'
            ELSE 'open' END AS state
        FROM one)
    SELECT provider, provider_batch_id, state, status, endpoint, model, first_seen_at, ended_at,
           lines, booked, seen_again, coalesce(unpriced, 0), cost_usd, problem, dialect, collection,
           unread, identity,
           (SELECT any_value(identity) FROM batch_inputs AS uploaded
            WHERE uploaded.provider = known.provider
              AND list_contains(known.input_ids, uploaded.file_id))
    FROM known
    WHERE first_seen_at >= ?::TIMESTAMP AND first_seen_at < ?::TIMESTAMP
      AND (len(?::VARCHAR[]) = 0 OR list_contains(?::VARCHAR[], state))
      AND (?::VARCHAR IS NULL OR provider = ?)
    ORDER BY first_seen_at DESC, provider, provider_batch_id LIMIT ?"""


class BatchesQuery(Struct, frozen=True, kw_only=True):
    """Which batches; the range is that of their submission."""

    since: Moment
    until: Moment
    tz: str = "UTC"
    states: tuple[str, ...] = ()
    provider: str | None = None
    limit: int = _LIMIT_DEFAULT


class Known(Struct, frozen=True, kw_only=True):
    """How far the ledger has come."""

    complete_until: datetime | None
    incidents: int


class BatchesReport(Struct, frozen=True, kw_only=True):
    """Batches, newest first."""

    rows: list[dict[str, Any]]
    """``state``: open (not ended), waiting (ended, not all results read), booked, settled (given
    up and booked at unknown cost), empty (ended without results). ``unread`` names the sources of
    results that nobody has read to their end, with a space between them."""
    completeness: Known
    query: BatchesQuery
    currency: str = CURRENCY


def batches_query(pairs: Iterable[tuple[str, str]], now: datetime) -> BatchesQuery:
    """Build a query from named texts.

    Raises:
        QueryError: naming the option, what is wrong and what is expected.
    """
    given, where = gather(pairs, PARAMS)
    if where:
        raise QueryError("--where", "batches have no filters; use states or provider")
    period = parse_range(given, now)
    states = tuple(one for one in given.get("states", "").split(",") if one)
    for one in states:
        if one not in STATES:
            raise QueryError("--states", f"{one[:64]!r} is not one of {', '.join(STATES)}")
    limit = parse_limit(given.get("limit"), _LIMIT_DEFAULT)
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryError("--limit", f"{limit} is not between 1 and {LIMIT_MAX}")
    return BatchesQuery(
        since=period.start, until=period.end, tz=given.get("tz", "UTC"), states=states,
        provider=given.get("provider"), limit=limit,
    )  # fmt: skip


def run_batches(reader: Reader, query: BatchesQuery) -> BatchesReport:
    """Return batches with what came of them.

    Raises:
        QueryTimeoutError: it took too long.
    """
    states = list(query.states)
    found = reader.fetch(_SQL, [
        _naive(query.since), _naive(query.until), states, states, query.provider, query.provider,
        query.limit,
    ])  # fmt: skip
    fresh = read_freshness(reader)
    return BatchesReport(
        rows=[_row(row) for row in found],
        completeness=Known(complete_until=fresh.complete_until, incidents=fresh.incidents),
        query=query,
    )


def _naive(moment: datetime) -> str:
    """Return a moment in UTC as the ledger stores times."""
    return moment.isoformat(sep=" ").removesuffix("+00:00")


def _row(values: tuple[Any, ...]) -> dict[str, Any]:
    *shown, submitted, uploaded = values
    row = {name: plain(value) for name, value in zip(_NAMES, shown, strict=True)}
    cost = shown[_NAMES.index("cost_usd")]
    row["unread"] = " ".join(row["unread"])
    row["cost_usd"] = None if cost is None else usd_text(pico_from_usd(cost))
    owners = (decode_identity(bytes(raw)).tenant_id for raw in (submitted, uploaded) if raw)
    tenant = next((one for one in owners if one is not None), None) or UNKNOWN
    return {
        "provider": row.pop("provider"),
        "batch_id": row.pop("batch_id"),
        "tenant": tenant,
    } | row
