"""Sections of a long conversation from a few of its messages, for when there is no time for all.

Read are the first two messages, the last two, and three pairs of neighbours (a call and its
result) at evenly spaced places, which stand for all between by their bytes. Messages are cut out of
the JSON text where one object ends and the next begins; a piece that does not decode, or is no
message, was the inside of one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tollbook.dialects.layer_shapes import KIND_OF_ROLE, Turn, decode_turn
from tollbook.dialects.request_body import DECODE_ERRORS

_TIGHT: Final = b'},{"'
_SPACED: Final = b'}, {"'
_COLON: Final = b'": '
_HEAD: Final = 2
_TAIL: Final = 2
_LOOKS: Final = 3
_TRIES: Final = 6
"""Ends (or beginnings) of objects that are tried for one message."""
_WINDOW_BYTES: Final = 16_384
"""Longest message that is looked for the end of."""
_ITEMS: Final = frozenset(
    {"function_call", "function_call_output", "reasoning", "custom_tool_call",
     "custom_tool_call_output"}
)  # fmt: skip
"""Items of a Responses input without a role; no part of a message is called so."""


class Sampled(NamedTuple):
    """Some messages of a conversation, in order."""

    head: list[Turn]
    between: list[Turn]
    tail: list[Turn]
    between_bytes: int
    """Of all messages between head and tail."""
    sampled_bytes: int
    """Of those of them that were read."""


class _Text(NamedTuple):
    """The JSON text of a list of messages, and what is between two of them."""

    raw: bytes
    separator: bytes

    def message(self, start: int, end_max: int) -> tuple[Turn, int] | None:
        """Return the message that begins here, and where it ends."""
        raw, separator = self
        end_max = min(end_max, start + _WINDOW_BYTES)
        at = start
        for _ in range(_TRIES):
            at = raw.find(separator, at, end_max) + 1
            if not at:
                return None
            turn = _turn(raw[start:at])
            if turn is not None:
                return turn, at
        return None

    def message_before(self, end: int, start_min: int) -> tuple[Turn, int] | None:
        """Return the message that ends here, and where it begins."""
        raw, separator = self
        start_min = max(start_min, end - _WINDOW_BYTES)
        at = end
        for _ in range(_TRIES):
            at = raw.rfind(separator, start_min, at)
            if at < 0:
                return None
            start = at + len(separator) - 2
            turn = _turn(raw[start:end])
            if turn is not None:
                return turn, start
        return None


def sample(raw: bytes) -> Sampled | None:
    """Return some messages of a JSON list of them; None where they cannot be told apart."""
    text = _Text(raw, _SPACED if _COLON in raw[:64] else _TIGHT)
    gap = len(text.separator) - 3
    head: list[Turn] = []
    end = -gap + 1  # as if the list's bracket were the end of a message
    for _ in range(_HEAD):
        found = text.message(end + gap, len(raw))
        if found is None:
            return None
        head.append(found[0])
        end = found[1]
    tail: list[Turn] = []
    start = len(raw) - 1
    for _ in range(_TAIL):
        found = text.message_before(start, end)
        if found is None:
            break
        tail.append(found[0])
        start = found[1] - gap
    if not tail or start <= end:
        return None
    tail.reverse()
    between, sampled_bytes = _between(text, end, start)
    if not between:
        return None
    return Sampled(head, between, tail, start - end, sampled_bytes)


def first_message(raw: bytes) -> Turn | None:
    """Return the first of several messages; None where it cannot be told cheaply."""
    found = _Text(raw, _SPACED if _COLON in raw[:64] else _TIGHT).message(1, len(raw))
    return None if found is None else found[0]


def _between(text: _Text, begin: int, end: int) -> tuple[list[Turn], int]:
    """Return pairs of messages from evenly spaced places, and how many bytes they are."""
    raw, separator = text
    found: list[Turn] = []
    size = 0
    step = (end - begin) // (_LOOKS + 1)
    for look in range(begin + step // 2, end - step, step or 1):
        at = look
        for _ in range(_TRIES):
            at = raw.find(separator, at, min(end, at + _WINDOW_BYTES)) + 1
            if not at:
                break
            start = at + len(separator) - 3
            first = text.message(start, end)
            if first is None:
                continue
            found.append(first[0])
            size += first[1] - start
            second = text.message(first[1] + len(separator) - 3, end)
            if second is not None:
                found.append(second[0])
                size += second[1] - first[1]
            break
    return found, size


def _turn(raw: bytes) -> Turn | None:
    """Return a message; None for a piece that is not a whole one."""
    try:
        turn = decode_turn(raw)
    except DECODE_ERRORS:
        return None
    return turn if turn.role in KIND_OF_ROLE or turn.type in _ITEMS else None
