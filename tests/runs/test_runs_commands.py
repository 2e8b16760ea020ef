"""``tollbook report run``, ``runs`` and ``per``: on the file, and over the API of a ledger."""

from __future__ import annotations

import csv
import http.client
import io
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from tests.console.conftest import LedgerThread
from tests.runs.runs_kit import TRACE, RunWorld

from tollbook.call import SpanKind, Status
from tollbook.cli.main import cli
from tollbook.cli.runs import tree_rows
from tollbook.console.auth import read_announcement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

SLASHED = "nightly/index 1"


def fill(world: RunWorld) -> None:
    run = {"tenant_id": "acme", "agent_run_id": "r-1", "workflow_id": "ask", "request_id": "q-1"}
    world.span(1, None, "assistant with a rather long name for a narrow terminal", SpanKind.AGENT,
               identity=run)  # fmt: skip
    world.span(2, 1, "look up", SpanKind.TOOL)
    world.span(3, 1, "never ended", SpanKind.STEP, ended_at_ns=None)
    first = world.made(1, run, closed={"status": Status.ERROR})
    world.made(1, run | {"tenant_id": "globex"}, retry_of=first.call_id)
    world.made(2, run, operation="embeddings", path="/v1/embeddings", model_requested="unknown")
    other = {"tenant_id": "acme", "agent_run_id": SLASHED, "request_origin": "system"}
    world.made(None, other | {"workflow_step": "embed"}, closed={"input_tokens": 1})
    world.book()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    path.chmod(0o700)
    world = RunWorld(path)
    fill(world)
    world.close()
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("data")
    path.chmod(0o700)
    world = RunWorld(path)
    fill(world)
    world.close()
    thread = LedgerThread(path)
    thread.start()
    yield path
    assert thread.end() == 0


def _run(*arguments: str | Path, columns: int = 120) -> Result:
    return CliRunner().invoke(
        cli, [str(one) for one in arguments], env={"COLUMNS": str(columns)}
    )  # fmt: skip


def _json(*arguments: str | Path) -> dict[str, Any]:
    result = _run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = msgspec.json.decode(result.stdout)
    return answer


