"""What a piece of an event stream shows at a glance, while nobody has time to read it.

Within the data of an event a line's end or a quote is escaped, so that what is looked for here
cannot be part of a text that a model has written.
"""

from __future__ import annotations

from typing import Final

EVENTS: Final = b"text/event-stream"
_DONE: Final = (b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n")
_STOP: Final = b'data: {"type":"message_stop"'
_COMPLETED: Final = b'data: {"type":"response.completed"'


def has_choices(chunk: bytes) -> bool:
    """Whether a piece is whole events, each with a choice, after which the stream may end.

    None of them is one that has only usage. What looks otherwise has to be read.
    """
    events = chunk.count(b"\n\n")
    if not events or chunk[-2:] != b"\n\n":
        return False
    choices = chunk.count(b'"choices":[{')
    return choices == events or (choices == events - 1 and chunk.endswith(_DONE[0]))


def is_last(chunk: bytes) -> bool:
    """Whether a piece holds the event that ends a stream of OpenAI's or Anthropic's API."""
    return chunk.endswith(_DONE) or _STOP in chunk or _COMPLETED in chunk
