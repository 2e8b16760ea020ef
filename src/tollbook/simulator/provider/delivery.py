"""Sends one answer, with its fault, and writes what became of it to the truth log."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tollbook import clock
from tollbook.money import usd_text
from tollbook.simulator.faults import ERROR_STATUS, STREAM_ONLY
from tollbook.simulator.pricelist import Model, Quantities, price
from tollbook.simulator.provider.answers import Answer, Event, Generation, Plain
from tollbook.simulator.truth import Ended, TruthLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.simulator.faults import Fault
    from tollbook.simulator.provider.answers import Header
    from tollbook.simulator.provider.http import Exchange

_EVENTS_PER_TURN = 4
_BREAK_PAUSE_S = 0.02  # lets what was sent arrive before a reset throws away what is on its way
_FRAGMENT_BYTES = 7
_GZIP_WBITS = 31  # zlib's largest window, with gzip's header and trailer


class _Compressor(Protocol):
    """What zlib.compressobj returns."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes in."""

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes:
        """Give bytes out."""


class Deed(NamedTuple):
    """The fixed facts of one arrival."""

    attempt_id: str
    provider_request_id: str
    log: TruthLog
    fault: Fault | None
    on_end: Callable[[], None]


class Delivery:
    """Sends one answer. Created when the answer is known; :meth:`start` begins."""

    def __init__(
        self, exchange: Exchange, answer: Answer, headers: list[Header], deed: Deed
    ) -> None:
        self._exchange = exchange
        self._answer = answer
        self._headers = headers
        self._deed = deed
        self._answer_events = () if isinstance(answer, Plain) else answer.events
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._at = 0  # next event
        self._content_sent = 0
        self._visible = self._reasoning = 0  # generated so far
        self._final_usage_sent = False
        self._compressor = self._make_compressor()
        self._is_started = False
        self._is_ended = False
        self._waits_for_room = False
        exchange.listener = self

    @property
    def _kind(self) -> str | None:
        return self._deed.fault.kind if self._deed.fault else None

    def _make_compressor(self) -> _Compressor | None:
        accepted = self._exchange.request.headers.get("accept-encoding", "")
        if self._kind != "gzip" or "gzip" not in accepted:
            return None
        self._headers.append((b"content-encoding", b"gzip"))
        return zlib.compressobj(wbits=_GZIP_WBITS)

    def start(self) -> None:
        """Send, at once or after the fault's delay."""
        fault = self._deed.fault
        if fault is not None and fault.kind in ("slow_first_byte", "hang"):
            after = self._hang_up if fault.kind == "hang" else self._send
            self._timer = self._loop.call_later(fault.delay_ms / 1000, after)
        else:
            self._send()

    def _hang_up(self) -> None:
        self._end("cut", None, billed=None)
        self._exchange.break_off(reset=False)

    def _send(self) -> None:
        self._timer = None
        if isinstance(self._answer, Plain):
            self._send_plain(self._answer)
            return
        if self._kind == "empty_stream":
            self._end("cut", 200, billed=None)
            head = self._exchange.start(200, [self._media_type(), *self._headers], None)
            self._exchange.write(head + self._exchange.last())
            self._exchange.finish()
            return
        self._is_started = True
        self._exchange.write(self._exchange.start(200, [self._media_type(), *self._headers], None))
        self._pump()

    def _media_type(self) -> Header:
        assert not isinstance(self._answer, Plain)
        return (b"content-type", self._answer.media_type)

    # -- plain answers ---------------------------------------------------------------------------
    def _send_plain(self, answer: Plain) -> None:
        exchange, fault = self._exchange, self._deed.fault
        if self._compressor is not None:
            body = self._compressor.compress(answer.body) + self._compressor.flush()
            answer = answer._replace(body=body)
        head = exchange.start(
            answer.status, [(b"content-type", answer.media_type), *self._headers], len(answer.body)
        )
        if fault is not None and fault.kind == "truncated" and answer.generation is not None:
            self._end("cut", answer.status, billed=answer.generation.quantities)
            exchange.write(head + answer.body[: len(answer.body) // 2])
            self._break_off(fault)
            return
        outcome = "error" if answer.status >= 400 else "ok"  # noqa: PLR2004 -- HTTP's error classes
        billed = None if answer.generation is None else answer.generation.quantities
        self._final_usage_sent = answer.has_usage
        self._end(outcome, answer.status, billed=billed)
        if exchange.request.method == "HEAD":
            exchange.write(head)
        else:
            self._write(head + answer.body)
        self._complete()

    # -- streams ---------------------------------------------------------------------------------
    def _pump(self) -> None:
        """Send events until the end, a pause, a full buffer or the fault's moment."""
        assert not isinstance(self._answer, Plain)
        self._timer = None
        events, fault = self._answer_events, self._deed.fault
        pause_s = self._answer.generation.pause_s
        if fault is not None and fault.kind == "slow_stream":
            pause_s = fault.delay_ms / 1000
        batch: list[bytes] = []
        while self._at < len(events):
            event = events[self._at]
            if fault is not None and self._breaks_before(event, fault):
                self._break_stream(batch, fault)
                return
            self._at += 1
            self._account(event)
            batch.append(self._frame(event.data))
            if fault is not None and self._breaks_after(event, fault):
                self._break_stream(batch, fault)
                return
            if self._at < len(events) and (pause_s or len(batch) >= _EVENTS_PER_TURN):
                self._write(b"".join(batch))
                if not self._exchange.is_flushed and not self._exchange.is_gone:
                    self._waits_for_room = True
                elif pause_s:
                    self._timer = self._loop.call_later(pause_s, self._pump)
                else:
                    self._timer = self._loop.call_soon(self._pump)
                return
        self._end("ok", 200, billed=self._generated())
        if self._compressor is not None:
            batch.append(self._exchange.frame(self._compressor.flush()))
        self._write(b"".join(batch) + self._exchange.last())
        self._complete()

    def _frame(self, data: bytes) -> bytes:
        """Return an event as it goes on the wire; compressed, it can still be read at once."""
        if self._compressor is not None:
            data = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return self._exchange.frame(data)

    def _account(self, event: Event) -> None:
        self._visible += event.visible_tokens
        self._reasoning += event.reasoning_tokens
        self._content_sent += event.is_content
        self._final_usage_sent |= event.has_final_usage

    def _breaks_before(self, event: Event, fault: Fault) -> bool:
        """Whether the stream breaks now: enough content is out, or the content is at its end."""
        if fault.kind not in ("cut_before_usage", "error_event"):
            return False
        if event.is_content:
            return self._content_sent >= fault.after
        is_end = event.has_final_usage or self._at == len(self._answer_events) - 1
        return is_end or self._content_sent >= max(1, fault.after)

    def _breaks_after(self, event: Event, fault: Fault) -> bool:
        return fault.kind == "cut_after_usage" and event.has_final_usage

    def _break_stream(self, batch: list[bytes], fault: Fault) -> None:
        assert not isinstance(self._answer, Plain)
        is_error = fault.kind == "error_event"
        billed = self._generated() if self._visible + self._reasoning else None
        self._end("error" if is_error else "cut", 200, billed=billed)
        if is_error:
            batch.append(self._exchange.frame(self._answer.error_event))
            self._write(b"".join(batch) + self._exchange.last())
            self._complete()
        else:
            self._write(b"".join(batch))
            self._break_off(fault)

    def _break_off(self, fault: Fault) -> None:
        """Close after a moment; the record is written already and is not to change."""
        self._exchange.listener = None
        self._timer = self._loop.call_later(
            _BREAK_PAUSE_S, lambda: self._exchange.break_off(reset=fault.reset)
        )

    # -- what both share -------------------------------------------------------------------------
    def _write(self, data: bytes) -> None:
        if self._kind != "fragmented":
            self._exchange.write(data)
            return
        for at in range(0, len(data), _FRAGMENT_BYTES):
            self._exchange.write(data[at : at + _FRAGMENT_BYTES])

    def _complete(self) -> None:
        """Finish once the kernel has everything; on_gone comes instead if it never gets it."""
        if self._exchange.is_flushed:
            self._exchange.finish()
        elif self._exchange.is_gone:
            self.on_gone()

    def _generated(self) -> Quantities:
        generation = self._answer.generation
        assert generation is not None
        return generation.quantities._replace(
            visible_output=self._visible, reasoning=self._reasoning
        )

    def on_room(self) -> None:
        """Go on where the kernel's buffer had been full."""
        if self._is_ended:
            self._exchange.finish()
        elif self._waits_for_room:
            self._waits_for_room = False
            self._pump()

    def on_gone(self) -> None:
        """Book what was generated until the client's leaving was noticed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._exchange.listener = None
        generation = self._answer.generation
        billed: Quantities | None = None
        if isinstance(self._answer, Plain) or not self._is_started:
            # A plain answer is generated to its end, whoever waits for it; a hang never begins.
            if generation is not None and self._kind != "hang":
                billed = generation.quantities
        elif self._visible + self._reasoning:
            billed = self._generated()
        self._final_usage_sent = False
        self._end("hung_up", 200 if self._is_started else None, billed=billed, hung_up=True)

    def _end(
        self, outcome: str, status: int | None, *, billed: Quantities | None, hung_up: bool = False
    ) -> None:
        answer, deed = self._answer, self._deed
        model = answer.generation.model if answer.generation else None
        quantities, cost = _bill(model, billed)
        deed.log.write(
            Ended(
                attempt_id=deed.attempt_id,
                ended_at_ns=clock.unix_ns(),
                outcome=outcome,
                http_status=status,
                fault=self._kind,
                model=model.snapshot if model else None,
                provider_request_id=deed.provider_request_id,
                response_id=answer.response_id,
                is_billed=billed is not None,
                quantities=quantities,
                cost_usd=cost,
                usage_delivered=self._final_usage_sent,
                client_hung_up=hung_up,
                events_sent=self._at,
            )
        )
        if not self._is_ended:
            deed.on_end()
        self._is_ended = True


def _bill(model: Model | None, billed: Quantities | None) -> tuple[dict[str, int], str]:
    if model is None or billed is None:
        return {}, usd_text(0)
    costs = price(model, billed)
    return {kind: n for kind, n in billed._asdict().items() if n}, usd_text(sum(costs.values()))


def remaining_of(generation: Generation | None) -> int:
    """Return a plausible number of remaining requests for the rate-limit headers."""
    return 9999 - (zlib.crc32(b"%d" % generation.seed) % 100 if generation else 0)


def applicable(fault: Fault | None, answer: Answer) -> Fault | None:
    """Return the fault if it can happen to this answer: a plain body has no stream to cut."""
    if fault is None or fault.kind in ERROR_STATUS:
        return fault
    if isinstance(answer, Plain):
        return None if fault.kind in STREAM_ONLY else fault
    return None if fault.kind == "truncated" else fault
