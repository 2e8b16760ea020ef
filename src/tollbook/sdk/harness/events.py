"""What a piece of an event stream shows at a glance, while nobody has time to read it.

Within the data of an event a line's end or a quote is escaped, so that what is looked for here
cannot be part of a text that a model has written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS: Final = b"text/event-stream"
_DONE: Final = (b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n")
_STOP: Final = b'data: {"type":"message_stop"'
_COMPLETED: Final = b'data: {"type":"response.completed"'
_LINE_FEED: Final = 10


def is_one_choice(chunk: bytes) -> bool:
    """Whether a piece is one whole event with a choice: not the last, nor one of usage alone."""
    return b'"choices":[{' in chunk and chunk.find(b"\n\n") == len(chunk) - 2


def has_choices(chunk: bytes) -> bool:
    """Whether a piece is whole events, each with a choice, after which the stream may end.

    None of them is one that has only usage. What looks otherwise has to be read.
    """
    events = chunk.count(b"\n\n")
    if not events or chunk[-2:] != b"\n\n":
        return False
    choices = chunk.count(b'"choices":[{')
    return choices == events or (choices == events - 1 and chunk.endswith(_DONE[0]))


def is_end(chunk: bytes, pieces: Sequence[tuple[bytes, int]] | None) -> bool:
    """Whether a piece holds the event that ends a stream of OpenAI's or Anthropic's API.

    Args:
        chunk: the piece.
        pieces: all that came, this one the last; what only goes on with a torn line is no event.
    """
    at = _last_at(chunk)
    if at:
        return at > 0 and chunk[at - 1] == _LINE_FEED
    return not pieces or len(pieces) == 1 or pieces[-2][0].endswith(b"\n")


def _last_at(chunk: bytes) -> int:
    for done in _DONE:
        if chunk.endswith(done):
            return len(chunk) - len(done)
    at = chunk.find(_STOP)
    return at if at >= 0 else chunk.find(_COMPLETED)
