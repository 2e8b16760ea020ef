"""A request that may be sent more than once: each attempt is a call, the client sees one answer.

An attempt that failed is closed like any other call; then, perhaps after a wait, the next one is
opened by the same exchange. Nothing of an answer with an error status reaches the client before
it is known to be the last, and nothing is sent again once the client has got a byte.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import Status
from tollbook.capture.gateway.closing import is_billable
from tollbook.capture.gateway.failures import Failure, upstream_failure
from tollbook.capture.gateway.routing.attempt import AttemptExchange
from tollbook.capture.gateway.routing.policy import Failed, failed_answer
from tollbook.capture.gateway.routing.router import KEY_MISSING

if TYPE_CHECKING:
    from tollbook.capture.gateway.answer import Answer
    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.routing.attempts import Next
    from tollbook.capture.gateway.routing.target import Target
    from tollbook.capture.gateway.upstream import UpstreamConnection
    from tollbook.dialects.base import Header

MAX_HELD_BYTES: Final = 256 * 1024
"""An error answer larger than this goes to the client at once, and is the last."""
_FIRST_ERROR: Final = 300
_SERVER_ERROR: Final = 500
_NOT_MODIFIED: Final = 304
_UNAUTHORIZED: Final = 401
_MAX_REST_S: Final = 60.0
"""Longest time that other targets go first because a provider asked for a pause."""


class RoutedExchange(AttemptExchange):
    """An exchange whose request has a plan: which targets, and what follows a failure."""

    __slots__ = ()

    # from the client

    def client_gone(self) -> None:
        """End the wait for a further attempt; else as for any call."""
        super().client_gone()
        if self._is_closed:
            self._stop_waiting()

    def shut_down(self) -> None:
        """End now."""
        self._stop_waiting()
        super().shut_down()

    # from the pool

    def _dispatch(self) -> None:
        super()._dispatch()
        self._limit_connect()

    def _key_ready(self, refusal: Refusal | None) -> None:
        super()._key_ready(refusal)
        self._limit_connect()

    def connected(self, connection: UpstreamConnection) -> None:
        """Send the request; the target may have a time limit of its own."""
        super().connected(connection)
        self._cancel_timer()
        target = self._target
        if (
            target is not None
            and target.first_byte_timeout_s is not None
            and self._upstream is connection
        ):
            connection.deadline = self._service.wheel.now + target.first_byte_timeout_s

    def _limit_connect(self) -> None:
        target = self._target
        if self.is_waiting and target is not None and target.connect_timeout_s is not None:
            self._timer = asyncio.get_running_loop().call_later(
                target.connect_timeout_s, self._connect_late
            )

    def _connect_late(self) -> None:
        self._timer = None
        if self.is_waiting:
            self._admitted.upstream.pool.leave(self)
            self.connect_failed(TimeoutError())

    # from the upstream connection

    def response_head(
        self, status: int, headers: list[Header], connection: UpstreamConnection
    ) -> None:
        """Take the response head; one with an error is held back while more may follow."""
        super().response_head(status, headers, connection)
        if status < _FIRST_ERROR or status == _NOT_MODIFIED:
            self._judge(is_good=True)
            self._request = b""
            return
        attempts = self._attempts
        self._judge(is_good=status < _SERVER_ERROR, is_timed=False)
        self._is_holding = self._client is not None and attempts is not None and attempts.may_go_on

    def response_fed(self, *, is_complete: bool) -> None:
        """Decide on an error answer that is whole; everything else goes to the client."""
        if self._is_holding:
            answer = self._answer
            assert answer is not None
            if not is_complete and self._client is not None and answer.bytes_in <= MAX_HELD_BYTES:
                return
            self._is_holding = False
            if is_complete and self._follows_answer(answer):
                return
        super().response_fed(is_complete=is_complete)

    def upstream_failed(self, error: Exception | None, *, is_timeout: bool) -> None:
        """Try again where nothing has reached the client; else as for any call."""
        answer = self._answer
        if answer is not None and not self._is_closed:
            self._judge(is_good=False)
            if self._is_holding and self._follows_broken(answer, error, is_timeout=is_timeout):
                return
        super().upstream_failed(error, is_timeout=is_timeout)

    # what follows

    def _fail(self, failure: Failure, *, status: Status = Status.ERROR) -> None:
        """Go on with another attempt if there is one; else answer."""
        failed = _failed_by(failure)
        if failed is not None:
            if failed.cause is not None and failed.cause != "busy":
                self._judge(is_good=False)
            following = self._following(failed)
            if following is not None:
                refusal = failure.refusal
                self._reply_status = refusal.status
                self._close(status, error_type=refusal.error_type, is_billable=failure.is_billable)
                self._go_on(following, failure)
                return
        super()._fail(failure, status=status)

    def _follows_answer(self, answer: Answer) -> bool:
        """Close the attempt that an error answered and go on, if anything follows."""
        metered = answer.metered()
        failed = failed_answer(
            self._admitted.upstream.dialect, answer.status, metered.error_type, answer.table
        )
        self._rest(failed)
        following = self._following(failed)
        if following is None:
            return False
        connection, self._upstream = self._upstream, None
        if connection is not None:
            connection.release()
        self._close(
            Status.ERROR,
            error_type=metered.error_type or f"http_{answer.status}",
            is_billable=is_billable(answer.status, metered),
        )
        self._go_on(following, answer)
        return True

    def _follows_broken(self, answer: Answer, error: Exception | None, *, is_timeout: bool) -> bool:
        """Do the same for an error answer that broke off."""
        name = self._admitted.upstream.name
        failure = upstream_failure(name, error, is_timeout=is_timeout, was_stale=False)
        following = self._following(Failed(failure.cause))
        if following is None:
            return False
        self._upstream = None
        self._close(
            Status.ERROR,
            error_type="upstream_timeout" if is_timeout else "upstream_broken",
            is_billable=is_billable(answer.status, answer.metered()),
        )
        self._go_on(following, failure)
        return True

    def _following(self, failed: Failed) -> Next | None:
        attempts = self._attempts
        if attempts is None or not attempts.count or self._client is None:
            return None
        return attempts.after(failed, asyncio.get_running_loop().time())

    def _go_on(self, following: Next, last: Answer | Failure) -> None:
        """Begin the next attempt, now or after a wait; the present one has been closed."""
        self._last = last
        if following.wait_s > 0:
            self._service.exchanges.add(self)  # a worker that stops waits for it
            self._timer = asyncio.get_running_loop().call_later(
                following.wait_s, self._wake, following.target
            )
        else:
            self._begin_next(following.target)

    def _wake(self, target: Target) -> None:
        self._stop_waiting()
        attempts = self._attempts
        assert attempts is not None
        instead = attempts.instead(target, asyncio.get_running_loop().time())
        if instead is None:
            self._give_last()
        else:
            self._begin_next(instead)

    def _rest(self, failed: Failed) -> None:
        """Let others go first while a provider wants a pause from the gateway's own key."""
        caller = self._admitted.caller
        if failed.retry_after_s and self._target and caller and caller.binding is not None:
            now = asyncio.get_running_loop().time()
            self._target.rests_until = now + min(failed.retry_after_s, _MAX_REST_S)

    def _judge(self, *, is_good: bool, is_timed: bool = True) -> None:
        """Tell the target how this attempt went; a later verdict may only be worse."""
        target = self._target
        if target is None:
            return
        self._has_verdict = True
        after_s = (clock.monotonic_ns() - self._started_ns) / clock.NS_PER_S
        if not is_good:
            target.failed(asyncio.get_running_loop().time(), after_s)
        elif is_timed:
            target.succeeded(after_s)
        else:
            target.breaker.succeeded()


def _failed_by(failure: Failure) -> Failed | None:
    if failure.cause is not None:
        return Failed(failure.cause)
    if failure.refusal.error_type == KEY_MISSING:
        return Failed(status=_UNAUTHORIZED)
    return None
