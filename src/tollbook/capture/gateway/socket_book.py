"""The calls within a WebSocket: an open frame when a response begins, a close frame at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook import clock, ids
from tollbook.budgets.guard import Hold, Refused
from tollbook.call import CallClosed, CallOpened, Metering, Status
from tollbook.dialects.base import Metered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.capture.gateway.service import Service
    from tollbook.dialects.base import SocketTurn

_SWITCHED = 101
_NOTHING = Metered()


class _Open(NamedTuple):
    opened: CallOpened
    started_ns: int
    holds: tuple[Hold, ...]


class SocketBook:
    """Writes the calls of one session; their ``operation_id`` is the session's call id.

    Each is held and settled in the budgets like any other call.
    """

    __slots__ = ("_open", "_service", "_session", "_withdrawn", "refused")

    def __init__(self, service: Service, session: CallOpened) -> None:
        self._service = service
        self._session = session
        self._open: dict[str, _Open] = {}
        self._withdrawn: frozenset[str] = frozenset()
        self.refused: dict[str, Refused] = {}
        """Responses that a budget has no room for, by key; the session has to end."""

    @property
    def has_open(self) -> bool:
        """Whether a response is under way."""
        return bool(self._open)

    def write(self, turns: Iterable[SocketTurn], *, cut: tuple[Status, str] | None = None) -> None:
        """Queue frames for what began or ended.

        Args:
            turns: from the dialect's meter.
            cut: how the connection ended and why, if that is what ended these.
        """
        for turn in turns:
            if turn.key in self._withdrawn:
                continue
            one = self._open.get(turn.key)
            if one is None:
                one = self._begin(turn)
            if turn.metered is not None:
                del self._open[turn.key]
                self._end(one, turn.metered, turn, cut)

    def withdraw(self) -> None:
        """Close what was refused before its request left: the provider never hears of it."""
        self._withdrawn = frozenset(self.refused)
        for key in self.refused:
            one = self._open.pop(key, None)
            if one is not None:
                cut = (Status.REJECTED, "budget_exceeded")
                self._end(one, _NOTHING, None, cut, is_billable=False)

    def abandon(self, cut: tuple[Status, str]) -> None:
        """Close what the meter no longer knows of."""
        for one in self._open.values():
            self._end(one, _NOTHING, None, cut)
        self._open.clear()

    def _begin(self, turn: SocketTurn) -> _Open:
        session = self._session
        now_ns = clock.unix_ns()
        opened = CallOpened(
            call_id=ids.new_id(now_ns),
            started_at_ns=now_ns,
            identity=session.identity,
            provider=session.provider,
            dialect=session.dialect,
            operation=turn.operation,
            metering=Metering.METERED,
            method=session.method,
            path=session.path,
            model_requested=turn.model,
            is_stream=True,
            trace_id=session.trace_id,
            parent_span_id=session.parent_span_id,
            input_chars=turn.input_chars,
            operation_id=session.call_id,
            route=session.route,
            region=session.region,
        )
        self._service.turn.append(opened)
        self._service.metrics.in_flight += 1
        one = self._open[turn.key] = _Open(
            opened,
            clock.monotonic_ns(),
            () if turn.metered is not None else self._held(turn, opened),
        )
        return one

    def _held(self, turn: SocketTurn, opened: CallOpened) -> tuple[Hold, ...]:
        guard = self._service.guard
        if guard is None:
            return ()
        admitted = guard.admit(opened)
        if isinstance(admitted, Refused):
            self.refused[turn.key] = admitted
            return ()
        return admitted

    def _end(
        self,
        one: _Open,
        metered: Metered,
        turn: SocketTurn | None,
        cut: tuple[Status, str] | None,
        *,
        is_billable: bool = True,
    ) -> None:
        opened, service = one.opened, self._service
        status, error_type = (Status.OK if turn is None else turn.status), metered.error_type
        if cut is not None:
            status, error_type = cut
        closed = CallClosed(
            call_id=opened.call_id,
            closed_at_ns=clock.unix_ns(),
            status=status,
            http_status=_SWITCHED,
            error_type=error_type,
            duration_ns=clock.monotonic_ns() - one.started_ns,
            provider_response_id=metered.provider_response_id,
            model_actual=metered.model_actual,
            service_tier=metered.service_tier,
            usage=metered.usage,
            usage_complete=metered.usage_complete,
            output_chars=metered.output_chars,
            output_events=metered.output_events,
            is_billable=is_billable if turn is None else turn.is_billable,
        )
        guard = service.guard
        if one.holds:
            assert guard is not None
            guard.settle(one.holds, opened, closed)
            if service.room is not None:
                service.room.wake()
        elif guard is not None:
            guard.charge(opened, closed)
        service.turn.append(closed)
        service.metrics.in_flight -= 1
        service.metrics.request(opened.provider, opened.operation, _SWITCHED)
        service.turn.schedule()
