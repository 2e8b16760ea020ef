"""What a piece of a request weighs: about four for every token, told from its bytes.

A provider counts the tokens of a whole request, so all that is needed of a piece is how much it is
beside the others. Bytes alone do not tell: a line of code has nearly twice the tokens of prose of
the same length. So each byte counts by its class, and a long text by every n-th of its bytes. The
classes were fitted against a real tokenizer; ``docs/layers.md`` has the errors.
"""

from __future__ import annotations

from typing import Final

PER_TOKEN: Final = 4
"""So much weight is about one token."""

MESSAGE: Final = 4 * PER_TOKEN
"""What frames one message: three tokens and the role, in OpenAI's chat."""

_SAMPLE_BYTES: Final = 112
_WHOLE_BYTES: Final = 223
"""Texts up to here are read whole."""
_LARGE_BYTES: Final = 4096
_LARGE_SAMPLE_BYTES: Final = 336
"""A large text is a larger share of its request, so its error counts for more."""
_PER_BITS: Final = 100
_WEIGHT: Final = 56
"""Bits to weight: a token is 7.15 bits."""

# Bits of each byte. Letters are cheap, for a token is a word; marks between words cost most.
_ASCII: Final = {
    b" ": 2,
    b"\n\r\t": 4,
    b"0123456789": 5,
    b"\\": 2,
    b"\"'": 1,
    b"_-./": 6,
    b",;:": 8,
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ": 1,
}
_OTHER_ASCII: Final = 3
# First bytes of characters beyond ASCII (RFC 3629 section 3), up to and without this byte.
_UTF8: Final = (
    (0xC0, 1),  # bytes that follow the first
    (0xD0, 8),  # Latin letters with marks, Greek
    (0xE0, 1),  # Cyrillic, Hebrew, Arabic
    (0xE3, 8),  # scripts of South Asia, punctuation
    (0xEE, 3),  # Kana, Han, Hangul
    (0xF0, 8),  # rare
    (0x100, 2),  # emoji
)


def _bits(byte: int) -> int:
    """Return how many of eight bits a byte has set in the table."""
    for chars, bits in _ASCII.items():
        if byte in chars:
            return bits
    return next((bits for end, bits in _UTF8 if 0x80 <= byte < end), _OTHER_ASCII)  # noqa: PLR2004 -- the end of ASCII


_TABLE: Final = bytes((1 << _bits(byte)) - 1 for byte in range(256))


def weigh(text: bytes) -> int:
    """Return the weight of JSON text, a string with its quotes or any other value.

    Takes about half a microsecond whatever the length: the bits set in a sample of the bytes, each
    replaced by as many bits as its class weighs.
    """
    size = len(text)
    if size <= _WHOLE_BYTES:
        return _number(text.translate(_TABLE), "little").bit_count() * _WEIGHT // _PER_BITS
    return weigh_within(text, 0, size)


def weigh_within(text: bytes, start: int, end: int) -> int:
    """Return the weight of a part of a text that is not copied, longer than a few bytes."""
    size = end - start
    wanted = _SAMPLE_BYTES if size < _LARGE_BYTES else _LARGE_SAMPLE_BYTES
    sample = text[start : end : size // wanted or 1].translate(_TABLE)
    bits = _number(sample, "little").bit_count()
    return bits * size * _WEIGHT // (len(sample) * _PER_BITS)


_number: Final = int.from_bytes
