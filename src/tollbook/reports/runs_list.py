"""The runs of agents in a range: who ran what, what it cost, how much of that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.money import usd_text
from tollbook.reports.batches import Known
from tollbook.reports.calls import plain
from tollbook.reports.compiled import compiled
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError
from tollbook.reports.freshness import read_freshness
from tollbook.reports.params import gather, parse_limit, parse_range
from tollbook.reports.query import Filter, Moment, SpendQuery, canonical_filters
from tollbook.reports.spend import CURRENCY
from tollbook.reports.table import entries, in_range, matching
from tollbook.usage import INPUT_KINDS, OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tollbook.reports.cover import Scan
    from tollbook.reports.reader import Reader

LIMIT_MAX: Final = 1_000
_LIMIT_DEFAULT: Final = 50
PARAMS: Final = ("since", "until", "period", "tz", "where", "limit")
_SUMS: Final = (
    "calls", "known_calls", "input_tokens", "output_tokens", "cost_usd", "failed_calls",
    "failed_cost_usd", "retry_calls", "retry_cost_usd",
)  # fmt: skip
_NAMES: Final = ("run", "tenants", "tenant", "workflow", "started_at", "last_call_at", *_SUMS)
_COUNTS: Final = frozenset(
    ["calls", "failed_calls", "retry_calls", "input_tokens", "output_tokens"]
)


class RunsQuery(Struct, frozen=True, kw_only=True):
    """Which runs: those with calls in the range that match; only these calls are added up."""

    since: Moment
    until: Moment
    tz: str = "UTC"
    where: tuple[Filter, ...] = ()
    limit: int = _LIMIT_DEFAULT


class RunsReport(Struct, frozen=True, kw_only=True):
    """Runs, the dearest first.

    ``tenants`` counts the owners of a run, more than one of which is a conflict; ``tenant`` is
    then the first by name.
    """

    rows: list[dict[str, Any]]
    completeness: Known
    query: RunsQuery
    currency: str = CURRENCY


def runs_query(pairs: Iterable[tuple[str, str]], now: datetime) -> RunsQuery:
    """Build a query from named texts.

    Raises:
        QueryError: naming the option, what is wrong and what is expected.
    """
    given, where = gather(pairs, PARAMS)
    period = parse_range(given, now)
    limit = parse_limit(given.get("limit"), _LIMIT_DEFAULT)
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryError("--limit", f"{limit} is not between 1 and {LIMIT_MAX}")
    return RunsQuery(
        since=period.start, until=period.end, tz=given.get("tz", "UTC"),
        where=canonical_filters(tuple(where)), limit=limit,
    )  # fmt: skip


def list_runs(reader: Reader, query: RunsQuery) -> RunsReport:
    """Return the runs of a range with what they cost.

    Raises:
        QueryTimeoutError: it took too long.
    """
    asked = SpendQuery(since=query.since, until=query.until, where=query.where, limit=query.limit)
    found = reader.fetch(compiled(_expression, asked))
    fresh = read_freshness(reader)
    return RunsReport(
        rows=[_row(dict(zip(_NAMES, row, strict=True))) for row in found],
        completeness=Known(complete_until=fresh.complete_until, incidents=fresh.incidents),
        query=query,
    )


def _expression(query: SpendQuery, _: Scan) -> Any:
    rows = matching(in_range(entries(), query.since, query.until, None), query.where)
    rows = rows.filter(rows.agent_run_id.notnull())
    # First by owner: where a call was given to another one since, its sums there are nothing.
    by_owner = rows.group_by(
        run=rows.agent_run_id, tenant=rows.tenant_id, workflow=rows.workflow_id
    ).aggregate(
        started_at=rows.called_at.min(), last_call_at=rows.called_at.max(), **_sums(rows)
    )  # fmt: skip
    owned = by_owner.filter(by_owner.calls > 0)
    runs = owned.group_by("run").aggregate(
        tenants=owned.tenant.nunique(),
        tenant=owned.tenant.min(),
        workflow=owned.workflow.min(),
        started_at=owned.started_at.min(),
        last_call_at=owned.last_call_at.max(),
        **{name: owned[name].sum() for name in _SUMS},
    )
    order = [runs.cost_usd.desc(nulls_first=False), runs.started_at.desc(), runs.run]
    return runs.order_by(order).limit(query.limit).select(*_NAMES)


def _sums(rows: Any) -> dict[str, Any]:
    failed, retried = rows.status != "ok", rows.retry_of.notnull()

    def total(kinds: tuple[str, ...]) -> Any:
        return sum((rows[kind].fill_null(0) for kind in kinds[1:]), rows[kinds[0]].fill_null(0))

    return {
        "calls": rows.calls.sum(),
        "known_calls": rows.calls.sum(where=rows.cost_usd.notnull()),
        "input_tokens": total(INPUT_KINDS).sum(),
        "output_tokens": total(OUTPUT_KINDS).sum(),
        "cost_usd": rows.cost_usd.sum(),
        "failed_calls": rows.calls.sum(where=failed),
        "failed_cost_usd": rows.cost_usd.sum(where=failed),
        "retry_calls": rows.calls.sum(where=retried),
        "retry_cost_usd": rows.cost_usd.sum(where=retried),
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: plain(value) for name, value in row.items() if name != "known_calls"}
    shown["tenant"] = row["tenant"] or UNKNOWN
    shown |= {name: int(row[name] or 0) for name in _COUNTS}
    if not row["known_calls"]:
        shown["cost_usd"] = None
    for name in ("failed", "retry"):
        if not shown[f"{name}_calls"]:
            shown[f"{name}_cost_usd"] = usd_text(0)
    return shown
