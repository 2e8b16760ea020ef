"""Whether a connection is read from: several may want it to rest, each for a reason of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import asyncio

HELD_BY_PEER: Final = 1
"""The other side cannot take more."""
HELD_BY_ORDER: Final = 2
"""A further request has come before its turn."""


class Reading:
    """Pauses a transport while there is any reason to."""

    __slots__ = ("_holds", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._holds = 0

    def is_held_by(self, why: int) -> bool:
        """Whether this reason holds."""
        return bool(self._holds & why)

    def hold(self, why: int) -> None:
        """Stop reading."""
        if not self._holds and not self.transport.is_closing():
            self.transport.pause_reading()
        self._holds |= why

    def release(self, why: int) -> None:
        """Read on, unless another reason holds."""
        if self._holds & why:
            self._holds &= ~why
            if not self._holds and not self.transport.is_closing():
                self.transport.resume_reading()
