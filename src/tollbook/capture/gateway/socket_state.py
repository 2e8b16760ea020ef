"""The state of one WebSocket through the gateway, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tollbook import clock, ids
from tollbook.call import CallClosed, Status
from tollbook.capture.gateway.failures import Failure, failure_reply, upstream_failure
from tollbook.capture.gateway.notices import notice
from tollbook.capture.gateway.socket_book import SocketBook
from tollbook.capture.gateway.socket_frames import (
    CLOSE_GOING_AWAY,
    CLOSE_POLICY,
    FrameReader,
    close_frame,
)
from tollbook.capture.gateway.socket_open import admit

if TYPE_CHECKING:
    from tollbook.capture.gateway.credentials.base import Signed
    from tollbook.capture.gateway.service import Service
    from tollbook.capture.gateway.socket_open import Opening
    from tollbook.dialects.base import SocketMeter

logger = logging.getLogger(__name__)

_LINGER_S: Final = 5.0
"""How long the last bytes may take to leave, before a connection is cut."""


class SocketState:
    """See :mod:`tollbook.capture.gateway.socket_session`; an opened session is closed once."""

    def __init__(self, service: Service, client: asyncio.Transport, opening: Opening) -> None:
        self._service = service
        self._client = client
        self._opening = opening
        self._upstream = opening.admitted.upstream
        self._provider: asyncio.Transport | None = None
        self._signed: Signed | None = None
        self._opened, self._facts, self._refusal = admit(service, opening)
        self._started_ns = clock.monotonic_ns()
        self._book = SocketBook(service, self._opened)
        self._meter: SocketMeter | None = self._upstream.dialect.socket_meter(
            opening.admitted.route
        )
        limit = service.config.gateway.max_metered_message_bytes
        self._from_client = FrameReader(is_masked=True, max_message_bytes=limit)
        self._from_provider = FrameReader(is_masked=False, max_message_bytes=limit)
        self._early = b""
        self._up: list[bytes] = []  # held until what they showed is on file
        self._down: list[bytes] = []
        self._bytes_in = 0
        self._http_status = 0
        self._is_open = self._is_ended = self._is_leaving = False
        self._is_client_gone = False
        self._dialing: asyncio.Task[None] | None = None
        self.deadline = 0.0
        self.bucket = 0

    def on_deadline(self) -> None:
        """Give up: no answer to the handshake, or no byte either way for too long."""
        if self._is_ended:
            return
        if self._is_open:
            self._goodbye(Status.OK, "idle_timeout")
            return
        failure = upstream_failure(self._upstream.name, None, is_timeout=True, was_stale=False)
        self._fail(failure._replace(is_billable=False), Status.ERROR)

    def drain(self) -> None:
        """Leave as soon as no response is under way: the worker stops."""
        self._is_leaving = True
        if self._is_open and not self._book.has_open:
            self._goodbye(Status.OK, "gateway_shutdown")

    @property
    def _call_id(self) -> bytes:
        return ids.to_text(self._opened.call_id).encode()

    @property
    def _has_closed(self) -> bool:
        return self._from_client.has_closed or self._from_provider.has_closed

    def _release(self, is_on_file: bool) -> None:  # noqa: FBT001 -- see Turn.then
        """Pass on what was held."""
        del is_on_file
        up, self._up = self._up, []
        down, self._down = self._down, []
        if up and self._provider is not None and not self._provider.is_closing():
            self._provider.write(b"".join(up))
        if down and not self._is_client_gone and not self._client.is_closing():
            self._client.write(b"".join(down))
        if self._is_leaving and not self._is_ended:
            self.drain()

    def _goodbye(self, status: Status, why: str) -> None:
        """Say to both sides that this end goes away, where a frame may stand, and end."""
        if self._is_ended:
            return
        reason = why.replace("_", " ")
        if self._from_provider.is_between_frames:
            self._down.append(close_frame(CLOSE_GOING_AWAY, reason, is_masked=False))
        if self._from_client.is_between_frames:
            self._up.append(close_frame(CLOSE_GOING_AWAY, reason, is_masked=True))
        self._end(status, why)

    def _over_budget(self, *, is_from_client: bool) -> None:
        """End: a response has no room in its budget.

        One that the client asked for is not sent; one that the provider began by itself (it heard
        the end of the caller's speech) is cut. Half a frame may have gone to the provider before,
        so it is told by the end of its connection only.
        """
        if is_from_client:
            self._book.withdraw()
        if self._from_provider.is_between_frames:
            reason = "budget exceeded"
            self._down.append(close_frame(CLOSE_POLICY, reason, is_masked=False))
        self._end(Status.ERROR, "budget_exceeded")

    def _fail(self, failure: Failure, status: Status) -> None:
        """Answer in the provider's own shape instead of a 101, and end."""
        refusal = failure.refusal
        self._http_status = refusal.status
        self._down.append(
            failure_reply(
                refusal, self._upstream.dialect, call_id=self._call_id, keep_alive=False,
                is_head=False,
            )
        )  # fmt: skip
        self._end(status, refusal.error_type, is_billable=False)

    def _end(self, status: Status, error_type: str | None, *, is_billable: bool = True) -> None:
        """Close the calls that are open, then the session's own, then both connections."""
        self._is_ended = True
        service = self._service
        if self._is_open:
            service.metrics.open_streams -= 1
        self._end_responses(status, error_type)
        self._say_unmetered()
        service.turn.append(
            CallClosed(
                call_id=self._opened.call_id,
                closed_at_ns=clock.unix_ns(),
                status=status,
                http_status=self._http_status or None,
                error_type=error_type,
                duration_ns=clock.monotonic_ns() - self._started_ns,
                response_bytes=self._bytes_in,
                is_billable=is_billable,
            )
        )
        service.sockets.discard(self)
        service.wheel.discard(self)
        service.metrics.in_flight -= 1
        service.metrics.request(self._opened.provider, self._opened.operation, self._http_status)
        service.turn.then(self._close)

    def _end_responses(self, status: Status, error_type: str | None) -> None:
        """Close responses that are under way as cut; a Close frame in the middle cuts them too."""
        cut = (Status.CANCELLED if status is Status.OK else status, error_type or "socket_closed")
        if self._meter is not None:
            try:
                self._book.write(self._meter.cut(), cut=cut)
            except Exception as error:  # noqa: BLE001 -- as above
                self._service.report(error)
        self._book.abandon(cut)

    def _say_unmetered(self) -> None:
        """Log what passed without being read; it may have been billed."""
        lost = self._from_client.too_large + self._from_provider.too_large
        is_readable = self._from_client.is_readable and self._from_provider.is_readable
        if lost or not is_readable or self._meter is None:
            self._service.metrics.unread_messages += max(1, lost)
            notice(
                logger, f"socket {self._upstream.name}",
                "provider %s: %d WebSocket messages were not read (too large, or not in plain"
                " frames); what they used is estimated", self._upstream.name, max(1, lost),
            )  # fmt: skip

    def _close(self, is_on_file: bool) -> None:  # noqa: FBT001 -- see Turn.then
        """Write what is left and close both connections: the close frames have been written."""
        self._release(is_on_file)
        if self._dialing is not None and not self._dialing.done() and self._provider is None:
            self._dialing.cancel()
        if self._provider is not None:
            self._provider.close()
        if not self._is_client_gone:
            self._client.close()
        asyncio.get_running_loop().call_later(_LINGER_S, self._abort)

    def _abort(self) -> None:
        """Cut what still has bytes for a peer that takes none."""
        if self._provider is not None:
            self._provider.abort()
        if not self._is_client_gone:
            self._client.abort()
