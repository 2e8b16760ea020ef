"""The tree of a run as rows of bounded number, each after the one it belongs to."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from tollbook.money import usd_text
from tollbook.reports.calls import plain
from tollbook.reports.dimensions import UNKNOWN
from tollbook.reports.exact_ratio import percent
from tollbook.reports.runs_rows import Sums
from tollbook.reports.runs_tree import CALL, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

REST: Final = "rest"
"""What is not shown, added up."""
_NS_PER_MS: Final = 1_000_000


def cost_text(sums: Sums) -> str | None:
    """Return the dollars; None where there are calls and the cost of none is known."""
    if not sums.cost and sums.calls and sums.unknown_cost_calls == sums.calls:
        return None
    return usd_text(sums.cost)


def short(sums: Sums) -> dict[str, Any]:
    """Return calls and cost, as the API names them."""
    return {"calls": sums.calls, "cost_usd": cost_text(sums)}


def measured(sums: Sums) -> dict[str, Any]:
    """Return all sums, as the API names them."""
    return {
        "calls": sums.calls,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cost_usd": cost_text(sums),
        "unknown_cost_calls": sums.unknown_cost_calls,
        "failed_calls": sums.failed_calls,
        "failed_cost_usd": usd_text(sums.failed_cost),
        "retry_calls": sums.retry_calls,
        "retry_cost_usd": usd_text(sums.retry_cost),
    }


def tree_lines(root: Node, limit: int) -> list[dict[str, Any]]:
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
    sums = measured(node.subtree)
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
        **sums,
        "own_cost_usd": cost_text(node.own),
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
