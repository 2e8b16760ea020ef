"""Both drivers do what was planned, and the truth log agrees with what the clients saw."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tollbook.simulator.bill import bill, bill_by_tenant
from tollbook.simulator.drive_raw import drive_raw
from tollbook.simulator.drive_sdk import drive_sdk
from tollbook.simulator.outcomes import ClientRecord, Progress, read_client_log
from tollbook.simulator.process import start_in_subprocess
from tollbook.simulator.sse_view import view_plain, view_stream
from tollbook.simulator.traffic import Mix, make_plan
from tollbook.simulator.truth import TruthCall, read_truth

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.simulator.traffic import Plan

MIX = Mix(
    hang_up=0.08,
    error=0.08,
    retry=0.08,
    broken=0.06,
    odd_usage=0.06,
    usage_absent=0.02,
    no_tenant=0.05,
)
CALLS = 240


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(seed=21, calls=CALLS, tenants=40, mix=MIX)


@pytest.fixture(scope="module", params=["raw", "sdk"])
def run(
    request: pytest.FixtureRequest, plan: Plan, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[ClientRecord], list[TruthCall], list[Progress]]:
    directory = tmp_path_factory.mktemp("run")
    reports: list[Progress] = []
    drive = drive_raw if request.param == "raw" else drive_sdk
    with start_in_subprocess(directory / "truth") as simulator:
        result = drive(
            plan.requests,
            simulator.base_url,
            directory / "client.jsonl",
            concurrency=16,
            progress=reports.append,
        )
    records = read_client_log(result.log_path)
    assert result.total == len(records) == sum(result.outcomes.values())
    assert result.calls_per_s > 0
    return records, read_truth(directory / "truth"), reports


def test_every_planned_request_ends_as_planned(
    plan: Plan, run: tuple[list[ClientRecord], list[TruthCall], list[Progress]]
) -> None:
    seen = {record.request_id: record.seen for record in run[0]}
    assert seen.keys() == {request.id for request in plan.requests}
    for request in plan.requests:
        fault = (request.fault or "").partition(";")[0]
        outcome, status = seen[request.id].outcome, seen[request.id].http_status
        if request.hang_up_after is not None:
            assert outcome == "hung_up"
        elif request.max_retries:
            assert (outcome, status, seen[request.id].attempts) == ("ok", 200, 2)
        elif fault in ("bad_request", "rate_limit", "server_error", "overloaded"):
            assert outcome == "error"
            assert status in (400, 429, 500, 503, 529)
        elif fault in ("cut_before_usage", "error_event", "truncated"):
            assert outcome == "broken"
        else:
            assert (outcome, status) == ("ok", 200), request


def test_the_truth_is_what_the_client_received(
    plan: Plan, run: tuple[list[ClientRecord], list[TruthCall], list[Progress]]
) -> None:
    records, truth, _ = run
    by_id: dict[str, list[TruthCall]] = {}
    for call in truth:
        by_id.setdefault(call.received.request_id or "", []).append(call)
    planned = {request.id: request for request in plan.requests}
    compared = 0
    for record in records:
        calls = by_id.pop(record.request_id)
        assert len(calls) == record.seen.attempts
        last = calls[-1]
        assert last.ended is not None
        if record.seen.outcome == "ok":
            assert last.ended.outcome == "ok"
            if record.api != "embeddings":
                assert last.ended.response_id == record.seen.response_id
            size = planned[record.request_id].size
            assert last.quantities.input == size.input
            if last.usage_delivered:
                compared += 1
                assert record.seen.input_tokens == last.quantities.input
                assert (record.seen.output_tokens or 0) == last.quantities.output
        assert [call.received.retry_count for call in calls] == list(range(len(calls)))
    assert by_id == {}
    assert compared > CALLS // 2


def test_the_bill_of_a_run_by_tenant(
    plan: Plan, run: tuple[list[ClientRecord], list[TruthCall], list[Progress]]
) -> None:
    truth = run[1]
    whole, tenants = bill(truth), bill_by_tenant(truth, plan.tenant_of())
    assert sum(part.total_pico for part in tenants.values()) == whole.total_pico > 0
    assert "unknown" in tenants


def test_progress_goes_to_the_end(
    run: tuple[list[ClientRecord], list[TruthCall], list[Progress]],
) -> None:
    reports = run[2]
    assert reports[-1].done == reports[-1].total == CALLS
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert reports[-1].errors > 0


def test_a_server_that_is_not_there(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollbook.simulator.drive_raw._CONNECT_TRIES", 1)
    monkeypatch.setattr("tollbook.simulator.drive_raw._CONNECT_PAUSE_S", 0)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    for drive in (drive_raw, drive_sdk):
        result = drive(plan.requests[:3], f"http://127.0.0.1:{port}", tmp_path / "log")
        assert result.outcomes == {"broken": 3}


def test_views() -> None:
    assert not view_plain(b'{"id": "x"').is_complete
    assert not view_plain(b"[]").is_complete
    assert view_plain(b'{"id":"x","usage":{"prompt_tokens":1,"completion_tokens":2}}') == (
        True, "x", 0, 1, 2,
    )  # fmt: skip
    assert not view_stream(b'data: {"id":"chatcmpl-1","choices":[]}\n\n').is_complete
    split = (
        b'data: {"id":"msg_1","message":{"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
        b'data: {"usage":{"output_tokens":9}}\n\nevent: message_stop\ndata: {}\n\n'
    )
    assert view_stream(split) == (True, "msg_1", 3, 5, 9)
