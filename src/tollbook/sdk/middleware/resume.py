"""A scope that is left between the steps of a streamed answer and taken up again for each.

Whoever sends a streamed body takes it step by step, long after the application's function has
returned, and does other work in between.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.context import attach
from opentelemetry.context import get_current as get_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from tollbook.sdk.context import Scope

T = TypeVar("T")
_END: Any = object()


class Resumable:
    """A scope with the context that work in it has come to."""

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope | None = scope
        outside = get_context()
        scope.__enter__()
        self._inside = get_context()
        attach(outside)

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Be in the scope for a block: what it attaches is there the next time, and not outside."""
        outside = get_context()
        attach(self._inside)
        try:
            yield
        finally:
            self._inside = get_context()
            attach(outside)

    def end(self, error: BaseException | None = None) -> None:
        """End the scope; calling it again does nothing. What is closed later is still its own."""
        scope, self._scope = self._scope, None
        if scope is not None:
            outside = get_context()
            attach(self._inside)
            try:
                scope.__exit__(None if error is None else type(error), error, None)
            finally:
                attach(outside)


class ResumedBody:
    """A body of which each step is made in the scope, and whose end ends the scope."""

    def __init__(self, work: Resumable, body: Iterable[T]) -> None:
        self._work, self._body = work, body
        with work.resumed():
            self._steps = iter(body)

    def __iter__(self) -> ResumedBody:
        return self

    def __next__(self) -> Any:
        try:
            with self._work.resumed():
                step = next(self._steps, _END)
        except BaseException as error:
            self._work.end(error)
            raise
        if step is _END:
            self._work.end()
            raise StopIteration
        return step

    def close(self) -> None:
        """Close the body, as a server does when it has sent it or the client is gone (PEP 3333)."""
        close: Callable[[], object] | None = getattr(self._body, "close", None)
        try:
            if close is not None:
                with self._work.resumed():
                    close()
        finally:
            self._work.end()


async def resumed_steps(work: Resumable, body: AsyncIterable[T]) -> AsyncIterator[T]:
    """Yield the steps of an asynchronous body, each made in the scope; then end the scope."""
    with work.resumed():
        steps = aiter(body)
    try:
        while True:
            with work.resumed():
                step = await anext(steps, _END)
            if step is _END:
                return
            yield step
    finally:
        close = getattr(steps, "aclose", None)
        if close is not None:
            with work.resumed():
                await close()
        work.end()