def _get(data_dir: Path, path: str) -> tuple[int, str, str]:
    announced = read_announcement(data_dir)
    assert announced is not None
    address, token = announced
    connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
    connection.request("GET", path, headers={"authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, response.headers["content-type"], body


def test_the_tree_in_a_table(data_dir: Path) -> None:
    result = _run("report", "run", "r-1", "--data", data_dir, "--format", "table")
    assert result.exit_code == 0, result.output
    out = result.output
    assert "Agent run r-1" in out
    assert "tenant globex: 1 call, 0.002 USD" in out
    assert "failed calls: 1, 0.002 USD" in out
    assert "  ├ step never ended" in out
    assert "  │ └ embeddings unknown" in out
    assert "  └ chat m-1" in out
    assert "embeddings: 1 call, unknown USD" in out
    assert "Incomplete: 1 span without an end." in out
    assert "Incomplete: 1 call of unknown cost, not in the sums." in out
    assert "Incomplete: 2 tenants in one run." in out


def test_json_and_csv_have_every_node(data_dir: Path) -> None:
    answer = _json("report", "run", "r-1", "--data", data_dir)
    assert answer["totals"]["cost_usd"] == "0.004000000000"
    assert [row["kind"] for row in answer["rows"]].count("call") == 3
    assert [row["tenant"] for row in answer["tenants"]] == ["acme", "globex"]
    result = _run("report", "run", TRACE, "--data", data_dir, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["kind"] for row in rows] == [row["kind"] for row in answer["rows"]]
    assert rows[0]["cost_usd"] == "0.004000000000"
    left = _json("report", "run", "r-1", "--data", data_dir, "--limit", "1")["rows"]
    assert [row["kind"] for row in left] == ["run", "rest"]
    assert left[0]["cost_usd"] == left[1]["cost_usd"] == "0.004000000000"


def test_runs_are_listed_with_their_conflicts(data_dir: Path) -> None:
    period = ("--since", "2020", "--until", "2200", "--data", data_dir)
    result = _run("report", "runs", *period, "--format", "json")
    assert result.exit_code == 2
    period = ("--since", "2020-01-01", "--until", "2199-01-01", "--data", data_dir)
    rows = _json("report", "runs", *period)["rows"]
    assert [(row["run"], row["tenants"], row["calls"], row["cost_usd"]) for row in rows] == [
        ("r-1", 2, 3, "0.004000000000"), (SLASHED, 1, 1, "0.000002000000"),
    ]  # fmt: skip
    table = _run("report", "runs", *period, "--format", "table").output
    assert "acme and 1 more" in table
    where = ("--where", "origin=system", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(_run("report", "runs", *period, *where).stdout))
    assert row["run"] == SLASHED
    assert (row["failed_calls"], row["failed_cost_usd"]) == ("0", "0.000000000000")
    assert (row["retry_calls"], row["retry_cost_usd"]) == ("0", "0.000000000000")
    assert "No runs" in _run("report", "runs", "--data", data_dir, "--format", "table").output


def test_what_a_request_costs(data_dir: Path) -> None:
    period = ("--since", "2020-01-01", "--until", "2199-01-01", "--data", data_dir)
    answer = _json("report", "per", "request", *period, "--by", "workflow")
    first, second = answer["rows"]
    assert first == {
        "workflow": "ask", "units": 1, "calls": 3, "cost_usd": "0.004000000000",
        "cost_per_unit_usd": "0.004000000000", "largest_unit_usd": "0.004000000000",
        "unknown_cost_calls": 1, "unnamed_calls": 0, "unnamed_cost_usd": "0.000000000000",
    }  # fmt: skip
    assert (second["units"], second["cost_per_unit_usd"], second["unnamed_calls"]) == (0, None, 1)
    table = _run("report", "per", "run", *period, "--format", "table").output
    assert "0.002001" in table  # 0.004002 over two runs
    assert _run("report", "per", "tenant", *period).exit_code == 2
    assert _run("report", "per", "run", *period, "--by", "nonsense").exit_code == 2


@pytest.mark.parametrize("wanted", ["nobody", " ", "r-1%", "../status"])
def test_an_unknown_run_is_one_line(data_dir: Path, running: Path, wanted: str) -> None:
    for place in (data_dir, running):
        result = _run("report", "run", wanted, "--data", place)
        assert result.exit_code == 1, result.output
        assert result.output.startswith("tollbook: no run ")
        assert result.output.count("\n") == 1


def test_the_api_gives_what_the_file_gives(data_dir: Path, running: Path) -> None:
    for arguments in (("run", "r-1"), ("run", SLASHED), ("run", "q-1"), ("run", TRACE)):
        here = _json("report", *arguments, "--data", data_dir)
        there = _json("report", *arguments, "--data", running)
        assert [row["name"] for row in here["rows"]] == [row["name"] for row in there["rows"]]
        assert here["totals"]["cost_usd"] == there["totals"]["cost_usd"]
    assert _run("report", "run", "r-1", "--data", running, "--wait").exit_code == 0


def test_the_api_answers_in_json_and_csv(running: Path) -> None:
    status, kind, body = _get(running, "/api/v1/runs/r-1")
    assert (status, kind) == (200, "application/json")
    assert msgspec.json.decode(body)["run"] == "r-1"
    status, kind, body = _get(running, "/api/v1/runs/r-1.csv")
    assert status == 200
    assert kind.startswith("text/csv")
    assert body.startswith("node,parent,depth,kind,name,")
    assert _get(running, "/api/v1/runs/nightly%2Findex%201?format=csv")[0] == 200
    status, kind, body = _get(running, "/api/v1/runs/nobody")
    assert (status, kind) == (404, "application/problem+json")
    assert _get(running, "/api/v1/runs/r-1?limit=0")[0] == 400
    status, _, body = _get(running, "/api/v1/runs?since=2020-01-01&until=2199-01-01")
    assert [row["run"] for row in msgspec.json.decode(body)["rows"]] == ["r-1", SLASHED]
    assert _get(running, "/api/v1/per/request?since=2020-01-01&by=step")[0] == 200
    assert _get(running, "/api/v1/per/tenant")[0] == 400
    status, _, body = _get(running, "/api/v1/layers?since=2020-01-01&until=2199-01-01&by=tenant")
    assert status == 200
    assert {row["layer"] for row in msgspec.json.decode(body)["rows"]} >= {"prompt", "response"}


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_tree_keeps_to_the_terminal(data_dir: Path, width: int) -> None:
    answer = _json("report", "run", "r-1", "--data", data_dir)
    rows = tree_rows(answer["rows"], width)
    assert max(len(row["tree"]) for row in rows) <= max(36, width * 0.45)
    assert rows[0]["tree"] == "r-1"


def test_a_deep_tree_says_how_deep() -> None:
    rows = [
        {"node": at, "parent": at - 1 if at else None, "depth": at, "kind": "step", "name": "x"}
        for at in range(5000)
    ]
    shown = tree_rows(rows, 80)
    assert shown[1]["tree"] == "└ step x"
    assert shown[-1]["tree"] == "4999… step x"
