"""Scopes around functions of every kind; generators run each step in a context of their own.

A context that is attached inside a generator stays attached in whoever iterates it, between the
steps and after the last: the next tenant's work would be booked to this one. So the body of a
generator lives in a copy of its caller's context, made when it is called, and nobody else does.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Entered = AbstractContextManager[Any]


def scoped(make_scope: Callable[[], Entered], function: F) -> F:
    """Return the function with every call of it inside a scope of its own.

    Args:
        make_scope: called for every call, so that a function may run many times at once.
        function: plain, coroutine, generator or asynchronous generator function.
    """
    wrapper: Any
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return AsyncStepping(make_scope(), function(*args, **kwargs))

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return Stepping(make_scope(), function(*args, **kwargs))

    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with make_scope():
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with make_scope():
                return function(*args, **kwargs)

    return wrapper  # type: ignore[no-any-return]


class _OwnContext:
    """A scope entered in a copy of the context, and left there once."""

    def __init__(self, scope: Entered) -> None:
        self._scope: Entered | None = scope
        self.context = contextvars.copy_context()
        self.context.run(scope.__enter__)

    def leave(self, error: BaseException | None = None) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            kind = None if error is None else type(error)
            self.context.run(scope.__exit__, kind, error, None)


class Stepping(Generator[Any, Any, Any]):
    """A generator whose body runs in a scope that its consumer never sees."""

    def __init__(self, scope: Entered, steps: Generator[Any, Any, Any]) -> None:
        self._steps = steps
        self._own = _OwnContext(scope)

    def _step(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._own.context.run(function, *args)
        except StopIteration:
            self._own.leave()
            raise
        except BaseException as error:
            self._own.leave(error)
            raise

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        return self._step(self._steps.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error."""
        return self._step(self._steps.throw, *error)

    def close(self) -> None:
        """End the body where it stands."""
        try:
            self._own.context.run(self._steps.close)
        finally:
            self._own.leave()


class AsyncStepping(AsyncGenerator[Any, Any]):
    """The same for an asynchronous generator: every resumption of its body, between awaits too."""

    def __init__(self, scope: Entered, steps: AsyncGenerator[Any, Any]) -> None:
        self._steps = steps
        self._own = _OwnContext(scope)

    async def _step(self, awaitable: Awaitable[Any]) -> Any:
        try:
            return await _InContext(self._own.context, awaitable)
        except StopAsyncIteration:
            self._own.leave()
            raise
        except BaseException as error:
            self._own.leave(error)
            raise

    async def __anext__(self) -> Any:
        return await self._step(self._steps.__anext__())

    async def asend(self, value: Any) -> Any:
        """Go on with a value."""
        return await self._step(self._steps.asend(value))

    async def athrow(self, *error: Any) -> Any:
        """Go on with an error."""
        return await self._step(self._steps.athrow(*error))

    async def aclose(self) -> None:
        """End the body where it stands."""
        try:
            await _InContext(self._own.context, self._steps.aclose())
        finally:
            self._own.leave()


class _InContext:
    """An awaitable of which each resumption runs in a given context."""

    def __init__(self, context: contextvars.Context, awaitable: Awaitable[Any]) -> None:
        self._run, self._awaitable = context.run, awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        run, steps = self._run, self._awaitable.__await__()
        try:
            waits_for = run(next, steps)
            while True:
                try:
                    value = yield waits_for
                except GeneratorExit:
                    close = getattr(steps, "close", None)
                    if close is not None:
                        run(close)
                    raise
                except BaseException as error:  # noqa: BLE001 -- handed on to the body
                    waits_for = run(steps.throw, error)
                else:
                    waits_for = run(steps.send, value)
        except StopIteration as stop:
            return stop.value
