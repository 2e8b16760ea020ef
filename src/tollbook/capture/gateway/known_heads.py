"""Request heads that have been read before: most differ from an earlier one in their length only.

An official client sends the same head with every request of a tenant, but for ``Content-Length``
and, where it is traced, ``traceparent``. A head that is otherwise byte for byte what the parser has
read and judged before needs no second reading: its body is cut off behind it, and the request goes
on with what is known. Everything else (other bytes, a body not yet whole, anything unusual) takes
the long way through the parser.

What is remembered includes who the caller is, so all of it is forgotten every second, when changes
of keys are taken up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.capture.gateway.framing import MAX_LENGTH_DIGITS, Framing
from tollbook.identity import trace_context

if TYPE_CHECKING:
    from tollbook.capture.gateway.admission import Admitted
    from tollbook.dialects.base import Header

_MAX_KNOWN: Final = 4096
_MAX_HEAD_BYTES: Final = 8192
_NAMES: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_NAME_BYTES: Final = len(_NAMES[0])
_TRACE: Final = b"\r\ntraceparent: "


class KnownHead(NamedTuple):
    """What the long way made of a head."""

    method: str
    headers: list[Header]
    """As first received; their Content-Length may be another request's."""
    connection: frozenset[bytes] | None
    admitted: Admitted


class Taken(NamedTuple):
    """A whole request with a known head, taken off the beginning of some bytes."""

    head: KnownHead
    admitted: Admitted
    """The head's own, with this request's trace."""
    framing: Framing
    body: bytes
    rest: bytes


class KnownHeads:
    """The heads of one worker, at most four thousand at a time.

    Args:
        body_max_bytes: a longer body takes the long way, where it is refused.
    """

    def __init__(self, body_max_bytes: int) -> None:
        self._body_max_bytes = body_max_bytes
        self._known: dict[bytes, KnownHead] = {}
        self._missed: bytes | None = None

    def take(self, data: bytes) -> Taken | None:
        """Return the request that the bytes begin with, if it is whole and its head is known.

        Whether other bytes are well-formed is not judged here: they go to the parser, and until
        :meth:`forget_missed` the head they begin with can be remembered.
        """
        seen = _look(data)
        if seen is None:
            return None
        head = self._known.get(seen.key)
        if head is None:
            self._missed = seen.key
            return None
        body_end = seen.body_at + seen.length
        if body_end > len(data) or seen.length > self._body_max_bytes:
            return None
        admitted = head.admitted
        if seen.trace is not None and admitted.owner is not None:
            trace_id, parent_span_id = seen.trace
            owner = admitted.owner._replace(trace_id=trace_id, parent_span_id=parent_span_id)
            admitted = admitted._replace(owner=owner)
        framing = Framing(seen.length, is_chunked=False, expects_continue=False,
                          connection=head.connection)  # fmt: skip
        return Taken(head, admitted, framing, data[seen.body_at : body_end], data[body_end:])

    def remember(self, head: KnownHead) -> None:
        """Keep the head that the parser has just read, if it is the one that was missed."""
        key, self._missed = self._missed, None
        if key is not None and len(self._known) < _MAX_KNOWN:
            self._known[key] = head

    def forget_missed(self) -> None:
        """Say that the bytes last looked at have been parsed, or begin no further request."""
        self._missed = None

    def forget(self) -> None:
        """Forget all heads: keys may have changed, or expired."""
        self._known.clear()
        self._missed = None


class _Seen(NamedTuple):
    """What varies in a head, and the rest of it."""

    key: bytes
    """The head without the digits of its length and without the value of its traceparent."""
    length: int
    body_at: int
    trace: tuple[str | None, str | None] | None


def _look(data: bytes) -> _Seen | None:
    """Find what varies in the head that some bytes begin with; None if it is not plain to see."""
    end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
    at = data.find(_NAMES[0], 0, end) if end > 0 else -1
    if at < 0:
        at = data.find(_NAMES[1], 0, end) if end > 0 else -1
        if at < 0:
            return None
    at += _NAME_BYTES
    digits_end = data.find(b"\r", at)
    digits = data[at:digits_end]
    if not digits.isdigit() or len(digits) > MAX_LENGTH_DIGITS:
        return None
    body_at = end + 4
    trace_at = data.find(_TRACE, 0, end)
    if trace_at < 0:
        return _Seen(data[:at] + data[digits_end:body_at], int(digits), body_at, None)
    trace_at += len(_TRACE)
    trace_end = data.find(b"\r", trace_at)
    trace = trace_context([(b"traceparent", data[trace_at:trace_end])])
    if trace[0] is None:
        return None
    first, second = sorted([(at, digits_end), (trace_at, trace_end)])
    key = data[: first[0]] + data[first[1] : second[0]] + data[second[1] : body_at]
    return _Seen(key, int(digits), body_at, trace)
