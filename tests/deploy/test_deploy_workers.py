"""Three gateway workers on one port: whichever Prometheus reaches answers for all of them."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.conftest import make_house

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_house"]

WORKERS: Final = 3
REQUESTS: Final = "tollbook_gateway_requests_total"
SETTINGS: Final = """
[[budgets]]
name = "small"
limit_requests = 2
each = ["tenant"]
match = { tenant = "trial" }
[routes.main]
models = ["*"]
targets = [{ provider = "openai" }]
"""
CALL: Final = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


class Scrape:
    """One answer of `/metrics` on a connection of its own, so that any worker may get it."""

    def __init__(self, house: Any) -> None:
        answer = httpx2.get(f"{house.url}/metrics", headers={"connection": "close"}, timeout=10)
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(answer.text))
        assert len({family.name for family in families}) == len(families)
        self.samples = [sample for family in families for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples that have these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def workers(self, name: str) -> set[str]:
        """Workers that have samples of a name."""
        return {sample.labels["worker"] for sample in self.samples if sample.name == name}


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _has_told(house: Any, calls: float) -> bool:
    return Scrape(house).total(REQUESTS) == calls


def _kill_and_wait(house: Any, worker: Any, told: float) -> None:
    """Kill a worker, look at what is told meanwhile, and wait until it serves again."""
    pid = worker.pid
    worker.kill()

    def is_back() -> bool:
        return worker.pid not in {None, pid} and worker.ready.is_set()

    while not is_back():
        try:
            assert Scrape(house).total(REQUESTS) >= told
        except httpx2.TransportError:  # the one that was killed had taken the connection
            continue
    _until(lambda: Scrape(house).total("tollbook_gateway_workers", state="live") == WORKERS)


def test_one_scrape_tells_of_all_workers_and_never_of_less(make_house: Callable[..., Any]) -> None:
    house = make_house(settings=SETTINGS, workers=WORKERS)
    key = house.key("app")

    def call(tenant: str = "acme", path: str = "/v1/chat/completions") -> int:
        headers = {"authorization": f"Bearer {key}", "x-tollbook-tenant": tenant,
                   "connection": "close"}  # fmt: skip
        return int(
            httpx2.post(house.url + path, json=CALL, headers=headers, timeout=20).status_code
        )

    for _ in range(30):
        assert call() == 200
    assert [call("trial") for _ in range(4)] == [200, 200, 429, 429]
    _until(partial(_has_told, house, 34))
    for _ in range(10):
        scrape = Scrape(house)
        assert scrape.total(REQUESTS) == 34, "whichever worker answers"
        assert scrape.total(REQUESTS, status="429") == 2
        assert scrape.total("tollbook_gateway_budget_refusals_total", budget="small") == 2
        assert scrape.total("tollbook_gateway_target_attempts_total", provider="openai") == 34
        assert scrape.total("tollbook_gateway_workers", state="live") == WORKERS
        assert scrape.workers("tollbook_gateway_in_flight") == {"0", "1", "2"}
    without_worker = {s.name for s in scrape.samples if "worker" not in s.labels}
    assert without_worker == {"tollbook_gateway_workers"}

    for worker in house.supervisor.workers:
        told = Scrape(house).total(REQUESTS)
        _kill_and_wait(house, worker, told)
        assert Scrape(house).total(REQUESTS) == told
        assert call() == 200
        _until(partial(_has_told, house, told + 1))

    files = sorted(path.name for path in (house.data_dir / "metrics").iterdir())
    assert [re.sub(r"^\d+", "PID", name) for name in files if name.endswith(".prom")] == [
        f"PID.{worker}.prom" for worker in range(WORKERS)
    ]
    house.stop()
    assert not (house.data_dir / "metrics").exists()
