"""One WebSocket through the gateway, from the client's handshake to the end of both connections.

Bytes pass unchanged in both directions while a reader of frames looks on. What the dialect's meter
finds is booked before the bytes that showed it go on, as everywhere in the gateway: an open frame
before a request leaves, a close frame before the end of the answer reaches the client.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tollbook.call import Status
from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.failures import (
    Failure,
    budget_refusal,
    connect_failure,
    upstream_failure,
)
from tollbook.capture.gateway.headers import STATUS_LINES, response_fields
from tollbook.capture.gateway.outgoing import signed, signer_of
from tollbook.capture.gateway.socket_handshake import (
    accept_problem,
    switching_protocols,
    upgrade_lines,
)
from tollbook.capture.gateway.socket_sides import ClientSide, ProviderSide
from tollbook.capture.gateway.socket_state import SocketState
from tollbook.capture.gateway.upstream import ProtocolError

if TYPE_CHECKING:
    from tollbook.budgets.guard import Guard
    from tollbook.capture.gateway.service import Service
    from tollbook.capture.gateway.socket_frames import FrameReader
    from tollbook.capture.gateway.socket_open import Opening
    from tollbook.dialects.base import Header, SocketMeter

_MAX_EARLY_BYTES: Final = 65_536
"""What a client may send before the provider has agreed."""
_SWITCHED: Final = 101
_OVERLOADED: Final = Refusal(
    503, "spool_unavailable",
    "the gateway cannot record calls right now (strict mode); try again later", True,
)  # fmt: skip


class SocketSession(SocketState):
    """See :class:`tollbook.capture.gateway.socket_sides.Tunnel`."""

    def __init__(self, service: Service, client: asyncio.Transport, opening: Opening) -> None:
        super().__init__(service, client, opening)
        self.client_side = ClientSide(self)

    def start(self, early: bytes) -> None:
        """Begin, when the client's connection belongs to this session."""
        service = self._service
        self._early = early
        service.metrics.in_flight += 1
        service.sockets.add(self)
        service.wheel.add(self)
        service.turn.append(self._opened)
        if self._refusal is not None:
            self._fail(Failure(self._refusal, is_billable=False), Status.REJECTED)
        else:
            service.turn.then(self._release_open)

    def _release_open(self, is_on_file: bool) -> None:  # noqa: FBT001 -- see Turn.then
        if self._is_ended:
            return
        if not is_on_file and self._service.config.gateway.strict:
            self._fail(Failure(_OVERLOADED, is_billable=False), Status.REJECTED)
            return
        guard = self._service.guard
        refused = None if guard is None else guard.may_open(self._opened)
        if refused is not None:
            self._fail(Failure(budget_refusal(refused), is_billable=False), Status.REJECTED)
            return
        signer = signer_of(self._opening.admitted)
        if signer is None:
            self._dial(None)
        else:
            signer.when_ready(self._dial)

    def _dial(self, refusal: Refusal | None) -> None:
        """Connect: the provider's key is there, or it is known why there is none."""
        if self._is_ended:
            return
        if refusal is not None:
            self._fail(Failure(refusal, is_billable=False), Status.ERROR)
            return
        self._dialing = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        admitted, upstream = self._opening.admitted, self._upstream
        try:
            side = await upstream.dialer.dial(lambda: ProviderSide(self))
        except Exception as error:  # noqa: BLE001 -- whatever it was, the client must hear of it
            if not self._is_ended:
                self._fail(connect_failure(upstream.name, error), Status.ERROR)
            return
        if self._is_ended:
            side.transport.abort()
            return
        self._provider = side.transport
        self._signed = credential = signed(admitted, self._facts, "GET")
        pieces = [b"GET ", upstream.path_prefix, admitted.target, upstream.host_line]
        pieces += [*admitted.lines, self._facts.lines]
        if credential is not None:
            pieces.append(credential.lines)
        self._provider.write(upgrade_lines(pieces))
        self.deadline = self._service.wheel.now + upstream.settings.first_byte_timeout_s

    def stop_if_spent(self, guard: Guard) -> None:
        """End the session if a rule stops its owner."""
        if not self._is_ended and self._is_open and guard.stopped(self._opened) is not None:
            self._over_budget(is_from_client=False)

    # from the provider's side

    def provider_accepted(self, headers: list[Header], rest: bytes) -> None:
        """Give the client its 101 and let bytes pass."""
        problem = accept_problem(self._opening.handshake.key, dict(headers))
        if problem is not None:
            self.provider_lost(ProtocolError(problem))
            return
        self._is_open = True
        self._http_status = _SWITCHED
        if self._signed is not None:
            self._signed.answered(_SWITCHED, {})
        self._service.metrics.open_streams += 1
        self._client.write(switching_protocols(headers, self._call_id))
        early, self._early = self._early, b""
        self._touch()
        self._client.resume_reading()
        if rest:
            self.provider_data(rest)
        if early:
            self.client_data(early)
        if self._service.is_draining:
            self.drain()

    def provider_declined(self, status: int, headers: list[Header], body: bytes) -> None:
        """Give the client the provider's own refusal, and end."""
        if self._is_ended:
            return
        self._http_status = status
        if self._signed is not None:
            self._signed.answered(status, dict(headers))
        pieces = [STATUS_LINES[status], b"x-tollbook-call-id: ", self._call_id, b"\r\n"]
        pieces += response_fields(headers, frozenset())
        pieces.append(b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        self._down.append(b"".join(pieces))
        self._end(Status.ERROR, f"http_{status}", is_billable=False)

    def provider_data(self, data: bytes) -> None:
        """Look at bytes of the provider and pass them on."""
        self._bytes_in += len(data)
        if self._pass(data, self._from_provider, self._down, is_from_client=False):
            self._client.write(data)

    def provider_lost(self, error: Exception | None) -> None:
        """End: the provider closed in order, or broke off."""
        if self._is_ended:
            return
        provider, self._provider = self._provider, None
        if not self._is_open:
            if provider is not None:
                provider.abort()
            failure = upstream_failure(self._upstream.name, error, is_timeout=False, was_stale=True)
            self._fail(failure, Status.ERROR)
        elif self._has_closed:
            self._end(Status.OK, None)
        else:
            self._end(Status.ERROR, "upstream_broken")

    def provider_is_slow(self, *, is_slow: bool) -> None:
        """Stop reading from the client, or read on."""
        _rest(self._client, is_slow=is_slow)

    # from the client's side

    def client_data(self, data: bytes) -> None:
        """Look at bytes of the client and pass them on."""
        if self._is_ended:
            return
        if not self._is_open:
            self._early += data
            if len(self._early) > _MAX_EARLY_BYTES:
                self._client.pause_reading()
            return
        provider = self._provider
        if (
            self._pass(data, self._from_client, self._up, is_from_client=True)
            and provider is not None
        ):
            provider.write(data)

    def client_lost(self) -> None:
        """End: the client closed in order, or hung up."""
        self._is_client_gone = True
        self._service.metrics.connections -= 1
        if self._is_ended:
            return
        if self._has_closed:
            self._end(Status.OK, None)
        else:
            self._end(Status.CANCELLED, "client_gone", is_billable=self._is_open)

    def client_is_slow(self, *, is_slow: bool) -> None:
        """Stop reading from the provider, or read on."""
        if self._provider is not None:
            _rest(self._provider, is_slow=is_slow)

    # for the service

    def shut_down(self) -> None:
        """End now: the worker stops and has waited long enough."""
        if self._is_open:
            self._goodbye(Status.ERROR, "gateway_shutdown")
        elif not self._is_ended:
            self._end(Status.ERROR, "gateway_shutdown", is_billable=False)

    # internals

    def _touch(self) -> None:
        gateway = self._service.config.gateway
        self.deadline = self._service.wheel.now + gateway.socket_idle_timeout_s

    def _pass(
        self, data: bytes, reader: FrameReader, held: list[bytes], *, is_from_client: bool
    ) -> bool:
        """Look at bytes; return whether they may go on at once."""
        if self._is_ended:
            return False
        self._touch()
        has_turns = False
        meter = self._meter
        if meter is not None:
            messages = reader.feed(data)
            if messages:
                has_turns = self._look(meter, messages, is_from_client=is_from_client)
        if has_turns and self._book.refused:
            self._over_budget(is_from_client=is_from_client)
            return False
        if not has_turns and not held:
            return True
        held.append(data)
        if len(held) == 1:
            self._service.turn.then(self._release)
        return False

    def _look(self, meter: SocketMeter, messages: list[bytes], *, is_from_client: bool) -> bool:
        try:
            for message in messages:
                if is_from_client:
                    meter.from_client(message)
                else:
                    meter.from_provider(message)
            turns = meter.turns()
        except Exception as error:  # noqa: BLE001 -- metering must not stop the session
            self._service.report(error)
            self._meter = None
            return False
        self._book.write(turns)
        return bool(turns)


def _rest(transport: asyncio.Transport, *, is_slow: bool) -> None:
    if transport.is_closing():
        return
    if is_slow:
        transport.pause_reading()
    else:
        transport.resume_reading()
