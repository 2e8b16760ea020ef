"""The order of frames and sends: what one loop turn queued is written before anything it allows.

An open frame must be on file before its request leaves, a close frame before the last byte reaches
the client. Frames and the sends that depend on them are queued, and one callback at the end of the
loop turn writes all frames with one system call, then releases the sends.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tollbook.call import Frame
    from tollbook.capture.gateway.ports import FrameSink

logger = logging.getLogger(__name__)


class Turn:
    """Frames and deferred sends of the current loop turn."""

    __slots__ = ("_call_soon", "_is_scheduled", "_sends", "_spool", "append", "is_on_file")

    def __init__(self, loop: asyncio.AbstractEventLoop, spool: FrameSink) -> None:
        self._call_soon = loop.call_soon
        self._spool = spool
        self._sends: list[Callable[[bool], None]] = []
        self._is_scheduled = False
        self.append: Callable[[Frame], None] = spool.append
        """Queue a frame; always followed by :meth:`then` or :meth:`schedule`."""
        self.is_on_file = True
        """Whether the last flush wrote everything."""

    def then(self, send: Callable[[bool], None]) -> None:
        """Run ``send(is_on_file)`` when the frames queued so far have been written."""
        self._sends.append(send)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self.flush)

    def schedule(self) -> None:
        """Write the queued frames at the end of this turn."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Write the frames, then release the sends, in order."""
        self._is_scheduled = False
        is_on_file = self.is_on_file = self._spool.flush()
        sends = self._sends
        if sends:
            self._sends = []
            for send in sends:
                try:
                    send(is_on_file)
                except Exception:
                    logger.exception("a deferred send failed")
