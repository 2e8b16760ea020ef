"""An answer that says its cost, or is kept, or was given before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from tollbook import ids
from tollbook.capture.gateway.answer import Answer
from tollbook.capture.gateway.cost_report import cost_comment, cost_lines
from tollbook.dialects.base import Metered

if TYPE_CHECKING:
    from tollbook.budgets.guard import Left
    from tollbook.call import CallClosed, CallOpened
    from tollbook.capture.gateway.cost_report import Costs
    from tollbook.capture.gateway.response_cache import Kept, ResponseCache
    from tollbook.dialects.base import Dialect, Header

MAX_HELD_BYTES: Final = 4 * 1024 * 1024
"""A plain answer up to this size waits for its end, so that its head can say the cost."""
_OK: Final = 200
_EVENTS: Final = b"text/event-stream"
"""Other streams (JSON lines) have no comments."""


class Keeping:
    """Where an answer goes that is to be kept."""

    __slots__ = ("cache", "key", "now_s")

    def __init__(self, cache: ResponseCache, key: bytes, now_s: float) -> None:
        self.cache = cache
        self.key = key
        self.now_s = now_s


class WishedAnswer(Answer):
    """See :class:`tollbook.capture.gateway.answer.Answer`."""

    __slots__ = (
        "_closed", "_comments", "_copied", "_copied_bytes", "_costs", "_ends_line", "_fields",
        "_held_bytes", "_is_holding", "_keeping", "_kept", "_left", "_opened",
    )  # fmt: skip

    is_wished = True

    def __init__(
        self,
        status: int,
        headers: list[Header],
        *,
        call_id: bytes,
        is_head: bool,
        is_http_10: bool,
        keep_alive: bool,
        hides_usage: bool,
        dialect: Dialect,
        lines: bytes,
        costs: Costs | None,
        keeping: Keeping | None = None,
        kept: Kept | None = None,
    ) -> None:
        table = dict(headers)
        media_type = table.get(b"content-type", b"").lower()
        is_stream = media_type.startswith(dialect.stream_types)
        is_events = is_stream and media_type.startswith(_EVENTS)
        is_plain_text = table.get(b"content-encoding", b"identity") == b"identity"
        self._comments = costs is not None and is_events and is_plain_text and dialect.can_comment
        super().__init__(
            status, headers, call_id=call_id, is_head=is_head, is_http_10=is_http_10,
            keep_alive=keep_alive, hides_usage=hides_usage or self._comments,
            stream_types=dialect.stream_types, lines=lines,
        )  # fmt: skip
        self._fields = headers
        self._costs = costs
        self._kept = kept
        self._keeping = keeping if status == _OK and not is_head else None
        self._copied: list[bytes] = []
        self._copied_bytes = self._held_bytes = 0
        self._is_holding = costs is not None and not is_stream
        self._ends_line = True
        self._opened: CallOpened | None = None
        self._closed: CallClosed | None = None
        self._left: Left | None = None
        if kept is not None:
            self._body.append(kept.body)
            self.bytes_in = len(kept.body)

    def metered(self) -> Metered:
        """Return what the meter has seen, or had seen when the answer was first given."""
        if self._kept is None:
            return super().metered()
        closed = self._kept.closed
        return Metered(
            usage=closed.usage,
            usage_complete=closed.usage_complete,
            provider_response_id=closed.provider_response_id,
            model_actual=closed.model_actual,
            service_tier=closed.service_tier,
            output_chars=closed.output_chars,
            output_events=closed.output_events,
            stream_ended=True,
        )

    def ended(self, opened: CallOpened, closed: CallClosed, left: Left | None) -> CallClosed:
        """Take how the call ended; return its close frame, which names the answer's first call.

        ``left`` is of the budget with the least left.
        """
        if self._kept is not None:
            first = self._kept.closed
            closed = structs.replace(closed, cached_from=first.cached_from or first.call_id)
        self._opened, self._closed, self._left = opened, closed, left
        return closed

    def take(self, *, is_complete: bool) -> bytes:
        """Return what is to be written now; of a plain answer nothing before its end."""
        if self._body:
            self._ends_line = self._body[-1].endswith(b"\n")
        if self._keeping is not None:
            self._record(self._keeping, is_complete=is_complete)
        if self._is_holding:
            if not is_complete:
                self._held_bytes = sum(map(len, self._body))
                if self._held_bytes <= MAX_HELD_BYTES:
                    return b""
                self._tell(cost_lines(f"the answer is larger than {MAX_HELD_BYTES} bytes"))
            else:
                self._tell(self._cost_lines())
            self._is_holding = False
        elif is_complete and self._comments:
            self._comment()
        return super().take(is_complete=is_complete)

    def _cost_lines(self) -> bytes:
        if self._costs is None or self._opened is None or self._closed is None:
            return b""
        return cost_lines(self._costs.of(self._opened, self._closed), self._left)

    def _tell(self, lines: bytes) -> None:
        head = self._head
        if head is not None:
            self._head = head[:-2] + lines + b"\r\n"

    def _comment(self) -> None:
        opened, closed, costs = self._opened, self._closed, self._costs
        if opened is None or closed is None or costs is None:
            return
        comment = cost_comment(ids.to_text(opened.call_id), costs.of(opened, closed), self._left)
        self._body.append(comment if self._ends_line else b"\n" + comment)

    def _record(self, keeping: Keeping, *, is_complete: bool) -> None:
        """Keep what is about to be written; an answer too large for it is forgotten."""
        new = self._body if not self._is_holding else self._body[len(self._copied) :]
        self._copied += new
        self._copied_bytes += sum(map(len, new))
        if self._copied_bytes > keeping.cache.max_answer_bytes:
            self._keeping, self._copied = None, []
            return
        closed = self._closed
        if is_complete and closed is not None and closed.status == "ok" and closed.is_billable:
            keeping.cache.put(
                keeping.key, self._fields, b"".join(self._copied), closed, keeping.now_s
            )
