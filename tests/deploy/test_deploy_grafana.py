"""What is in ``deploy/`` asks only for what a running Tollbook has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families
from tests.console.conftest import LedgerThread, Running, write_calls

from tollbook.capture.gateway.metrics import Metrics
from tollbook.capture.gateway.metrics_board import MetricsBoard

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
DASHBOARDS: Final = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
_NAME: Final = re.compile(r"tollbook_[a-z_]+")


class _Spool:
    ok, ring_bytes, frames_lost, bytes_written = True, 0, 0, 1


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running ledger with a few calls."""
    data_dir = tmp_path_factory.mktemp("deploy")
    write_calls(data_dir, ["acme", "acme", None])
    thread = LedgerThread(data_dir)
    found = thread.start()
    found.api.catch_up()
    yield found
    assert thread.end() == 0


def _get(running: Running, path: str, token: str | None = None) -> httpx2.Response:
    headers = {"authorization": f"Bearer {token or running.token}"}
    return httpx2.get(f"http://127.0.0.1:{running.port}{path}", headers=headers, timeout=30)


def _samples(text: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def _known(running: Running, data_dir: Path) -> set[str]:
    gateway = Metrics()
    gateway.request("openai", "chat", 200)
    gateway.refused(400)
    text = gateway.text(_Spool, [("openai", 1, 1, 0)])  # type: ignore[arg-type]
    answer = MetricsBoard(data_dir, 0, 1).answer(text).decode()
    return _samples(answer).keys() | _samples(_get(running, "/metrics").text).keys()


def test_the_ledgers_metrics_are_what_the_ledger_says(running: Running) -> None:
    answer = _get(running, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = _samples(answer.text)
    assert sum(one.value for one in found["tollbook_calls_total"]) == 3
    assert found["tollbook_calls_total"][0].labels["provider"] == "openai"
    spent = _get(running, "/api/v1/spend?period=all").json()["totals"]["cost_usd"]
    assert f"{sum(one.value for one in found['tollbook_cost_usd_total']):.12f}" == spent
    states = {one.labels["state"]: one.value for one in found["tollbook_calls_in_state"]}
    assert (states["unattributed"], states["unpriced"]) == (1, 0)
    assert found["tollbook_ledger_problems"][0].value == 0
    assert _get(running, "/metrics", "wrong").status_code == 401


def test_dashboards_are_those_of_the_script(tmp_path: Path) -> None:
    before = {path.name: path.read_text() for path in DASHBOARDS}
    code = (
        "import sys, pathlib; sys.path.insert(0, 'tools'); import grafana_dashboards as g;"
        f"g.TARGET = pathlib.Path({str(tmp_path)!r}); g.main()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_every_expression_names_metrics_that_are_there(running: Running, tmp_path: Path) -> None:
    known = _known(running, tmp_path)
    texts = [
        target["expr"]
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
        if "expr" in target
    ]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    texts += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    named = {name for text in texts for name in _NAME.findall(text)}
    assert len(named) > 15
    # Of these a ledger has samples only once there is something to count.
    assert named - known <= {"tollbook_incidents", "tollbook_budget_owners"}


def test_every_table_asks_a_route_that_answers_with_its_columns(running: Running) -> None:
    asked = 0
    for panel in json.loads((DEPLOY / "grafana" / "dashboards" / "spend.json").read_text())[
        "panels"
    ]:
        for target in panel["targets"]:
            url = target["url"].replace("${__from:date:iso}", "2020-01-01T00:00:00.000Z")
            url = url.replace("${__to:date:iso}", "2100-01-01T00:00:00.000Z")
            answer = _get(running, url)
            assert answer.status_code == 200, answer.text
            rows = answer.json()[target["root_selector"]]
            columns = {column["selector"] for column in target["columns"]}
            assert all(columns <= row.keys() for row in rows)
            asked += len(dict(parse_qsl(urlsplit(url).query)))
    assert asked


def test_what_is_provisioned_is_named_by_the_dashboards() -> None:
    sources = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/tollbook.yaml").read_text()
    )
    uids = {one["uid"]: one["type"] for one in sources["datasources"]}
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            assert uids[panel["datasource"]["uid"]] == panel["datasource"]["type"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume
