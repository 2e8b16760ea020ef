"""A call from open to close: what is known of it, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tollbook import clock
from tollbook.budgets.guard import Refused
from tollbook.call import CallOpened, Status
from tollbook.capture.gateway.admission import NO_FACTS, Admitted
from tollbook.capture.gateway.closing import close_frame
from tollbook.capture.gateway.failures import Failure, budget_refusal, failure_reply
from tollbook.capture.gateway.outgoing import signer_of

if TYPE_CHECKING:
    from tollbook.budgets.guard import Hold
    from tollbook.capture.batch.answer_watch import AnswerWatch
    from tollbook.capture.batch.watch import BatchWatch
    from tollbook.capture.gateway.answer import Answer
    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.client import ClientConnection
    from tollbook.capture.gateway.credentials.base import Signed
    from tollbook.capture.gateway.framing import Framing
    from tollbook.capture.gateway.service import Service
    from tollbook.capture.gateway.upstream import UpstreamConnection
    from tollbook.capture.gateway.wished_answer import Keeping, WishedAnswer
    from tollbook.dialects.base import Header, RequestFacts


class OpenCall:
    """The state of one call; an opened one is closed exactly once."""

    __slots__ = (
        "_admitted", "_answer", "_body", "_body_bytes", "_call_id", "_client", "_drain_until",
        "_facts", "_first_token_ns", "_framing", "_has_retried", "_head_lines", "_held", "_holds",
        "_is_body_complete", "_is_closed", "_is_draining", "_is_released", "_keeping", "_opened",
        "_refusal", "_replay", "_reply_status", "_service", "_signed", "_started_ns", "_upstream",
        "_watch", "bucket", "deadline", "headers", "is_head", "is_http_10", "is_waiting",
        "keep_alive", "method",
        "wait_until",
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
        self._service = service
        self._client: ClientConnection | None = client
        self.method = method
        self.headers = headers
        self.is_head = method == "HEAD"
        self.is_http_10 = is_http_10
        self.keep_alive = keep_alive
        self._admitted = admitted
        self._framing = framing
        self._facts: RequestFacts = NO_FACTS
        self._refusal = admitted.refusal
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._is_body_complete = False
        self._opened: CallOpened | None = None
        self._call_id = b""
        self._started_ns = clock.monotonic_ns()
        self._first_token_ns: int | None = None
        self._upstream: UpstreamConnection | None = None
        self._answer: Answer | None = None
        self._watch: BatchWatch | AnswerWatch | None = None
        self._replay: bytes | None = None
        self._signed: Signed | None = None
        self._keeping: Keeping | None = None
        self._holds: tuple[Hold, ...] = ()
        self._held = self._head_lines = b""  # held back; header lines of the gateway's own
        self._reply_status = 0
        self._has_retried = self._is_closed = self._is_draining = self._is_released = False
        self._drain_until = 0
        self.is_waiting = False
        self.wait_until = 0.0
        self.deadline = 0.0
        self.bucket = 0

    def _send_on(self) -> None:
        """Get a connection, and before it room in the budgets, and a key that is not at hand."""
        guard = self._service.guard
        if guard is not None:
            assert self._opened is not None
            admitted = guard.admit(self._opened)
            if isinstance(admitted, Refused):
                if admitted.wait_s:
                    self._service.waiting_room(guard).wait(self._opened, admitted, self._waited)
                else:
                    self._over_budget(admitted)
                return
            self._holds = admitted
        self._dispatch()

    def _waited(self, admitted: tuple[Hold, ...] | Refused) -> None:
        """Go on, or not: the wait for room in the budgets is over."""
        if isinstance(admitted, Refused):
            if not self._is_closed:
                self._over_budget(admitted)
            return
        if self._is_closed:
            assert self._service.guard is not None
            assert self._opened is not None
            self._service.guard.release(admitted, self._opened)
            return
        self._holds = admitted
        self._dispatch()

    def _over_budget(self, refused: Refused) -> None:
        refusal = budget_refusal(refused)
        self._fail(Failure(refusal, is_billable=False), status=Status.REJECTED)

    def _dispatch(self) -> None:
        upstream = self._admitted.upstream
        signer = None if upstream.signer is None else signer_of(self._admitted)
        if signer is None:
            waiter: Any = self  # what else a waiter has, ProviderSide has
            upstream.pool.acquire(waiter)
        else:
            signer.when_ready(self._key_ready)

    def _key_ready(self, refusal: Refusal | None) -> None:
        """Go on: the provider's key is there, or it is known why there is none."""
        if self._is_closed:
            return
        if refusal is not None:
            self._fail(Failure(refusal, is_billable=False))
        else:
            waiter: Any = self
            self._admitted.upstream.pool.acquire(waiter)

    def _release_close(self, is_on_file: bool) -> None:  # noqa: FBT001 -- see Turn.then
        """Give the client the last bytes: the close frame has been written."""
        del is_on_file
        client, self._client = self._client, None
        if client is not None:
            client.finish(self._held, keep_alive=self.keep_alive and self._is_body_complete)
        self._held = b""

    def _fail(self, failure: Failure, *, status: Status = Status.ERROR) -> None:
        """Answer in the provider's own shape and close the call."""
        refusal = failure.refusal
        if self._is_draining:
            self._drained("broken")
            status = Status.CANCELLED
        keeps = self.keep_alive and self._is_body_complete and not self._service.is_draining
        self.keep_alive = keeps
        self._reply_status = refusal.status
        self._held = failure_reply(
            refusal,
            self._admitted.upstream.dialect,
            call_id=self._call_id,
            keep_alive=keeps,
            is_head=self.is_head,
            lines=self._head_lines,
        )
        self._close(status, error_type=refusal.error_type, is_billable=failure.is_billable)
        self._service.turn.then(self._release_close)

    def on_deadline(self) -> None:
        """Stop reading on for a client that has gone."""
        if self._is_draining and not self._is_closed:
            self._drained("timeout")
            self._drop_upstream()
            self._close(Status.CANCELLED)

    def _drained(self, outcome: str) -> None:
        metrics = self._service.metrics
        metrics.draining -= 1
        metrics.drains[outcome] = metrics.drains.get(outcome, 0) + 1
        self._service.wheel.discard(self)

    def _drop_upstream(self) -> None:
        connection, self._upstream = self._upstream, None
        if connection is not None:
            connection.abandon()

    def _close(
        self, status: Status, *, error_type: str | None = None, is_billable: bool = True
    ) -> None:
        """Queue the close frame."""
        opened, answer, service = self._opened, self._answer, self._service
        assert opened is not None
        if self._is_closed:
            return
        self._is_closed = True
        self._replay = None
        self._body = []
        service.exchanges.discard(self)
        metrics = service.metrics
        metrics.in_flight -= 1
        if answer is not None and answer.is_event_stream:
            metrics.open_streams -= 1
        http_status = self._reply_status if answer is None else answer.status
        metrics.request(opened.provider, opened.operation, http_status)
        closed = close_frame(
            opened,
            answer,
            self._admitted.upstream.dialect,
            status=status,
            http_status=http_status or None,
            error_type=error_type,
            first_token_ns=self._first_token_ns,
            started_ns=self._started_ns,
            is_billable=is_billable,
        )
        left = None
        if self._holds:
            assert service.guard is not None
            service.guard.settle(self._holds, opened, closed)
            if service.room is not None:
                service.room.wake()
            if answer is not None and answer.is_wished:
                left = service.guard.remaining(self._holds)
        if answer is not None and answer.is_wished:
            closed = cast("WishedAnswer", answer).ended(opened, closed, left)
        service.turn.append(closed)
        service.turn.schedule()
