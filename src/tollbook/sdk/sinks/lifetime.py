"""When a process ends or forks: sinks deliver what they hold, and a child starts with nothing.

Python calls ``atexit`` functions at the end of an ordinary process only. Children that
multiprocessing and Celery's billiard have forked end by ``os._exit`` after their own finalizers,
so a sink that is used in one is registered there too.
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_PRIORITY: Final = 10
"""Of multiprocessing's finalizers: before those that remove its own queues and directories."""


class Lived(Protocol):
    """What has a life within a process."""

    def at_exit(self) -> None:
        """Deliver what can be delivered in a few seconds; must not raise."""

    def after_fork(self) -> None:
        """Start anew in a child: what the parent holds is the parent's to deliver."""


_settlers: list[Callable[[], None]] = []
_living: weakref.WeakSet[Lived] = weakref.WeakSet()
_is_hooked = False


def settle_first(hand_over: Callable[[], None]) -> None:
    """Have a function called before a sink delivers what it holds.

    It hands over what is still on its way to the sink; it must not raise.
    """
    _settlers.append(hand_over)


def settle() -> None:
    """Have handed over what is on its way to a sink, in this process."""
    for hand_over in _settlers:
        hand_over()


def keep(one: Lived) -> None:
    """Have a sink told of the end of this process and of forks."""
    global _is_hooked  # noqa: PLW0603 -- once per process
    _living.add(one)
    if not _is_hooked:
        _is_hooked = True
        atexit.register(_at_exit)
        os.register_at_fork(after_in_child=_after_fork)


def note_use(one: Lived) -> None:
    """Have a sink told of the end of a child that multiprocessing has forked.

    Its registry of finalizers is emptied when a child begins, so this is done on the first use in
    each process.
    """
    for library in ("multiprocessing", "billiard"):
        process = sys.modules.get(f"{library}.process")
        util = sys.modules.get(f"{library}.util")
        if process is None or util is None:
            continue
        if getattr(process.current_process(), "_parent_pid", None) is not None:
            util.Finalize(one, _exit_of(weakref.ref(one)), exitpriority=EXIT_PRIORITY)


class _exit_of:  # noqa: N801 -- a function that holds a weak reference
    def __init__(self, reference: weakref.ref[Lived]) -> None:
        self._reference = reference

    def __call__(self) -> None:
        one = self._reference()
        if one is not None:
            settle()
            one.at_exit()


def _at_exit() -> None:
    settle()
    for one in list(_living):
        one.at_exit()


def _after_fork() -> None:
    for one in list(_living):
        one.after_fork()
