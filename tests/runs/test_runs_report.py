"""The tree of a run as it comes out of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.runs.runs_kit import TRACE, outline

from tollbook.call import SpanKind, Status
from tollbook.reports.errors import QueryError, RunNotFoundError
from tollbook.reports.runs import run_query

if TYPE_CHECKING:
    from tests.runs.runs_kit import RunWorld

ACME = {"tenant_id": "acme"}
RUN = ACME | {"agent_run_id": "r-1"}


def test_a_run_with_sub_agents_tools_and_retries(runs: RunWorld) -> None:
    runs.span(1, None, "POST /ask", identity=ACME)
    runs.span(2, 1, "planner", SpanKind.AGENT, identity=RUN)
    runs.span(3, 2, "search", SpanKind.TOOL)
    runs.span(4, 3, "HTTP POST")
    runs.span(5, 2, "writer", SpanKind.AGENT)
    runs.made(2, RUN)
    runs.made(4, ACME, operation="embeddings", path="/v1/embeddings")
    first = runs.made(5, RUN, closed={"status": Status.ERROR, "input_tokens": 500})
    runs.made(5, RUN, retry_of=first.call_id, operation_id=first.call_id, attempt=2)
    runs.made(1, ACME, closed={"input_tokens": 9000})  # before the run began
    runs.book()
    report = runs.run("r-1")
    assert report.found_as == "agent_run_id"
    assert outline(report) == [
        "r-1 0.007",
        "  planner 0.007",
        "    search 0.002",
        "      embeddings m-1 0.002 [run of its trace]",
        "    writer 0.003",
        "      chat m-1 0.001 [error]",
        "      chat m-1 0.002 [retry]",
        "    chat m-1 0.002",
    ]
    assert report.rows[4]["share_percent"] == "42.9"
    assert report.rows[1]["own_cost_usd"] == "0.002000000000"
    assert report.totals["failed_cost_usd"] == "0.001000000000"
    assert report.totals["retry_cost_usd"] == "0.002000000000"
    assert report.inherited == {"calls": 1, "cost_usd": "0.002000000000"}
    assert report.operations == [
        {"operation": "chat", "calls": 3, "cost_usd": "0.005000000000"},
        {"operation": "embeddings", "calls": 1, "cost_usd": "0.002000000000"},
    ]
    # The call before the run names none; it is told, not added.
    assert report.unclaimed == {"calls": 1, "cost_usd": "0.018000000000"}
    assert report.completeness.problems == ["1 call of its traces naming no run, not in the sums"]


def test_a_run_may_be_asked_for_by_its_trace_or_request(runs: RunWorld) -> None:
    runs.span(1, None, "request", SpanKind.WORKFLOW)
    runs.made(1, ACME | {"request_id": "req-1"})
    runs.made(1, ACME)
    runs.book()
    assert outline(runs.run(TRACE)) == [
        f"{TRACE} 0.004", "  request 0.004", "    chat m-1 0.002", "    chat m-1 0.002",
    ]  # fmt: skip
    by_request = runs.run("req-1")
    assert by_request.found_as == "request_id"
    assert by_request.totals["calls"] == 1


def test_without_spans_the_steps_are_the_tree(runs: RunWorld) -> None:
    for step in ("plan", "act/search", "act/search", "act/write", None):
        runs.made(None, RUN | {"workflow_step": step})
    runs.book()
    assert outline(runs.run("r-1")) == [
        "r-1 0.01",
        "  plan 0.002", "    chat m-1 0.002",
        "  act 0.006",
        "    search 0.004", "      chat m-1 0.002", "      chat m-1 0.002",
        "    write 0.002", "      chat m-1 0.002",
        "  chat m-1 0.002",
    ]  # fmt: skip


def test_nothing_bears_the_id(runs: RunWorld) -> None:
    runs.made(None, RUN)
    runs.book()
    for wanted in ("nobody", "", " ", "x" * 2000, "'; DROP TABLE entries; --"):
        with pytest.raises(RunNotFoundError):
            runs.run(wanted)
    for pairs in ([("limit", "0")], [("limit", "x")], [("where", "tenant=a")], [("by", "x")]):
        with pytest.raises(QueryError):
            run_query("r-1", pairs)
