"""Web, queue, worker, service, service: five processes, and the tenant of the first at the last."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from celery import Celery
from tests.sdk_propagation.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SERVE = (
    "import sys; from tests.sdk_propagation.hop_app import serve;"
    " serve(sys.argv[1], int(sys.argv[2]))"
)
WORK = (
    "from tests.sdk_propagation.hop_app import worker;"
    " worker.worker_main(['worker', '--concurrency', '2', '--without-gossip', '--without-mingle'])"
)


@pytest.fixture(scope="module")
def product(redis_url: str) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Return the web's address, and what waits for a job's answer."""
    ports = {name: free_port() for name in ("web", "service", "leaf")}
    around = os.environ | {
        "HOPS_REDIS": redis_url.removesuffix("0") + "1",
        "HOPS_SERVICE": f"http://127.0.0.1:{ports['service']}",
        "HOPS_LEAF": f"http://127.0.0.1:{ports['leaf']}",
    }
    commands = [[SERVE, name, str(port)] for name, port in ports.items()] + [[WORK]]
    made = [
        subprocess.Popen([sys.executable, "-c", *one], cwd=ROOT, env=around) for one in commands
    ]
    jobs = Celery("asks", broker=around["HOPS_REDIS"], backend=around["HOPS_REDIS"])
    try:
        for port in ports.values():
            wait_for(port)
        yield (
            f"http://127.0.0.1:{ports['web']}",
            lambda job: jobs.AsyncResult(job).get(timeout=60),
        )
    finally:
        for one in made:
            one.terminate()
        for one in made:
            one.wait(30)
        jobs.close()


def wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on {port}")


def test_the_tenant_of_the_web_is_there_at_the_far_end(
    product: tuple[str, Callable[[str], Any]],
) -> None:
    url, answer_of = product

    def ask(n: int) -> tuple[Any, Any]:
        headers = {
            "authorization": f"Bearer {n}", "x-request-id": f"r-{n}",
            "baggage": "tenant.id=evil,agent.run.id=evil",
        }  # fmt: skip
        with httpx.Client(timeout=60) as client:
            told = client.post(f"{url}/jobs", headers=headers).json()
        return told["direct"], answer_of(told["job"])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(10)))
    traces = set()
    for n, (direct, job) in enumerate(answers):
        for one in (direct, job):
            assert (one["tenant"], one["run"]) == (f"tenant-{n}", "run-1")
            assert (one["request"], one["origin"]) == (f"r-{n}", "user")
        assert direct["trace"] == job["trace"] is not None
        traces.add(direct["trace"])
    assert len(traces) == 10


def test_a_stranger_is_nobody_at_the_far_end_too(
    product: tuple[str, Callable[[str], Any]],
) -> None:
    url, answer_of = product
    forged = {"baggage": "tenant.id=evil", "x-tollbook-tenant": "evil"}
    told = httpx.post(f"{url}/jobs", headers=forged, timeout=60).json()
    assert told["direct"]["tenant"] is None
    assert answer_of(told["job"])["tenant"] is None
