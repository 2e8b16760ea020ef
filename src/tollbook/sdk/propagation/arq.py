"""Identity of whoever enqueued an arq job, in the worker that runs it.

arq has no headers; a job is a dictionary that a serializer writes, in the context of whoever
enqueues, and a deserializer reads, in the task that runs it. The payload is one more key, which
workers that know nothing of it pass over.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from tollbook.sdk.propagation.carrier import from_payload, to_payload

KEY: Final = "tollbook"
Serializer = Callable[[dict[str, Any]], bytes]
Deserializer = Callable[[bytes], Any]
Hook = Callable[[dict[str, Any]], Any]

_SCOPE: Final = "_tollbook_scope"
_payload: ContextVar[object] = ContextVar("tollbook-arq-payload", default=None)


def serializer(inner: Serializer = pickle.dumps) -> Serializer:
    """Return a ``job_serializer`` for ``create_pool`` and for the worker."""

    def serialize(data: dict[str, Any]) -> bytes:
        if "f" in data and "r" not in data:  # a job, not the result of one
            data = {**data, KEY: to_payload()}
        return inner(data)

    return serialize


def deserializer(inner: Deserializer = pickle.loads) -> Deserializer:
    """Return a ``job_deserializer`` for the worker."""

    def deserialize(raw: bytes) -> Any:
        data = inner(raw)
        if isinstance(data, dict) and "f" in data and "r" not in data:
            _payload.set(data.get(KEY))
        return data

    return deserialize


async def begin_job(ctx: dict[str, Any]) -> None:
    """Be ``on_job_start`` of the worker."""
    with contextlib.suppress(Exception):  # a job runs whatever happens here
        job_id = str(ctx.get("job_id", "job"))
        is_cron = job_id.startswith("cron:")
        work = from_payload(_payload.get(), job=job_id.rsplit(":", 1)[0] if is_cron else "arq job")
        if is_cron:
            work = work.by_default(request_origin="scheduled")
        work.__enter__()
        ctx[_SCOPE] = work


async def end_job(ctx: dict[str, Any]) -> None:
    """Be ``on_job_end`` of the worker."""
    work = ctx.pop(_SCOPE, None)
    if work is not None:
        work.__exit__(None, None, None)


def worker_settings(
    *, job_serializer: Serializer = pickle.dumps, job_deserializer: Deserializer = pickle.loads,
    on_job_start: Hook | None = None, on_job_end: Hook | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the settings of a worker that carries identity, around those that it has anyway.

    For ``Worker(..., **worker_settings())``, or a settings class: ``vars().update(...)`` in it.
    """

    async def start(ctx: dict[str, Any]) -> None:
        await begin_job(ctx)
        if on_job_start is not None:
            await on_job_start(ctx)

    async def end(ctx: dict[str, Any]) -> None:
        try:
            if on_job_end is not None:
                await on_job_end(ctx)
        finally:
            await end_job(ctx)

    return {
        "job_serializer": serializer(job_serializer),
        "job_deserializer": deserializer(job_deserializer),
        "on_job_start": start,
        "on_job_end": end,
    }
