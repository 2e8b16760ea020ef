"""Identity of whoever enqueued a Dramatiq message, in the worker that processes it."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final, TypeVar

from tollbook.sdk.context import NOBODY, Scope, current
from tollbook.sdk.propagation.carrier import from_payload, to_payload

OPTION: Final = "tollbook"
"""Name of the message option that holds the payload."""

B = TypeVar("B")


def instrument(broker: B) -> B:
    """Carry identity with every message of a broker.

    Retries keep that of the first message; what a message enqueues, in its pipeline too, has the
    message's own. Calling it again does nothing.

    Returns:
        The broker.
    """
    from dramatiq import Middleware  # noqa: PLC0415 -- only for who uses it

    known: Any = broker
    if any(getattr(one, "is_tollbook", False) for one in known.middleware):
        return broker

    class TollbookMiddleware(_Hooks, Middleware):
        """Hooks of a broker."""

    # First before, last after: what other middleware enqueues after a message has its identity.
    first = type(known.middleware[0]) if known.middleware else None
    known.add_middleware(TollbookMiddleware(), before=first)
    return broker


class _Hooks:
    is_tollbook: Final = True

    def __init__(self) -> None:
        self._running = threading.local()

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        del broker, delay
        with contextlib.suppress(Exception):  # a message is enqueued whatever happens here
            if OPTION not in message.options and current() is not NOBODY:
                message.options[OPTION] = to_payload()

    def before_process_message(self, broker: Any, message: Any) -> None:
        del broker
        with contextlib.suppress(Exception):
            work = from_payload(message.options.get(OPTION), job=str(message.actor_name))
            work.__enter__()
            self._stack().append(work)

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        del broker, message, result
        self._end(None if exception is None else type(exception))

    def after_skip_message(self, broker: Any, message: Any) -> None:
        del broker, message
        self._end(None)

    def _end(self, kind: type[BaseException] | None) -> None:
        stack = self._stack()
        if stack:
            stack.pop().__exit__(kind, None, None)

    def _stack(self) -> list[Scope]:
        # Of the thread: a worker thread processes one message at a time.
        if not hasattr(self._running, "stack"):
            self._running.stack = []
        found: list[Scope] = self._running.stack
        return found
