"""Streams that nobody reads to their end.

The garbage collector may find one at any moment, in the midst of a sink that holds its lock; so
the call is not ended there, but handed to a thread of its own. ``SimpleQueue.put`` may be called
from a destructor, and by the thread that is just in it.
"""

from __future__ import annotations

import atexit
import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tollbook.sdk.harness import faults
from tollbook.sdk.sinks import lifetime

if TYPE_CHECKING:
    from tollbook.sdk.harness.watched import Watched

_queue: SimpleQueue[Watched] = SimpleQueue()
_thread: threading.Thread | None = None
_lock = threading.Lock()

drop = _queue.put
"""End a call later, as one whose caller went away."""


def start() -> None:
    """See to it that dropped calls are ended soon."""
    global _thread  # noqa: PLW0603 -- one thread in a process
    if _thread is not None:
        return
    with _lock:
        if _thread is None:
            thread = threading.Thread(target=_run, args=(_queue,), daemon=True)
            thread.name = "tollbook-dropped"
            thread.start()
            _thread = thread


def settle() -> None:
    """End what has been dropped by now."""
    while True:
        try:
            watched = _queue.get_nowait()
        except Empty:
            return
        _end(watched)


def _run(queue: SimpleQueue[Watched]) -> None:
    while True:
        _end(queue.get())


def _end(watched: Watched) -> None:
    try:
        watched.end_early()
    except Exception as error:  # noqa: BLE001 -- the thread goes on
        faults.note("drop", error)


def _after_fork() -> None:
    """Begin anew: threads do not survive a fork, and a queue's lock may have been held."""
    global _queue, _thread, _lock, drop  # noqa: PLW0603 -- as above
    _queue, _thread, _lock = SimpleQueue(), None, threading.Lock()
    drop = _queue.put


os.register_at_fork(after_in_child=_after_fork)
atexit.register(settle)
lifetime.settle_first(settle)
