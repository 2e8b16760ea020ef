"""Identity in threads, thread pools and processes that are started for somebody's work.

``asyncio.create_task`` and ``asyncio.to_thread`` carry it by themselves. ``threading.Thread``,
``ThreadPoolExecutor`` and ``loop.run_in_executor`` do not: their threads begin with nothing.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from tollbook.sdk.propagation.carrier import from_payload, to_payload

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def run_in_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the context of now, whichever thread calls it.

    For ``Thread(target=run_in_context(work))``, for callbacks, and for
    ``loop.run_in_executor(None, run_in_context(work))``. Each call runs in a copy, so that several
    threads may call it at once.
    """
    context = contextvars.copy_context()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return bound


class PropagatingExecutor(ThreadPoolExecutor):
    """A thread pool whose jobs run in the context of whoever submitted them."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function in a thread, in a copy of the caller's context."""
        context = contextvars.copy_context()
        return super().submit(functools.partial(context.run, fn, *args, **kwargs))


class PropagatingProcessExecutor(ProcessPoolExecutor):
    """A process pool whose jobs have the identity of whoever submitted them.

    Only the identity and its span travel, not the rest of the context, which cannot be pickled.
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function in a process, as whom the caller works for."""
        return super().submit(carried(fn), *args, **kwargs)


class carried:  # noqa: N801 -- used like a function, and a class so that it can be pickled
    """A function with the identity of now, that can be sent to another process."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._payload = to_payload()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it as whom it was made for."""
        with from_payload(self._payload):
            return self._function(*args, **kwargs)


_MARK: Final = "_tollbook_context"
_instrumented = threading.Lock()


def instrument_threads() -> None:
    """Have every thread, timer and thread pool of this process carry the context of its maker.

    For code that is not one's own. A thread's is that of whoever called ``start``, a job's that of
    whoever called ``submit``; ``loop.run_in_executor`` goes through ``submit``. Calling it again
    does nothing.
    """
    with _instrumented:
        if hasattr(threading.Thread.start, _MARK):
            return
        _wrap_start()
        _wrap_submit()


def _wrap_start() -> None:
    start = threading.Thread.start

    @functools.wraps(start)
    def start_in_context(self: threading.Thread) -> None:
        context, run = contextvars.copy_context(), self.run

        def run_in_context() -> None:
            del self.__dict__["run"]
            context.run(run)

        # Of this thread alone, for subclasses have methods of their own.
        self.run = run_in_context  # type: ignore[method-assign]
        start(self)

    setattr(start_in_context, _MARK, start)
    threading.Thread.start = start_in_context  # type: ignore[method-assign]


def _wrap_submit() -> None:
    pool: Any = ThreadPoolExecutor
    submit = pool.submit

    @functools.wraps(submit)
    def submit_in_context(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        return submit(self, contextvars.copy_context().run, fn, *args, **kwargs)

    setattr(submit_in_context, _MARK, submit)
    pool.submit = submit_in_context


def uninstrument_threads() -> None:
    """Undo :func:`instrument_threads`."""
    with _instrumented:
        for owner, name in ((threading.Thread, "start"), (ThreadPoolExecutor, "submit")):
            original = getattr(getattr(owner, name), _MARK, None)
            if original is not None:
                setattr(owner, name, original)
