"""How much work a busy process may spend on telling the sections of requests.

A plain conversation costs a few microseconds, but one with tools or parts is read message by
message, which may cost more than all else that a gateway does for it. So a gateway gives an
allowance, and fills it up again and again. All that is read is taken off it; as less is left,
messages are sampled, then not looked at, and at last nothing is said of a request at all. A dialect
knows no clock: what measures the work comes with the allowance. Without one (the SDK, tests,
counting with a tokenizer) everything is read.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec

from tollbook.dialects.request_layers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.dialects.request_layers import Layered


COST_PERCENT: Final = 160
"""What reading costs the process, of the time that it takes: the code and the bytes that it goes
through are then in the processor's caches instead of all else. Measured as the difference in
processor time between saturated gateways that read and that do not, by what was reckoned."""


class LayerAllowance:
    """Work that may still be done.

    Attributes:
        spare_ns: for reading everything; nanoseconds that nobody else wants.
        share_ns: for all reading when there is nothing to spare. Both may fall below zero by what
            the last request took; with neither, nothing is read.
        reserve_ns: the last part of the share; of it, no messages of agents are read.
        timer: a clock that counts nanoseconds.
    """

    __slots__ = ("reserve_ns", "share_ns", "spare_ns", "timer")

    def __init__(
        self,
        timer: Callable[[], int],
        *,
        spare_ns: int = 0,
        share_ns: int = 0,
        reserve_ns: int = 0,
    ) -> None:
        self.timer = timer
        self.spare_ns = spare_ns
        self.share_ns = share_ns
        self.reserve_ns = reserve_ns


allowance: Final[ContextVar[LayerAllowance | None]] = ContextVar("layer_allowance", default=None)
"""That of this process; None: whatever it costs."""

_Parts = ParamSpec("_Parts")


def limited(read: Callable[_Parts, Layered]) -> Callable[_Parts, Layered]:
    """Let a reader of sections read as long as it may, and take what that costs off the allowance.

    Every dialect's reader has this, so that no kind of request is read without being reckoned.
    """

    @wraps(read)
    def within(*parts: _Parts.args, **named: _Parts.kwargs) -> Layered:
        granted = allowance.get()
        if granted is None:
            return read(*parts, **named)
        if granted.spare_ns > 0:
            began_ns = granted.timer()
            found = read(*parts, **named)
            granted.spare_ns -= (granted.timer() - began_ns) * COST_PERCENT // 100
            return found
        if granted.share_ns <= 0:
            return UNKNOWN
        began_ns = granted.timer()
        found = read(*parts, **named)
        granted.share_ns -= (granted.timer() - began_ns) * COST_PERCENT // 100
        return found

    return within


def may_read_whole() -> bool:
    """Whether there is anything left for reading a long conversation whole."""
    granted = allowance.get()
    return granted is None or granted.spare_ns > 0
