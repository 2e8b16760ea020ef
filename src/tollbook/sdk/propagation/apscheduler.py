"""Identity of whoever scheduled a job of APScheduler 3, whenever and wherever it runs."""

from __future__ import annotations

import inspect
from typing import Any, Final, TypeVar

from tollbook.sdk.propagation.carrier import from_payload, to_payload

S = TypeVar("S")

_MARK: Final = "_tollbook_add_job"


def instrument(scheduler: S) -> S:
    """Have jobs that are added from now on run as whom they were added for, ``origin=scheduled``.

    What a job store keeps is the function, its arguments and the identity. Each run is a trace of
    its own, linked to the span that scheduled it. Calling it again does nothing.

    Args:
        scheduler: any of APScheduler 3.

    Returns:
        The scheduler.
    """
    known: Any = scheduler
    if hasattr(known, _MARK):
        return scheduler
    add_job = known.add_job
    setattr(known, _MARK, add_job)

    def add_job_with_identity(
        func: Any,
        trigger: Any = None,
        args: Any = None,
        kwargs: Any = None,
        *more: Any,
        **rest: Any,
    ) -> Any:
        from apscheduler.util import (  # noqa: PLC0415 -- only for who uses it
            check_callable_args,
            get_callable_name,
            ref_to_obj,
        )

        called = ref_to_obj(func) if isinstance(func, str) else func
        check_callable_args(called, args or (), kwargs or {})
        if not more:  # the id and the name are next in order
            rest.setdefault("name", get_callable_name(called))
        run = run_job_async if inspect.iscoroutinefunction(called) else run_job
        return add_job(run, trigger, (to_payload(), func, *(args or ())), kwargs, *more, **rest)

    known.add_job = add_job_with_identity
    return scheduler


def run_job(payload: dict[str, str], function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a job; what a job store keeps in the place of the function."""
    with _work(payload, function):
        return _callable(function)(*args, **kwargs)


async def run_job_async(
    payload: dict[str, str], function: Any, /, *args: Any, **kwargs: Any
) -> Any:
    """Run a job that is a coroutine function."""
    with _work(payload, function):
        return await _callable(function)(*args, **kwargs)


def _work(payload: dict[str, str], function: Any) -> Any:
    name = function if isinstance(function, str) else getattr(function, "__qualname__", "job")
    return from_payload(payload, job=str(name), origin="scheduled", is_linked=True)


def _callable(function: Any) -> Any:
    if not isinstance(function, str):
        return function
    from apscheduler.util import ref_to_obj  # noqa: PLC0415 -- only for who uses it

    return ref_to_obj(function)
