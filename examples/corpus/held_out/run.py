"""Starts and drives the worlds that the rules had never seen."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import httpx
import redis

from examples.corpus.house import CLIENTS, PLAIN, Up, surroundings
from examples.processes import Starter, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.corpus.house import Ground
    from examples.corpus.plan import Planted

SESSIONS: Final = ("t-1", "t-2", "t-3")
ROUNDS: Final = 2
JOBS_TIMEOUT_S: Final = 60.0
_PROGRAMS: Final = {
    "bureau": ("portal", "scorer", ("/letters", "/cases", "/papers")),
    "lab": ("api", "helpers", ("/talk", "/plan", "/note")),
}
"""Of each world what users see, what is behind it, and what users do."""
_FIRST: Final = {
    "bureau": ("northwind", "contoso", "fabrikam"), "lab": ("curie", "noether", "lovelace"),
}  # fmt: skip


@contextlib.contextmanager
def world_up(ground: Ground, planted: Planted, instrumentation: str) -> Iterator[Up]:
    """Run a world for the length of a ``with``."""
    world = planted.name.partition("-")[0]
    home = ground.home / f"{planted.name}.{instrumentation}"
    home.mkdir()
    front, back, _ = _PROGRAMS[world]
    front_port, back_port, proxy_port = free_ports(3)
    with redis.Redis.from_url(ground.redis_url) as store:
        store.flushall()
    stripped = any(one.startswith("stripped") for one in planted.switches)
    around = surroundings(ground, home, instrumentation, planted.switches) | {
        "CORPUS_AGENT_URL": f"http://agent.internal:{back_port}",
        "CORPUS_GATEWAY_URL": "",
    }
    to_back = {"CORPUS_AGENT_URL": f"http://agent.internal:{proxy_port}"} if stripped else {}
    python = str(CLIENTS / "corpus" / "bin" / "python")
    package = f"examples.corpus.held_out.{world}"
    with contextlib.ExitStack() as stack:
        start = Starter(stack, home, PLAIN)
        start(back, [python, "-m", f"{package}.{back}", str(back_port)], around)
        if world == "bureau":
            start("filing", [python, "-m", f"{package}.filing"], around)
        if stripped:
            start("proxy", [python, "-m", "uvicorn", "examples.corpus.program.proxy:app", "--port",
                            str(proxy_port), "--log-level", "warning"], around)  # fmt: skip
            start.wait_for("proxy", partial(httpx.get, f"http://127.0.0.1:{proxy_port}/docs"))
        start(front, [python, "-m", f"{package}.{front}", str(front_port)], around | to_back)
        for name, port in ((back, back_port), (front, front_port)):
            start.wait_for(name, partial(httpx.get, f"http://127.0.0.1:{port}/healthz"))
        yield Up(f"http://127.0.0.1:{front_port}", ground.redis_url, home)


def drive_world(planted: Planted, up: Up) -> None:
    """Send every user's requests, and wait for what they leave behind."""
    world = planted.name.partition("-")[0]
    jobs: list[str] = []
    with httpx.Client(base_url=up.web_url, timeout=120) as web:
        for number in range(ROUNDS):
            for session, firm in zip(SESSIONS, _FIRST[world], strict=True):
                for path in _PROGRAMS[world][2]:
                    sent = {"ticket": f"{firm}.{number}"}
                    answer = web.post(path, json=sent, headers={"x-session": session})
                    answer.raise_for_status()
                    if path == "/papers":
                        jobs.append(answer.json()["job"])
        if world == "lab":
            web.get("/drained").raise_for_status()
    _await_jobs(up, jobs)


def _await_jobs(up: Up, jobs: list[str]) -> None:
    deadline = time.monotonic() + JOBS_TIMEOUT_S
    with redis.Redis.from_url(up.redis_url) as store:
        while True:
            states = [store.hget(f"rq:job:{job}", "status") for job in jobs]
            if all(state == b"finished" for state in states):
                return
            if time.monotonic() > deadline or b"failed" in states:
                raise TimeoutError(f"papers were not filed: {states}")
            time.sleep(0.1)
