"""The attempts of an exchange: each begun as a call of its own, and ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import structs

from tollbook import clock
from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.exchange import Exchange
from tollbook.capture.gateway.failures import Failure, failure_reply
from tollbook.capture.gateway.headers import ATTEMPTS
from tollbook.capture.gateway.routing.attempts import Attempts
from tollbook.capture.gateway.routing.retarget import (
    OWN_KEY,
    admitted_for,
    circuit_open,
    with_model,
)

if TYPE_CHECKING:
    from tollbook.call import CallOpened, Status
    from tollbook.capture.gateway.admission import Admitted
    from tollbook.capture.gateway.answer import Answer
    from tollbook.capture.gateway.client import ClientConnection
    from tollbook.capture.gateway.framing import Framing
    from tollbook.capture.gateway.routing.plan import Plan
    from tollbook.capture.gateway.routing.target import Target
    from tollbook.capture.gateway.service import Service
    from tollbook.dialects.base import Header, RequestFacts


class AttemptExchange(Exchange):
    """The state of an exchange with a plan, and how its attempts begin and end."""

    __slots__ = (
        "_attempts", "_first_id", "_has_verdict", "_is_holding", "_keeps", "_last",
        "_lead", "_plan", "_request", "_target", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        service: Service,
        client: ClientConnection,
        method: str,
        headers: list[Header],
        admitted: Admitted,
        framing: Framing,
        *,
        is_http_10: bool,
        keep_alive: bool,
    ) -> None:
        super().__init__(
            service, client, method, headers, admitted, framing,
            is_http_10=is_http_10, keep_alive=keep_alive,
        )  # fmt: skip
        self._lead = admitted  # by the rules that the head was first read by
        self._keeps = keep_alive
        self._request = b""  # the body as it came, until no further attempt can follow
        self._plan: Plan | None = None
        self._attempts: Attempts | None = None
        self._target: Target | None = None  # of the present attempt
        self._first_id: bytes | None = None
        self._last: Answer | Failure | None = None  # what the attempt before ended with
        self._has_verdict = False  # the target has been told how the present attempt went
        self._is_holding = False  # an error answer is kept from the client
        self._timer: asyncio.TimerHandle | None = None

    def _open(self) -> None:
        """Choose route and target: the request is here, and it is known who asks."""
        self._keeps = self.keep_alive
        self._request = b"".join(self._body)
        self._body = []
        opened, self._facts, refusal = self._read(self._lead)
        refusal = refusal or self._refusal
        if refusal is None:
            routing = self._lead.routing
            assert routing is not None
            plan = routing.plan_for(opened.model_requested)
            if isinstance(plan, Refusal):
                refusal = plan
            else:
                chosen = self._choose(plan, opened)
                if not isinstance(chosen, Refusal):
                    self._begin(chosen, opened)
                    return
                refusal = chosen
                opened = structs.replace(opened, route=plan.route_name)
        self._opened_as(opened, refusal)

    def _choose(self, plan: Plan, opened: CallOpened) -> Target | Refusal:
        """Return the first target, or why there is none."""
        caller = self._lead.caller
        has_own_key = (
            caller is not None and caller.binding is None and caller.api_key_id is not None
        )
        if has_own_key and not plan.is_single_origin:
            return OWN_KEY
        now, random = asyncio.get_running_loop().time(), self._service.router.random
        self._plan = plan
        self._attempts = Attempts(plan, plan.ordered(opened, random, now), random)
        return self._attempts.first(now) or circuit_open(plan, now)

    def _body_asked(self) -> bytes:
        """Return the body as it came: targets may have been asked for another model."""
        return self._request

    def _read(self, admitted: Admitted) -> tuple[CallOpened, RequestFacts, Refusal | None]:
        return self._service.admission.at_body(
            admitted,
            self.method,
            self.headers,
            self._request,
            self._framing.content_length or self._body_bytes,
        )

    def _begin(self, target: Target, opened: CallOpened | None = None) -> None:
        """Open an attempt; ``opened`` is what the lead's rules have just made of the request."""
        admitted = admitted_for(
            self._service.admission, self._lead, target, self.method, self.headers, self._framing
        )
        refusal = None
        if opened is None or admitted is not self._lead:
            opened, self._facts, refusal = self._read(admitted)
        if target.model is not None and refusal is None:
            written = with_model(admitted, self._facts, target.model)
            if written is not None:
                admitted, self._facts = written
                opened = structs.replace(opened, model_sent=target.model)
        self._admitted = admitted
        self._target = target
        self._has_verdict = False
        opened = self._as_attempt(opened, target)
        target.begin()
        self._opened_as(opened, refusal)

    def _as_attempt(self, opened: CallOpened, target: Target) -> CallOpened:
        """Return the open frame with its place among the attempts; count it."""
        attempts, plan, before = self._attempts, self._plan, self._opened
        assert attempts is not None
        assert plan is not None
        attempts.begin(target)
        fallback_from = None
        if target is not attempts.primary:
            fallback_from = attempts.primary.named(opened.model_requested)
            target.fallbacks += 1
        if before is None:
            self._first_id = opened.call_id
            if plan.route_name is None:
                return opened
            return structs.replace(opened, route=plan.route_name, fallback_from=fallback_from)
        target.retries += 1
        self._head_lines = b"%b: %d\r\n" % (ATTEMPTS, attempts.count)
        return structs.replace(
            opened,
            attempt=opened.attempt + attempts.count - 1,
            operation_id=self._first_id,
            retry_of=before.call_id,
            fallback_from=fallback_from,
            route=plan.route_name,
        )

    def _begin_next(self, target: Target) -> None:
        """Begin a further attempt: nothing of the one before is left but its call id."""
        self._is_closed = self._is_released = self._has_retried = self._is_holding = False
        self._answer = self._first_token_ns = self._replay = self._signed = None
        self._refusal = None
        self._holds = ()
        self._reply_status = 0
        self._started_ns = clock.monotonic_ns()
        self.keep_alive = self._keeps
        self._begin(target)

    def _close(
        self, status: Status, *, error_type: str | None = None, is_billable: bool = True
    ) -> None:
        """Queue the close frame; the target's part in the attempt is over."""
        was_closed = self._is_closed
        super()._close(status, error_type=error_type, is_billable=is_billable)
        target = self._target
        if not was_closed and target is not None:
            self._cancel_timer()
            self._target = None
            if not self._has_verdict:
                target.breaker.abandoned()
            target.end()

    def _give_last(self) -> None:
        """Answer with what the last attempt ended with: the next one cannot be made after all."""
        client, self._client = self._client, None
        last, self._last = self._last, None
        assert last is not None
        keeps = self.keep_alive and not self._service.is_draining
        if isinstance(last, Failure):
            data = failure_reply(
                last.refusal,
                self._admitted.upstream.dialect,
                call_id=self._call_id,
                keep_alive=keeps,
                is_head=self.is_head,
                lines=self._head_lines,
            )
        else:
            data = last.take(is_complete=True)
        if client is not None:
            client.finish(data, keep_alive=keeps)

    def _stop_waiting(self) -> None:
        """Leave the wait for a further attempt, if it is one."""
        if self._is_closed and self._timer is not None:
            self._service.exchanges.discard(self)
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
