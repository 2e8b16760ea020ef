"""The product's users: they ask, have agents work, and hand in documents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import httpx
import redis

from examples.product.customers import USERS
from examples.product.surroundings import DONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.product.house import Running

JOBS_TIMEOUT_S: Final = 60.0
_TEXT: Final = "The workspace was moved to another region and two seats were added. " * 12


def drive(running: Running, rounds: int) -> Iterator[str]:
    """Send every user's requests so many times over; yield what was done, one by one.

    A ticket begins with the tenant whose it is: what the providers' record is held against.
    """
    indexed = 0
    jobs: list[str] = []
    with httpx.Client(base_url=running.web_url, timeout=120) as web:
        for number in range(rounds):
            for key, whose in USERS.items():
                headers = {"authorization": f"Bearer {key}"}
                ticket = f"{whose['tenant']}.{whose['user']}-{number}"
                for path, text in (
                    ("/ask", "When is my invoice due?"),
                    ("/agent", "Compare my contract with what I use."),
                    ("/documents", _TEXT),
                ):
                    answer = web.post(path, json={"ticket": ticket, "text": text}, headers=headers)
                    answer.raise_for_status()
                    if path == "/documents":
                        jobs.append(answer.json()["job"])
                        indexed += 1
                    yield f"{path} {ticket}"
    _await_jobs(running, jobs, indexed)


def _await_jobs(running: Running, jobs: list[str], indexed: int) -> None:
    deadline = time.monotonic() + JOBS_TIMEOUT_S
    with redis.Redis.from_url(running.redis_url) as store:
        while True:
            done = sum(bool(store.exists(f"celery-task-meta-{job}")) for job in jobs)
            if done == len(jobs) and store.llen(DONE) == indexed:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{done} of {len(jobs)} summaries after {JOBS_TIMEOUT_S:.0f} s")
            time.sleep(0.1)
