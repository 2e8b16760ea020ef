"""A Celery application that says as whom its tasks run; imported by tests and by their workers."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery, shared_task
from redis import Redis

import tollbook
from tollbook.sdk.propagation.celery import identity_headers, instrument


def configured(url: str, *, beats: bool = False) -> Celery:
    """Return the application, with identity carried."""
    app = Celery("test", broker=url, backend=url)
    app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
    if beats:
        os.environ["NOTES_URL"] = url
        app.conf.beat_schedule = {
            "plain": {"task": "scheduled", "schedule": 0.5, "args": ("beat",)},
            "of-acme": {
                "task": "scheduled", "schedule": 0.5, "args": ("beat-acme",),
                "options": {"headers": identity_headers(tenant="acme")},
            },
        }  # fmt: skip
    app.set_default()
    instrument(app)
    return app


def eager() -> Celery:
    """Return an application whose tasks run where they are called."""
    app = Celery("eager", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    instrument(app)
    app.finalize()
    return app


def noted(key: str, url: str) -> str:
    """Return what a task has noted, waiting for it."""
    with Redis.from_url(url) as client:
        for _ in range(600):
            found: Any = client.get(f"note-{key}")
            if found is not None:
                return str(found.decode())
            time.sleep(0.05)
    raise AssertionError(f"nobody noted {key}")


def _note(key: str, value: str) -> None:
    with Redis.from_url(os.environ["NOTES_URL"]) as client:
        client.set(f"note-{key}", value)


@shared_task(name="say")  # type: ignore[untyped-decorator]  # a library without types
def say(n: int) -> list[Any]:
    """Say as whom it runs."""
    time.sleep(0.01)
    known = tollbook.current()
    return [
        n, known.tenant_id, known.user_id, known.agent_run_id, known.request_id, dict(known.tags)
    ]  # fmt: skip


@shared_task(name="flaky", bind=True, max_retries=2)  # type: ignore[untyped-decorator]  # a library without types
def flaky(self: Any, seen: tuple[str | None, ...] = ()) -> list[str | None]:
    """Succeed at the third attempt."""
    now = [*seen, tollbook.current().tenant_id]
    if self.request.retries < 2:
        raise self.retry(countdown=0.05, args=(now,))
    return now


@shared_task(name="fails")  # type: ignore[untyped-decorator]  # a library without types
def fails() -> None:
    """Fail with as whom it runs."""
    raise LookupError(tollbook.current().tenant_id)


@shared_task(name="add")  # type: ignore[untyped-decorator]  # a library without types
def add(seen: list[str | None]) -> list[str | None]:
    """Add as whom it runs."""
    return [*seen, tollbook.current().tenant_id]


@shared_task(name="gather")  # type: ignore[untyped-decorator]  # a library without types
def gather(seen: list[list[str | None]]) -> list[str | None]:
    """Add as whom it runs to what a chord's header said."""
    return [*(one[0] for one in seen), tollbook.current().tenant_id]


@shared_task(name="note")  # type: ignore[untyped-decorator]  # a library without types
def note(_: Any, key: str) -> None:
    """Note as whom it runs."""
    _note(key, str(tollbook.current().tenant_id))


@shared_task(name="publishes")  # type: ignore[untyped-decorator]  # a library without types
def publishes() -> str:
    """Publish another task."""
    return str(say.delay(0).id)


@shared_task(name="scheduled")  # type: ignore[untyped-decorator]  # a library without types
def scheduled(key: str) -> None:
    """Note as whom it runs, and why."""
    known = tollbook.current()
    _note(key, json.dumps([known.tenant_id, known.request_origin]))
