"""Generated text of an exact token count, cheap to make and repeatable.

A token is a short word with its space, about four characters; some hold characters outside ASCII,
so that a reader that cuts bytes inside a character is found out.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

CHARS_PER_TOKEN: Final = 4
_PROSE: Final = (
    "the cost of one call is what it adds to the bill and who it was for so each line has an "
    "owner café über naïve 数 量 ✓ 🙂 that can be shown later on with a sum which ends where the "
    "month ends no more nor less than was used by all of them"
)
_WORDS = _PROSE.split()
_PERIOD = 4096
_TOKENS = [_WORDS[(i * 7 + i // 11) % len(_WORDS)] + " " for i in range(_PERIOD)]
_TEXT = "".join(_TOKENS) * 2
_OFFSETS = [0, *accumulate(len(token) for token in _TOKENS + _TOKENS)]


def text_of(start: int, tokens: int) -> str:
    """Return ``tokens`` tokens of text, from a place that ``start`` chooses."""
    at = start % _PERIOD
    if tokens <= _PERIOD:
        return _TEXT[_OFFSETS[at] : _OFFSETS[at + tokens]]
    rounds, rest = divmod(tokens, _PERIOD)
    whole = _TEXT[_OFFSETS[at] : _OFFSETS[at + _PERIOD]]
    return whole * rounds + _TEXT[_OFFSETS[at] : _OFFSETS[at + rest]]


def split_evenly(total: int, parts: int) -> list[int]:
    """Split a count into parts that differ by at most one and sum to it."""
    small, more = divmod(total, parts)
    return [small + (i < more) for i in range(parts)]
