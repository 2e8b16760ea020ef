"""Identity of whoever enqueued an RQ job, in the worker that runs it."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Final

from tollbook.sdk.context import NOBODY, current
from tollbook.sdk.propagation.carrier import from_payload, to_payload
from tollbook.sdk.runtime import flush

META: Final = "tollbook"
"""Key of a job's ``meta`` that holds the payload."""

_MARK: Final = "_tollbook_original"


def instrument() -> None:
    """Carry identity with every job that this process creates or performs.

    For all the ways to enqueue (``enqueue``, ``enqueue_in``, ``enqueue_many``, dependencies,
    callbacks aside) and to run: forking and simple workers, retries, ``is_async=False``. A worker's
    child delivers what its sink holds before it ends. Call it
    in the process that enqueues and in the one that works (``rq worker`` imports what jobs are in
    only after it has forked: use ``--worker-class tollbook.sdk.propagation.rq_worker.Worker``, or
    a worker script of one's own). Calling it again does nothing.
    """
    from rq.job import Job  # noqa: PLC0415 -- only for who uses it

    known: Any = Job
    if hasattr(known.perform, _MARK):
        return
    create, perform = known.create.__func__, known.perform

    @functools.wraps(create)
    def create_with_identity(cls: Any, *args: Any, **kwargs: Any) -> Any:
        job = create(cls, *args, **kwargs)
        with contextlib.suppress(Exception):  # a job is enqueued whatever happens here
            if not (META in job.meta and current() is NOBODY):
                job.meta = {**job.meta, META: to_payload()}
        return job

    @functools.wraps(perform)
    def perform_with_identity(self: Any) -> Any:
        with from_payload(_payload(self), job=str(self.func_name)):
            return perform(self)

    place, perform_job = _perform_job()

    @functools.wraps(perform_job)
    def perform_job_and_flush(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return perform_job(self, *args, **kwargs)
        finally:
            if getattr(self, "is_horse", False):
                flush()  # it ends by os._exit, without Python's own end

    setattr(perform_job_and_flush, _MARK, perform_job)
    place.perform_job = perform_job_and_flush
    setattr(create_with_identity, _MARK, create)
    setattr(perform_with_identity, _MARK, perform)
    known.create = classmethod(create_with_identity)
    known.perform = perform_with_identity


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    from rq.job import Job  # noqa: PLC0415 -- only for who uses it

    known: Any = Job
    if hasattr(known.perform, _MARK):
        known.create = classmethod(getattr(known.create.__func__, _MARK))
        known.perform = getattr(known.perform, _MARK)
        place, perform_job = _perform_job()
        place.perform_job = getattr(perform_job, _MARK)


def _perform_job() -> tuple[Any, Any]:
    """Return the class of workers that has ``perform_job``, and that."""
    from rq import Worker  # noqa: PLC0415 -- only for who uses it

    place: Any = next(kind for kind in Worker.__mro__ if "perform_job" in vars(kind))
    return place, place.perform_job


def _payload(job: Any) -> Any:
    try:
        return job.meta.get(META)
    except Exception:  # noqa: BLE001 -- a job runs whatever its meta holds
        return None
