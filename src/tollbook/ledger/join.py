"""Frames to calls: open and close frames of each writer joined, and what does not fit noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from tollbook.call import (
    BatchFrame,
    BatchResult,
    BatchSeen,
    Call,
    CallClosed,
    CallOpened,
    Evidence,
    FramesLost,
    LateUsage,
    SpanSeen,
    Status,
)
from tollbook.ids import to_text
from tollbook.spool.reader import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.spool.frame import Framed


class OpenCall(Struct, frozen=True, gc=False):
    """An open frame that waits for its close frame, and where it stands."""

    opened: CallOpened
    segment: int
    offset: int


class Incident(Struct, frozen=True):
    """Something that was not as it should be; each is stored and countable."""

    kind: str  # torn_tail, frames_lost, corrupt, skipped, duplicate, orphan_close
    writer: str
    detail: dict[str, Any]


class WriterBook(Struct):
    """What the ledger knows of one writer."""

    position: Position
    state: str = "active"  # active, finished, corrupt
    version: str | None = None
    last_frame_ns: int | None = None
    open_calls: dict[bytes, OpenCall] = {}
    stored_open: set[bytes] = set()
    """Ids of ``open_calls`` as of the last commit."""
    is_dirty: bool = False
    """Differs from what is stored."""
    told_more: set[bytes] = set()
    """Ids of ``stored_open`` of which more is known than is stored."""

    def tell_more(self, opened: CallOpened) -> None:
        """Take a second open frame of a call: its observer had not read the request before."""
        call_id = opened.call_id
        self.open_calls[call_id] = replace(self.open_calls[call_id], opened=opened)
        if call_id in self.stored_open:
            self.told_more.add(call_id)


class Joined:
    """Calls completed by the frames of one step, and what it says of batches."""

    def __init__(self, calls_max: int) -> None:
        self.calls: list[Call] = []
        self.batches: list[tuple[BatchFrame, Evidence]] = []
        self.late: list[LateUsage] = []
        self.observed: list[Call] = []
        """Calls that others than the gateway saw; they may be the same as those above."""
        self.spans: list[SpanSeen] = []
        self._results = 0
        self.incidents: list[Incident] = []
        self._calls_max = calls_max
        self._handed_over = 0
        self._seen: set[bytes] = set()
        self._told: set[bytes] = set()
        """Ids of ``observed``."""

    @property
    def total(self) -> int:
        """How many calls were completed, handed over or not; a batch's result is a call."""
        return self._handed_over + len(self.calls) + self._results + len(self.observed)

    @property
    def room(self) -> int:
        """How many more calls belong into this step."""
        return self._calls_max - self.total

    def hand_over(self) -> list[Call]:
        """Return the calls completed since the last time, and let go of them."""
        calls, self.calls = self.calls, []
        self._handed_over += len(calls)
        return calls

    def take(self, book: WriterBook, frames: Sequence[Framed]) -> int:  # noqa: C901, PLR0912 -- one pass
        """Join frames of a writer, in order, until the step is full; return how many were taken."""
        # One pass over every frame ever written: locals, and no call that can be avoided.
        name, version = book.position.writer, book.version or ""
        opens, calls, seen = book.open_calls, self.calls, self._seen
        observe = self.observed.append
        pop, append, see = opens.pop, calls.append, seen.add
        calls_max = self._calls_max - self._handed_over - self._results - len(self.observed)
        at = 0
        for at, (frame, segment, offset) in enumerate(frames):
            if isinstance(frame, CallOpened):
                call_id = frame.call_id
                if call_id in opens or (call_id in seen and frame.observer is None):
                    # Others than the gateway tell again what they are not sure to have told, and
                    # of a call that two of them tell of the better word is chosen later.
                    if frame.observer is None:
                        self._note("duplicate", name, segment, offset, call_id)
                    elif call_id in opens:
                        book.tell_more(frame)
                else:
                    opens[call_id] = OpenCall(frame, segment, offset)
            elif isinstance(frame, CallClosed):
                waiting = pop(frame.call_id, None)
                if waiting is None:
                    if frame.call_id not in self._told:
                        self._note("orphan_close", name, segment, offset, frame.call_id, frame)
                    continue
                if len(calls) >= calls_max:
                    opens[frame.call_id] = waiting
                    return at
                see(frame.call_id)
                call = Call(waiting.opened, frame, Evidence(name, segment, offset, version))
                if waiting.opened.observer is None:
                    append(call)
                else:
                    observe(call)
                    self._told.add(frame.call_id)
                    calls_max -= 1
            elif not isinstance(frame, FramesLost):
                if isinstance(frame, BatchResult):
                    if len(calls) >= calls_max:
                        return at
                    calls_max -= 1
                self._take_later(opens, frame, Evidence(name, segment, offset, version))
            else:
                detail = {"frames": frame.frames, "first_lost_at_ns": frame.first_lost_at_ns,
                          "at_ns": frame.at_ns, "segment": segment, "offset": offset}  # fmt: skip
                self.incidents.append(Incident("frames_lost", name, detail))
        return len(frames)

    def _take_later(
        self,
        opens: dict[bytes, OpenCall],
        frame: BatchFrame | LateUsage | SpanSeen,
        evidence: Evidence,
    ) -> None:
        if isinstance(frame, SpanSeen):
            self.spans.append(frame)
            return
        if isinstance(frame, LateUsage):
            self.late.append(frame)
            return
        if isinstance(frame, BatchResult):
            self._results += 1
        elif isinstance(frame, BatchSeen) and frame.call_id in opens:
            # The submission is still open: it is told what batch it has made.
            one = opens[frame.call_id]
            submission = replace(one.opened, batch_id=frame.batch_id)
            opens[frame.call_id] = replace(one, opened=submission)
        self.batches.append((frame, evidence))

    def interrupt(self, book: WriterBook) -> None:
        """Complete what a dead writer left open: calls whose end nobody saw."""
        name, version = book.position.writer, book.version or ""
        for call_id, one in book.open_calls.items():
            closed = CallClosed(call_id, book.last_frame_ns or one.opened.started_at_ns,
                                Status.INTERRUPTED, model_actual=one.opened.model_sent)  # fmt: skip
            evidence = Evidence(name, one.segment, one.offset, version)
            call = Call(one.opened, closed, evidence)
            (self.calls if one.opened.observer is None else self.observed).append(call)
        book.open_calls.clear()

    def _note(
        self, kind: str, writer: str, segment: int, offset: int, call_id: bytes,
        closed: CallClosed | None = None,
    ) -> None:  # fmt: skip
        detail: dict[str, Any] = {
            "call_id": to_text(call_id) if len(call_id) == 16 else call_id.hex(),  # noqa: PLR2004 -- a UUID's size
            "segment": segment, "offset": offset,
        }  # fmt: skip
        if closed is not None:
            detail |= {"status": closed.status, "model_actual": closed.model_actual,
                       "usage": [part.decode("latin-1") for part in closed.usage]}  # fmt: skip
        self.incidents.append(Incident(kind, writer, detail))


def frame_time_ns(framed: Framed) -> int:
    """Return when a frame was made."""
    frame = framed[0]
    if isinstance(frame, CallOpened):
        return frame.started_at_ns
    return frame.closed_at_ns if isinstance(frame, CallClosed) else frame.at_ns
