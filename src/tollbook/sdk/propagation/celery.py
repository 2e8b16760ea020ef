"""Identity of whoever published a Celery task, in whatever process runs it."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from tollbook.sdk.context import NOBODY, current, scope
from tollbook.sdk.propagation.carrier import from_payload, to_payload

HEADER: Final = "tollbook"
"""Name of the message header that holds the payload."""

_SCOPE: Final = "_tollbook_scope"
_BEAT: Final = "celery_beat_task"  # a header that beat writes


def instrument(app: Any = None) -> Any:
    """Carry identity with every task that this process publishes or runs.

    It works through Celery's signals, which are of the process: for retries, chains, groups and
    chords, and in workers that fork. In eager mode a task simply runs in its caller's context. A
    task that beat publishes has the origin ``scheduled``. Calling it again does nothing.

    Args:
        app: the Celery application; signals are of the process, so it is only given back.
    """
    from celery import signals  # noqa: PLC0415 -- only for who uses it

    signals.before_task_publish.connect(_publish, dispatch_uid="tollbook-publish")
    signals.task_prerun.connect(_begin, dispatch_uid="tollbook-begin")
    signals.task_postrun.connect(_end, dispatch_uid="tollbook-end")
    return app


def identity_headers(**fields: Any) -> dict[str, dict[str, str]]:
    """Return message headers with an identity, for ``options`` of an entry of beat's schedule.

    Args:
        **fields: those of :func:`tollbook.scope`.
    """
    with scope(**fields):
        return {HEADER: to_payload()}


def _publish(headers: Any = None, **_: object) -> None:
    with contextlib.suppress(Exception):  # a task is published whatever happens here
        if isinstance(headers, dict) and not (HEADER in headers and current() is NOBODY):
            headers[HEADER] = to_payload()


def _begin(task: Any = None, **_: object) -> None:
    with contextlib.suppress(Exception):  # a task runs whatever happens here
        request = task.request
        payload = request.get(HEADER)
        if payload is None and request.get("is_eager"):
            return
        work = from_payload(payload, job=str(task.name))
        if request.get(_BEAT):
            work = work.by_default(request_origin="scheduled")
        work.__enter__()
        setattr(request, _SCOPE, work)


def _end(task: Any = None, state: str | None = None, **_: object) -> None:
    with contextlib.suppress(Exception):
        work = getattr(task.request, _SCOPE, None)
        if work is not None:
            failed = RuntimeError if state in {"FAILURE", "RETRY"} else None
            work.__exit__(failed, None, None)
            delattr(task.request, _SCOPE)
