"""Events of a stream that differ in their text only: read once, then told by their ends.

Most events of a stream are one JSON document with another word in it. An event that begins and ends
byte for byte like one that was read before, with nothing but plain text between, means the same.
"""

from __future__ import annotations

from typing import NamedTuple


class SameEvent(NamedTuple):
    """What stands before and behind the text of an event that carries text and nothing else."""

    before: bytes
    behind: bytes

    def text_length(self, event: bytes) -> int:
        """Return how much text an event carries if it is like this one, else zero.

        A text with a quote, an escape or a character beyond ASCII is not judged: zero.
        """
        if not (event.startswith(self.before) and event.endswith(self.behind)):
            return 0
        text = event[len(self.before) : len(event) - len(self.behind)]
        if not text.isascii() or b'"' in text or b"\\" in text:
            return 0
        return len(text)


def learn(event: bytes, mark: bytes, chars: int) -> SameEvent | None:
    """Return the shape of an event that was found to carry ``chars`` characters and nothing else.

    ``mark`` is what stands directly before the text, such as ``b'"content":"'``. None if that is
    not where all of the text stands.
    """
    at = event.find(mark)
    if at < 0:
        return None
    start = at + len(mark)
    end = event.find(b'"', start)
    same = SameEvent(event[:start], event[end:])
    return same if end > 0 and same.text_length(event) == chars else None
