"""How much work a busy process may spend on telling the sections of requests.

A plain conversation costs a few microseconds, but one with tools or parts is read message by
message, which may cost more than all else that a gateway does for it. So a gateway gives an
allowance, and fills it up again and again; with nothing left of it, messages are sampled, and then
not looked at. A dialect knows no clock: what measures the work comes with the allowance. Without
one (the SDK, tests, counting with a tokenizer) everything is read.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class LayerAllowance:
    """Work that may still be done.

    Attributes:
        spare_ns: for reading whole conversations; nanoseconds that nobody else wants.
        share_ns: for sampling them, and for short ones, when there is nothing to spare. Both may
            fall below zero by what the last request took, and the second by all that follow.
        timer: a clock that counts nanoseconds.
    """

    __slots__ = ("share_ns", "spare_ns", "timer")

    def __init__(self, timer: Callable[[], int], *, spare_ns: int = 0, share_ns: int = 0) -> None:
        self.timer = timer
        self.spare_ns = spare_ns
        self.share_ns = share_ns


allowance: Final[ContextVar[LayerAllowance | None]] = ContextVar("layer_allowance", default=None)
"""That of this process; None: whatever it costs."""


def may_read_whole() -> bool:
    """Whether there is anything left for reading a long conversation whole."""
    granted = allowance.get()
    return granted is None or granted.spare_ns > 0
