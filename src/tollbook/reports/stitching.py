"""What became of calls that several observers saw, and of owners found in traces.

One question, one statement: each call of the range by what there is to say of it. The counts and
the list are both taken from it, so that they agree.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.ledger.stitch.tables import LATE_IDENTITY
from tollbook.reports.calls import plain
from tollbook.reports.errors import QueryError
from tollbook.reports.freshness import read_freshness
from tollbook.reports.params import gather, parse_limit, parse_range, split_names
from tollbook.reports.query import Moment
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.reports.reader import Reader

MEANINGS: Final[dict[str, str]] = {
    "stitched": "charged once though several observers saw it",
    "conflicting": "its observers contradict each other in tokens or tenant",
    "ambiguous": "its trace has several tenants, and nothing says which is its own",
    "orphaned": "made within a span that never came, and it is too late now",
    "waiting": "made within a span that may still come",
    "wrapper": "holds other calls, which are charged in its place",
    "covered": "told of no usage; the call around it did and is charged",
    "aggregate": "a total over calls none of which was seen, charged as it is",
    "inherited": "its tenant comes from its trace",
    "late": "its tenant became known after it was booked",
}
"""What can be said of a call, and what that means; several may hold of one."""
PARAMS: Final = ("since", "until", "period", "tz", "show", "limit")
LIMIT_MAX: Final = 10_000
_LIMIT_DEFAULT: Final = 100
_RECENT: Final = timedelta(days=31)
_WAITS: Final = timedelta(days=7)
_NAMES: Final = ("state", "call_id", "called_at", "tenant", "observers", "cost_usd", "detail")
_IN_RANGE: Final = "called_at >= $1::TIMESTAMP AND called_at < $2::TIMESTAMP"
# A call that bears a charge: its first part; costs of further parts are added to it.
_SQL: Final = f"""
    WITH gone AS (SELECT replaces FROM entries WHERE kind = 'reversal' AND {_IN_RANGE}),
    charged AS NOT MATERIALIZED (  -- all calls: what is asked of them is asked where they lie
        SELECT call_id, called_at, tenant_id, observed_by, observer, identity_source, reason
        FROM entries WHERE {_IN_RANGE} AND kind = 'charge' AND part = 0
          AND entry_id NOT IN (SELECT replaces FROM gone)),
    seen AS (SELECT * FROM observations WHERE {_IN_RANGE}),
    -- observed within a span of which nothing is known
    alone AS (
        SELECT call_id, seen_at < $3::TIMESTAMP AS is_late, trace_id, parent_span_id FROM seen
        WHERE trace_id IS NOT NULL AND parent_span_id IS NOT NULL
          AND (trace_id, parent_span_id) NOT IN (SELECT (trace_id, span_id) FROM spans)
          AND (trace_id, parent_span_id) NOT IN (
              SELECT (trace_id, span_id) FROM observations
              WHERE trace_id IS NOT NULL AND span_id IS NOT NULL)),
    told AS MATERIALIZED (
        SELECT 'stitched' AS state, call_id, observed_by AS detail FROM charged
        WHERE contains(observed_by, ',')
           -- two instrumentations are one observer
           OR call_id IN (SELECT charged_as FROM observations WHERE state = 'stitched')
        UNION ALL SELECT CASE kind WHEN 'conflict' THEN 'conflicting' ELSE kind END, call_id, detail
        FROM stitch_notes WHERE {_IN_RANGE}
        UNION ALL SELECT CASE WHEN is_late THEN 'orphaned' ELSE 'waiting' END, call_id,
                         'span ' || parent_span_id || ' of trace ' || trace_id FROM alone
        UNION ALL SELECT state, call_id, charged_as::VARCHAR FROM seen
        WHERE state IN ('wrapper', 'covered', 'aggregate')
        UNION ALL SELECT 'inherited', call_id, tenant_id FROM charged
        WHERE identity_source = 'trace'
        UNION ALL SELECT 'late', call_id, reason FROM charged
        WHERE starts_with(reason, '{LATE_IDENTITY}')),
    calls AS MATERIALIZED (
        SELECT *, coalesce(observed_by, '["' || coalesce(observer, 'gateway') || '"]') AS observers
        FROM charged WHERE call_id IN (SELECT call_id FROM told)),
    cost AS (
        SELECT call_id, sum(cost_usd) AS cost_usd FROM entries
        WHERE {_IN_RANGE} AND call_id IN (SELECT call_id FROM told) GROUP BY call_id),
    whole AS (
        SELECT told.state, told.call_id, coalesce(calls.called_at, seen.called_at) AS called_at,
               calls.tenant_id AS tenant,
               coalesce(calls.observers, '["' || seen.observer || '"]') AS observers,
               cost.cost_usd, told.detail
        FROM told LEFT JOIN calls USING (call_id) LEFT JOIN seen USING (call_id)
        LEFT JOIN cost USING (call_id))"""  # noqa: S608 -- constants
_COUNTS: Final = f"{_SQL} SELECT state, count(*), sum(cost_usd) FROM whole GROUP BY state"  # noqa: S608 -- constants
_LIST: Final = (
    f"{_SQL} SELECT {', '.join(_NAMES)} FROM whole WHERE list_contains($4::VARCHAR[], state)"  # noqa: S608 -- constants
    " ORDER BY called_at DESC, call_id, state LIMIT $5"
)


class StitchingQuery(Struct, frozen=True, kw_only=True):
    """Which calls; the range is that of their start."""

    since: Moment
    until: Moment
    tz: str = "UTC"
    show: tuple[str, ...] = ()
    """States whose calls are listed."""
    limit: int = _LIMIT_DEFAULT


class Known(Struct, frozen=True, kw_only=True):
    """How far the ledger has come."""

    complete_until: datetime | None
    incidents: int


class StitchingReport(Struct, frozen=True, kw_only=True):
    """Calls by what there is to say of them."""

    rows: list[dict[str, Any]]
    """``state``, ``calls``, ``cost_usd`` (of what is charged) and ``meaning``."""
    calls: list[dict[str, Any]]
    """Those of the states that were asked for, newest first; ``detail`` is what was found."""
    observed: dict[str, int]
    """How many calls each observer other than the gateway told of."""
    completeness: Known
    query: StitchingQuery
    currency: str = CURRENCY


def stitching_query(pairs: Iterable[tuple[str, str]], now: datetime) -> StitchingQuery:
    """Build a query from named texts.

    Raises:
        QueryError: naming the option, what is wrong and what is expected.
    """
    given, _ = gather(pairs, PARAMS)
    period = parse_range(given, now)
    show = split_names(given.get("show", ""))
    for one in show:
        if one not in MEANINGS:
            raise QueryError("--show", f"{one[:64]!r} is not one of {', '.join(MEANINGS)}")
    limit = parse_limit(given.get("limit"), _LIMIT_DEFAULT)
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryError("--limit", f"{limit} is not between 1 and {LIMIT_MAX}")
    return StitchingQuery(
        since=period.start, until=period.end, tz=given.get("tz", "UTC"), show=tuple(show),
        limit=limit,
    )  # fmt: skip


def run_stitching(reader: Reader, query: StitchingQuery, late_before: datetime) -> StitchingReport:
    """Return calls by what there is to say of them.

    Args:
        reader: of the ledger.
        query: which calls.
        late_before: what came before it has waited for its trace long enough.

    Raises:
        QueryTimeoutError: it took too long.
    """
    span = [_naive(query.since), _naive(query.until)]
    values = [*span, _naive(late_before)]
    counted = {state: (calls, cost) for state, calls, cost in reader.fetch(_COUNTS, values)}
    calls: list[dict[str, Any]] = []
    if query.show:
        found = reader.fetch(_LIST, [*values, list(query.show), query.limit])
        calls = [_call(row) for row in found]
    observed = reader.fetch(
        "SELECT observer, count(*) FROM observations WHERE"  # noqa: S608 -- constants
        f" {_IN_RANGE} GROUP BY observer ORDER BY observer",
        span,
    )
    fresh = read_freshness(reader)
    return StitchingReport(
        rows=[
            {
                "state": state, "calls": counted.get(state, (0, None))[0],
                "cost_usd": plain(counted.get(state, (0, None))[1]), "meaning": meaning,
            }
            for state, meaning in MEANINGS.items()
        ],
        calls=calls,
        observed={name: int(count) for name, count in observed},
        completeness=Known(complete_until=fresh.complete_until, incidents=fresh.incidents),
        query=query,
    )  # fmt: skip


def stitching_counts(reader: Reader, now: datetime) -> dict[str, int]:
    """Return of how many calls of the last 31 days there is something to say, by state.

    A ledger that only a gateway writes to is asked for seven days: nothing waits in it.

    Raises:
        QueryTimeoutError: it took too long.
    """
    ((has_others,),) = reader.fetch("SELECT EXISTS (SELECT 1 FROM observations)")
    since = now - (_RECENT if has_others else _WAITS)
    found = reader.fetch(_COUNTS, [_naive(since), _naive(now), _naive(now - _WAITS)])
    counted = {state: int(calls) for state, calls, _ in found}
    return {state: counted.get(state, 0) for state in MEANINGS}


def _naive(moment: datetime) -> str:
    """Return a moment in UTC as the ledger stores times."""
    return moment.isoformat(sep=" ").removesuffix("+00:00")


def _call(row: Sequence[Any]) -> dict[str, Any]:
    call = {name: plain(value) for name, value in zip(_NAMES, row, strict=True)}
    call["observers"] = " ".join(msgspec.json.decode(call["observers"]))
    return call
