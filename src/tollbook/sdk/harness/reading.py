"""Calls that have ended and are still to be read: by a thread of its own, soon.

Reading a request and its answer takes longer than all else that the harness does for a call. Where
the sink tells of whole calls only, nobody waits for it, so the caller need not either. What waits
is bounded in number, and each in size; what does not fit is read at once, by whoever made the call.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from tollbook.sdk.sinks import lifetime

if TYPE_CHECKING:
    from tollbook.sdk.harness.watched import Watched

WAITING_MAX: Final = 64
"""With bodies and answers of 256 KiB at most each, 32 MiB."""
_LINGER_S: Final = 0.01
"""A thread that is woken for each call costs the caller more than one that looks a little later."""
_BREATH_S: Final = 0.00005
"""Between two calls others may run: a thread that waits for the interpreter gets it at once only
from one that sleeps."""
_MANY: Final = 16
"""While so many wait there is none: a caller that never waits leaves the interpreter seldom."""
_SETTLE_S: Final = 5.0

_waiting: deque[Watched] = deque()
_wake: SimpleQueue[None] = SimpleQueue()
_thread: threading.Thread | None = None
_starting = threading.Lock()
_at_work = threading.RLock()  # held while a call is read; its thread may come back here by a sink
_is_asleep = True
_is_ending = False


def put(watched: Watched) -> bool:
    """Have a call read that has ended; False where it is to be read by the caller instead."""
    global _is_asleep  # noqa: PLW0603 -- one thread in a process
    if len(_waiting) >= WAITING_MAX or _is_ending or (_thread is None and not _start()):
        return False
    _waiting.append(watched)
    if _is_asleep:
        _is_asleep = False
        _wake.put(None)
    return True


def settle() -> None:
    """Read what waits, and wait for what is just being read."""
    _drain(0)
    if _at_work.acquire(timeout=_SETTLE_S):
        _at_work.release()


def _drain(pause_s: float) -> None:
    pause = threading.Event() if pause_s else None
    while True:
        with _at_work:
            try:
                watched = _waiting.popleft()
            except IndexError:
                return
            watched.tell()
        if pause is not None and len(_waiting) < _MANY:
            pause.wait(pause_s)


def _start() -> bool:
    global _thread  # noqa: PLW0603 -- as above
    with _starting:
        if _thread is None:
            thread = threading.Thread(target=_run, args=(_wake,), daemon=True)
            thread.name = "tollbook-reading"
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, or there are too many
                return False
            _thread = thread
    return True


def _run(wake: SimpleQueue[None]) -> None:
    global _is_asleep  # noqa: PLW0603 -- as above
    pause = threading.Event()
    while True:
        _is_asleep = True
        if not _waiting:  # looked at after saying so: whoever comes in between wakes it
            wake.get()
        _is_asleep = False
        pause.wait(_LINGER_S)
        _drain(_BREATH_S)


def _after_fork() -> None:
    """Begin anew: what waits is the parent's to tell, and threads do not survive a fork."""
    global _waiting, _wake, _thread, _starting, _at_work, _is_asleep
    _waiting, _wake, _thread = deque(), SimpleQueue(), None
    _starting, _at_work, _is_asleep = threading.Lock(), threading.RLock(), True


def _at_exit() -> None:
    """Read what waits; what ends still later is read at once."""
    global _is_ending  # noqa: PLW0603 -- as above
    _is_ending = True
    settle()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
lifetime.settle_first(settle)
