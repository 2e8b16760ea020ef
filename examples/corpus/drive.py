"""The product's users: they ask, have agents work, and hand in documents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import httpx
import redis

if TYPE_CHECKING:
    from examples.corpus.house import Up

USERS: Final = {"key-ada": "acme.ada", "key-bob": "acme.bob", "key-cleo": "globex.cleo",
                "key-dan": "initech.dan"}  # fmt: skip
JOBS_TIMEOUT_S: Final = 60.0
_DONE: Final = "product-indexed"
_TEXT: Final = "The workspace was moved to another region and two seats were added. " * 12


def drive(up: Up) -> None:
    """Send every user's requests.

    A ticket begins with the tenant whose it is; the part of the product's work ends it.

    Raises:
        TimeoutError: a job in the background was not done.
    """
    jobs: list[str] = []
    with httpx.Client(base_url=up.web_url, timeout=120) as web:
        for key, ticket in USERS.items():
            headers = {"authorization": f"Bearer {key}"}
            for path, text in (
                ("/ask", "When is my invoice due?"),
                ("/agent", "Compare my contract with what I use."),
                ("/documents", _TEXT),
            ):
                answer = web.post(path, json={"ticket": ticket, "text": text}, headers=headers)
                answer.raise_for_status()
                if path == "/documents":
                    jobs.append(answer.json()["job"])
    _await_jobs(up, jobs)


def _await_jobs(up: Up, jobs: list[str]) -> None:
    deadline = time.monotonic() + JOBS_TIMEOUT_S
    with redis.Redis.from_url(up.redis_url) as store:
        while True:
            done = sum(bool(store.exists(f"celery-task-meta-{job}")) for job in jobs)
            if done == len(jobs) and store.llen(_DONE) == len(jobs):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{done} of {len(jobs)} summaries after {JOBS_TIMEOUT_S:.0f} s")
            time.sleep(0.1)
