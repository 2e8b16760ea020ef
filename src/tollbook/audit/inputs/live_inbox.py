"""What has come in at the live endpoint and waits to be audited; bounded."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.audit.inputs.otlp_json import Unreadable
from tollbook.audit.inputs.otlp_other import is_call, span_of_log, usage_points
from tollbook.audit.inputs.otlp_protobuf import resources_of, told_by
from tollbook.audit.inputs.wire import WireError
from tollbook.capture.otlp.decode_json import decode_json, decode_logs_json
from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.outcome import BUSY, Kind, Outcome, Signal, refused

if TYPE_CHECKING:
    from tollbook.capture.otlp.spans import Span

HELD_MAX_BYTES: Final = 64 * 1024 * 1024
"""Of messages, as they came, whose spans wait; beyond it senders are asked to come again."""
_PROBLEMS_MAX: Final = 1000


class Came(NamedTuple):
    """What one message held."""

    spans: list[Span]
    calls: list[Span]
    """Of events in logs: their traces are not known."""
    usage_points: int = 0
    problem: str = ""
    size_bytes: int = 0


class Inbox:
    """Takes messages from the threads of servers and hands them to the one that audits."""

    def __init__(self, held_max_bytes: int = HELD_MAX_BYTES) -> None:
        self._held_max_bytes = held_max_bytes
        self._held_bytes = self._problems = 0
        self._waiting: deque[Came] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    def take(self, signal: Signal, body: bytes, *, is_json: bool) -> Outcome:
        """Keep what a message holds, and return what its sender is told."""
        with self._changed:
            if self._is_closed or self._held_bytes + len(body) > self._held_max_bytes:
                return BUSY
            self._held_bytes += len(body)  # before it is read, so that many at once are bounded
        came = _read(signal, body, is_json=is_json)
        with self._changed:
            if came.problem:
                self._problems += 1
            if came.problem and self._problems > _PROBLEMS_MAX:
                self._held_bytes -= len(body)
            else:
                self._waiting.append(came._replace(size_bytes=len(body)))
                self._changed.notify()
        if came.problem:
            return refused(Kind.MALFORMED, came.problem)
        return Outcome(Kind.OK, accepted=len(came.spans))

    def note_refused(self, problem: str) -> None:
        """Keep that a message was refused before it was read."""
        with self._changed:
            self._problems += 1
            if self._problems <= _PROBLEMS_MAX and not self._is_closed:
                self._waiting.append(Came([], [], problem=problem))
                self._changed.notify()

    def get(self, timeout_s: float) -> Came | None:
        """Return the next, None where none comes in time."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_s)
            if not self._waiting:
                return None
            came = self._waiting.popleft()
            self._held_bytes -= came.size_bytes
            return came

    def close(self) -> None:
        """Take nothing more; what waits can still be got."""
        with self._changed:
            self._is_closed = True


def _read(signal: Signal, body: bytes, *, is_json: bool) -> Came:
    try:
        return _of_json(signal, body) if is_json else _of_protobuf(body)
    except BadOtlpError as error:
        return Came([], [], problem=error.message)
    except (Unreadable, WireError) as error:
        return Came([], [], problem=f"the message cannot be read: {error}")


def _of_json(signal: Signal, body: bytes) -> Came:
    if signal is Signal.TRACES:
        return Came(decode_json(body), [])
    if signal is Signal.METRICS:
        return Came([], [], usage_points(body))
    return Came([], [span_of_log(one) for one in decode_logs_json(body) if is_call(one)])


def _of_protobuf(body: bytes) -> Came:
    told: Any = told_by(resources_of(body))
    problem = f"{told.lost} records cannot be read" if told.lost else ""
    return Came(told.spans, told.calls, told.usage_points, problem)
