"""A run of an agent, a request or a trace: where in it the money went."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.reports.calls import plain
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError, RunNotFoundError
from tollbook.reports.freshness import read_freshness
from tollbook.reports.params import gather, parse_limit
from tollbook.reports.runs_read import find_run
from tollbook.reports.runs_rows import CallRow, Sums, tenants_of
from tollbook.reports.runs_shape import REST, measured, short, tree_lines
from tollbook.reports.runs_tree import Node, Tree, build_tree
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.reports.reader import Reader

NODES_MAX: Final = 10_000
NODES_DEFAULT: Final = 500
PARAMS: Final = ("limit",)
ID_MAX: Final = 1_024


class RunQuery(Struct, frozen=True, kw_only=True):
    """Which run, and how many nodes of its tree."""

    run: str
    limit: int = NODES_DEFAULT


class RunCompleteness(Struct, frozen=True, kw_only=True):
    """What may be missing from a run, or still change."""

    complete_until: datetime | None
    """Every call that ended before it is in the ledger; None: nothing was ingested yet."""
    is_complete: bool
    """Nothing is known to be missing. Spans that nobody sent are not known to be missing."""
    problems: list[str]
    """What is, in words."""
    spans: int
    spans_not_ended: int
    parents_never_seen: int
    interrupted_calls: int
    estimated_calls: int
    unknown_cost_calls: int
    unattributed_calls: int
    unclaimed_calls: int
    """Calls of the same traces that name no run and were not made within it."""


class RunReport(Struct, frozen=True, kw_only=True):
    """The tree as rows, each after the one it belongs to; ``parent`` is that one's ``node``.

    ``cost_usd`` is that of the node and all below it, ``own_cost_usd`` that of the calls made in it
    directly. The own costs of all rows that are no calls add up to the cost of the run.
    """

    run: str
    found_as: str
    """``agent_run_id``, ``trace_id`` or ``request_id``."""
    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    tenants: list[dict[str, Any]]
    """More than one is a conflict."""
    operations: list[dict[str, Any]]
    """Calls and cost by operation: chat, embeddings, rerank, ..."""
    sub_runs: list[dict[str, Any]]
    """Further runs that were started within this one; their calls are in the tree."""
    inherited: dict[str, Any]
    """Calls that do not name the run, but were made within it: it is that of their trace."""
    unclaimed: dict[str, Any]
    completeness: RunCompleteness
    query: RunQuery
    currency: str = CURRENCY


def run_query(run: str, pairs: Iterable[tuple[str, str]]) -> RunQuery:
    """Build a query from an id and named texts.

    Raises:
        QueryError: naming the option, what is wrong and what is expected.
    """
    given, where = gather(pairs, PARAMS)
    if where:
        raise QueryError("--where", "a run has no filters")
    limit = parse_limit(given.get("limit"), NODES_DEFAULT)
    if not 1 <= limit <= NODES_MAX:
        raise QueryError("--limit", f"{limit} is not between 1 and {NODES_MAX}")
    return RunQuery(run=run, limit=limit)


def report_run(reader: Reader, query: RunQuery) -> RunReport:
    """Return the tree of a run.

    Raises:
        RunNotFoundError: nothing bears the id.
        QueryTimeoutError: it took too long.
    """
    wanted = query.run.strip()
    found = find_run(reader, wanted) if 0 < len(wanted) <= ID_MAX else None
    if found is None:
        raise RunNotFoundError(query.run)
    tree = build_tree(wanted, found.field, found.calls, found.spans, found.charged_as)
    total = tree.root.subtree
    if found.beyond is not None:
        total = total.plus(found.beyond)
        name = f"{found.beyond.calls:,} more calls of the run"
        tree.root.children.append(Node(REST, name, own=found.beyond, subtree=found.beyond))
        tree.root.subtree = total
    rows = tree_lines(tree.root, query.limit)
    fresh = read_freshness(reader)
    tenants = tenants_of(tree.calls)
    return RunReport(
        run=wanted,
        found_as=found.field,
        rows=rows,
        totals=measured(total) | _span_of(tree),
        tenants=[{"tenant": one or UNKNOWN} | short(sums) for one, sums in tenants.items()],
        operations=_operations(tree.calls),
        sub_runs=[{"run": one} | short(sums) for one, sums in sorted(tree.sub_runs.items())],
        inherited=short(_sum(one for one in tree.calls if one.call_id in tree.inherited)),
        unclaimed=short(tree.unclaimed),
        completeness=_completeness(tree, total, fresh.complete_until, is_cut=found.is_cut),
        query=query,
    )


def _sum(calls: Iterable[CallRow]) -> Sums:
    total = Sums()
    for call in calls:
        total = total.plus(call.sums())
    return total


def _span_of(tree: Tree) -> dict[str, Any]:
    """Return when a run began and when the last that is known of it ended."""
    starts = [one.called_at for one in tree.calls] + [one.started_at for one in tree.spans]
    ends = [one.ended_at for one in tree.spans if one.ended_at is not None]
    return {
        "started_at": plain(min(starts, default=None)),
        "last_seen_at": plain(max([*ends, *(one.called_at for one in tree.calls)], default=None)),
    }


def _operations(calls: Sequence[CallRow]) -> list[dict[str, Any]]:
    found: dict[str, Sums] = {}
    for call in calls:
        name = call.operation or "other"
        found[name] = found.get(name, Sums()).plus(call.sums())
    ranked = sorted(found.items(), key=lambda pair: (-pair[1].cost, pair[0]))
    return [{"operation": name} | short(sums) for name, sums in ranked]


def _completeness(
    tree: Tree, total: Sums, complete_until: datetime | None, *, is_cut: bool
) -> RunCompleteness:
    interrupted = sum(one.status == "interrupted" for one in tree.calls)
    estimated = sum(one.usage_source == "estimated" for one in tree.calls)
    unattributed = sum(one.tenant_id in (None, UNKNOWN) for one in tree.calls)
    not_ended = sum(one.ended_at is None for one in tree.spans)
    owners = {one.tenant_id for one in tree.calls} - {None, UNKNOWN}
    found = (
        (not_ended, "span{s} without an end"),
        (tree.parents_never_seen, "node{s} whose parent was never seen"),
        (interrupted, "call{s} interrupted: usage estimated"),
        (total.unknown_cost_calls, "call{s} of unknown cost, not in the sums"),
        (unattributed, "call{s} without a tenant"),
        (tree.unclaimed.calls, "call{s} of its traces naming no run, not in the sums"),
    )
    problems = [f"{n:,} {words.format(s='s' * (n != 1))}" for n, words in found if n]
    if len(owners) > 1:
        problems.append(f"{len(owners)} tenants in one run")
    if is_cut:
        problems.append("more spans or calls than can be looked at")
    return RunCompleteness(
        complete_until=complete_until, is_complete=not problems, problems=problems,
        spans=len(tree.spans), spans_not_ended=not_ended,
        parents_never_seen=tree.parents_never_seen, interrupted_calls=interrupted,
        estimated_calls=estimated, unknown_cost_calls=total.unknown_cost_calls,
        unattributed_calls=unattributed, unclaimed_calls=tree.unclaimed.calls,
    )  # fmt: skip
