"""One request between a client and a provider, from its head to its close frame.

A state machine of callbacks: nothing here waits. The client side calls ``head_complete``,
``body_data``, ``body_complete`` and ``client_gone``; the pool and the upstream connection call
what :class:`ProviderSide` has. Whatever happens, an opened call is closed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from tollbook.call import Status
from tollbook.capture.gateway.admission import body_too_large
from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.failures import Failure, budget_refusal
from tollbook.capture.gateway.headers import BUDGET_MODEL
from tollbook.capture.gateway.provider_side import ProviderSide
from tollbook.capture.gateway.routing.retarget import with_model

if TYPE_CHECKING:
    from tollbook.budgets.guard import Guard
    from tollbook.call import CallOpened

_OVERLOADED: Final = Refusal(
    503,
    "spool_unavailable",
    "the gateway cannot record calls right now (strict mode); try again later",
    should_retry=True,
)


class Exchange(ProviderSide):
    """A call, while it lasts: what its client reports."""

    __slots__ = ()

    # from the client

    @property
    def wants_body(self) -> bool:
        """Whether the body is worth asking for and reading."""
        return self._refusal is None

    @property
    def is_body_complete(self) -> bool:
        """Whether the whole request has come."""
        return self._is_body_complete

    def head_complete(self) -> None:
        """Begin: an endpoint that is not inspected is opened before its body has come."""
        if not self._admitted.route.inspects_body and self._refusal is None:
            self._open()

    def body_data(self, data: bytes) -> None:
        """Take body bytes of the client."""
        self._body_bytes += len(data)
        if self._refusal is not None or self._is_closed:
            return
        limit = self._service.admission.max_body_bytes(self._admitted.route)
        if self._watch is not None:
            self._watch.request_data(data)
        if self._body_bytes > limit:
            self._over_limit(limit)
        elif self._opened is None or self._upstream is None:
            self._body.append(data)
            if self._opened is not None and self._client is not None:
                self._client.hold_reading()
        else:
            self._send_up(data)

    def body_complete(self) -> None:
        """Go on: the whole request is here."""
        self._is_body_complete = True
        if self._watch is not None:
            self._watch.request_end()
        if self._opened is None:
            self._open()
        elif self._upstream is not None and self._framing.is_chunked:
            self._upstream.transport.write(b"0\r\n\r\n")

    def refuse(self, refusal: Refusal) -> None:
        """Answer without a provider; the connection is not kept, for the body is incomplete."""
        self.keep_alive = False
        if self._opened is None:
            self._refusal = refusal
            self._open()
        elif not self._is_closed and self._answer is None:
            self._drop_upstream()
            self._fail(Failure(refusal, is_billable=False), status=Status.REJECTED)

    def client_gone(self) -> None:
        """Follow the policy of the route: read on for the usage, or stop paying."""
        self._client = None
        if self._opened is None or self._is_closed:
            return
        answer, upstream = self._answer, self._upstream
        if upstream is None:
            self.is_waiting = False
            self._close(Status.CANCELLED, is_billable=False)
            return
        if answer is not None and answer.is_event_stream and answer.metered().stream_ended:
            self._drop_upstream()
            self._close(Status.OK)
            return
        metrics, gateway = self._service.metrics, self._service.config.gateway
        # A batch that was submitted runs on, and its answer is all that names it.
        drains = self._watch is not None or self._admitted.upstream.policy == "drain"
        drains = drains and self._is_body_complete
        if drains and metrics.draining < gateway.max_draining:
            self._is_draining = True
            metrics.draining += 1
            seen = 0 if answer is None else answer.bytes_in
            self._drain_until = seen + gateway.drain_max_bytes
            wheel = self._service.wheel
            self.deadline = wheel.now + gateway.drain_timeout_s
            wheel.add(self)
            upstream.transport.resume_reading()
            return
        if drains:
            metrics.drains["refused"] = metrics.drains.get("refused", 0) + 1
        self._drop_upstream()
        self._close(Status.CANCELLED)

    def client_paused(self) -> None:
        """Stop reading: the client takes bytes slowly."""
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.pause_reading()
            self._upstream.deadline = 0

    def client_resumed(self) -> None:
        """Read on."""
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()
            self._upstream.deadline = (
                self._service.wheel.now + self._admitted.upstream.settings.idle_timeout_s
            )

    def shut_down(self) -> None:
        """End now: the worker stops and has waited long enough."""
        if self._is_closed or self._opened is None:
            return
        self.is_waiting = False
        was_sent = self._upstream is not None
        self._drop_upstream()
        status = Status.CANCELLED if self._is_draining else Status.ERROR
        self._close(status, error_type="gateway_shutdown", is_billable=was_sent)

    # from the budgets

    def budgets_changed(self, guard: Guard) -> None:
        """Have a call that is under way count in budgets that have come since."""
        is_under_way = self._upstream is not None or self.is_waiting
        if self._opened is not None and not self._is_closed and (is_under_way or self._holds):
            self._holds = guard.adopt(self._opened, self._holds)

    def stop_if_spent(self, guard: Guard) -> None:
        """Cut the call if a rule stops its owner."""
        opened, answer = self._opened, self._answer
        if opened is None or self._is_closed or self._upstream is None:
            return
        refused = guard.stopped(opened)
        if refused is None:
            return
        self._drop_upstream()
        if answer is None:
            self._fail(Failure(budget_refusal(refused), is_billable=True))
        else:
            answer.flush_meter()
            self._broken(answer, "budget_exceeded")

    def _cheaper(self, guard: Guard, opened: CallOpened) -> CallOpened:
        """Ask for the model that a step of a budget names, if one does."""
        found = guard.model_for(opened)
        if found is None or not self._admitted.route.inspects_body:
            return opened
        model, budget = found
        written = with_model(self._admitted, self._facts, model)
        if written is None:
            return opened
        self._admitted, self._facts = written
        self._head_lines += b"%b: %b; budget=%b\r\n" % (
            BUDGET_MODEL, model.encode(), budget.encode(),
        )  # fmt: skip
        stood_for = opened.fallback_from or f"{opened.provider}/{opened.model_requested}"
        return structs.replace(opened, model_sent=model, fallback_from=stood_for)

    # opening

    def _open(self) -> None:
        body = self._body
        data = b"" if not body else body[0] if len(body) == 1 else b"".join(body)
        opened, self._facts, refusal = self._service.admission.at_body(
            self._admitted,
            self.method,
            self.headers,
            data,
            self._framing.content_length or self._body_bytes,
        )
        if self._admitted.route.inspects_body:
            self._body = []
        self._opened_as(opened, refusal)

    def _opened_as(self, opened: CallOpened, refusal: Refusal | None) -> None:
        """Queue the open frame of the call, or of an attempt; what follows waits for it."""
        service = self._service
        guard = service.guard
        if guard is not None and guard.has_models and refusal is None:
            opened = self._cheaper(guard, opened)
        self._opened = opened
        raw = opened.call_id.hex()
        self._call_id = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}".encode()
        service.metrics.in_flight += 1
        service.exchanges.add(self)
        service.turn.append(opened)
        watch = self._admitted.route.watch
        if watch is not None and refusal is None:
            self._watch = service.batches.watch(watch, opened, self.headers)
        if refusal is None:
            refusal = self._refusal
        if refusal is not None:
            self._refusal = refusal
            self._fail(Failure(refusal, is_billable=False), status=Status.REJECTED)
        else:
            service.turn.then(self._release_open)

    def _release_open(self, is_on_file: bool) -> None:  # noqa: FBT001 -- see Turn.then
        """Send the request on: its open frame has been written."""
        self._is_released = True
        if self._is_closed:
            return
        if not is_on_file and self._service.config.gateway.strict:
            self._fail(Failure(_OVERLOADED, is_billable=False), status=Status.REJECTED)
            return
        wishes = self._admitted.wishes
        if wishes is None:
            self._send_on()
        else:
            self._grant(wishes)

    def _over_limit(self, limit: int) -> None:
        self._body = []
        self.refuse(body_too_large(limit))
