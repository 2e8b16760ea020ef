"""Jobs that say as whom they run; imported by tests and by their workers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from redis import Redis

import tollbook
from tollbook.sdk.sink import MemorySink


def who() -> list[str | None]:
    """Say as whom it runs, and why."""
    known = tollbook.current()
    return [known.tenant_id, known.request_origin]


def note(url: str, key: str) -> list[str | None]:
    """Note as whom it runs."""
    time.sleep(0.002)
    with Redis.from_url(url) as client:
        client.rpush(key, json.dumps([*who(), os.getpid()]))
    return who()


async def note_later(url: str, key: str) -> None:
    """Note as whom it runs, as a coroutine."""
    await asyncio.sleep(0.001)
    note(url, key)


def fails_once(url: str, key: str) -> None:
    """Note, and fail the first time."""
    note(url, key)
    with Redis.from_url(url) as client:
        if client.llen(key) < 2:
            raise LookupError("once more")


def fails(url: str, key: str) -> None:
    """Note, and fail."""
    note(url, key)
    raise LookupError("always")


def noted(url: str, key: str, count: int) -> list[list[Any]]:
    """Return what jobs have noted, waiting until there are so many."""
    with Redis.from_url(url) as client:
        for _ in range(400):
            found: Any = client.lrange(key, 0, -1)
            if len(found) >= count:
                return [json.loads(one) for one in found]
            time.sleep(0.05)
    raise AssertionError(f"{len(found)} of {count} notes in {key}")


class FlushNoting(MemorySink):
    """Notes in Redis which process had it deliver."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__()
        self.place = url, key

    def flush(self, timeout_s: float) -> bool:
        url, key = self.place
        with Redis.from_url(url) as client:
            client.rpush(key, json.dumps([os.getpid(), timeout_s]))
        return True


def holds_calls(url: str, key: str) -> int:
    """Have a sink that delivers later."""
    tollbook.configure(sink=FlushNoting(url, key))
    return os.getpid()
