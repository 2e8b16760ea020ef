"""A run of an agent, a request or a trace: where in it the money went."""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.money import usd_text
from tollbook.reports.calls import plain
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.errors import QueryError, RunNotFoundError
from tollbook.reports.exact_ratio import percent
from tollbook.reports.freshness import read_freshness
from tollbook.reports.params import gather, parse_limit
from tollbook.reports.runs_read import find_run
from tollbook.reports.runs_rows import CallRow, Sums, tenants_of
from tollbook.reports.runs_tree import CALL, Node, Tree, build_tree
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.reports.reader import Reader

NODES_MAX: Final = 10_000
NODES_DEFAULT: Final = 500
PARAMS: Final = ("limit",)
ID_MAX: Final = 1_024
REST: Final = "rest"
_NS_PER_MS: Final = 1_000_000


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
    rows = _rows(tree.root, query.limit)
    fresh = read_freshness(reader)
    tenants = tenants_of(tree.calls)
    return RunReport(
        run=wanted,
        found_as=found.field,
        rows=rows,
        totals=_measured(total) | _span_of(tree),
        tenants=[{"tenant": one or UNKNOWN} | _short(sums) for one, sums in tenants.items()],
        operations=_operations(tree.calls),
        sub_runs=[{"run": one} | _short(sums) for one, sums in sorted(tree.sub_runs.items())],
        inherited=_short(_sum(one for one in tree.calls if one.call_id in tree.inherited)),
        unclaimed=_short(tree.unclaimed),
        completeness=_completeness(tree, total, fresh.complete_until, is_cut=found.is_cut),
        query=query,
    )


def _sum(calls: Iterable[CallRow]) -> Sums:
    total = Sums()
    for call in calls:
        total = total.plus(call.sums())
    return total


def _cost(sums: Sums) -> str | None:
    """Return the dollars; None where there are calls and the cost of none is known."""
    if not sums.cost and sums.calls and sums.unknown_cost_calls == sums.calls:
        return None
    return usd_text(sums.cost)


def _short(sums: Sums) -> dict[str, Any]:
    return {"calls": sums.calls, "cost_usd": _cost(sums)}


def _measured(sums: Sums) -> dict[str, Any]:
    return {
        "calls": sums.calls,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cost_usd": _cost(sums),
        "unknown_cost_calls": sums.unknown_cost_calls,
        "failed_calls": sums.failed_calls,
        "failed_cost_usd": usd_text(sums.failed_cost),
        "retry_calls": sums.retry_calls,
        "retry_cost_usd": usd_text(sums.retry_cost),
    }


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
    return [{"operation": name} | _short(sums) for name, sums in ranked]


def _rows(root: Node, limit: int) -> list[dict[str, Any]]:
    """Return the dearest nodes, each with those above it; what is left out of one as one row."""
    kept, order = {id(root)}, count()
    waiting = [(-root.subtree.cost, next(order), root)]
    shown = 0
    while waiting and shown < limit:
        _, _, node = heapq.heappop(waiting)
        kept.add(id(node))
        shown += 1
        for child in node.children:
            heapq.heappush(waiting, (-child.subtree.cost, next(order), child))
    rows: list[dict[str, Any]] = []
    stack: list[tuple[Node, int, int | None, Sums]] = [(root, 0, None, root.subtree)]
    while stack:
        node, depth, parent, above = stack.pop()
        number = len(rows)
        rows.append(_row(node, number, depth, parent, above))
        chosen = [child for child in node.children if id(child) in kept]
        left_out = [child for child in node.children if id(child) not in kept]
        if left_out:
            chosen.append(_rest(left_out))
        stack += [(child, depth + 1, number, node.subtree) for child in reversed(chosen)]
    return rows


def _rest(nodes: Sequence[Node]) -> Node:
    """Return the nodes of one parent that are not shown, with all below them, as one."""
    own = subtree = Sums()
    calls = 0
    for node in nodes:
        subtree = subtree.plus(node.subtree)
        calls += node.kind == CALL
        own = own.plus(node.subtree if node.kind != CALL else Sums())
    others = len(nodes) - calls
    words = [f"{calls:,} call{'s' * (calls != 1)}"] * bool(calls)
    words += [f"{others:,} other node{'s' * (others != 1)}"] * bool(others)
    return Node(REST, " and ".join(words), own=own, subtree=subtree, marks=["not shown"])


def _row(node: Node, number: int, depth: int, parent: int | None, above: Sums) -> dict[str, Any]:
    call, span = node.call, node.span
    measured = _measured(node.subtree)
    return {
        "node": number,
        "parent": parent,
        "depth": depth,
        "kind": node.kind,
        "name": node.name,
        "tenant": _tenant(node),
        "step": None if call is None else call.workflow_step,
        "status": None if call is None else call.status,
        "started_at": plain(node.started_at),
        "duration_ms": _duration_ms(node),
        **measured,
        "own_cost_usd": _cost(node.own),
        "share_percent": percent(node.subtree.cost, above.cost),
        "marks": "; ".join(node.marks),
        "call_id": None if call is None else call.call_id,
        "trace_id": call.trace_id if call is not None else span.trace_id if span else None,
        "span_id": call.span_id if call is not None else span.span_id if span else None,
    }


def _tenant(node: Node) -> str | None:
    if node.call is not None:
        return node.call.tenant_id or UNKNOWN
    return node.span.said("tenant_id") if node.span is not None else None


def _duration_ms(node: Node) -> int | None:
    if node.call is not None:
        took = node.call.duration_ns
        return None if took is None else took // _NS_PER_MS
    if node.span is None or node.span.ended_at is None:
        return None
    return max(0, round((node.span.ended_at - node.span.started_at).total_seconds() * 1000))


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
