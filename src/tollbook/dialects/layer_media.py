"""What images, sounds and files weigh: they are billed by what they show, not by their base64.

The size of an image is in its pixels, which are not looked at, so these are typical figures:

- image: 765 tokens at OpenAI (1024 x 1024, high detail; 85 in low detail), about 1,334 at Anthropic
  (1000 x 1000, width x height / 750), 258 or a multiple at Gemini (768 x 768 a tile). One figure is
  taken for all;
- document (PDF): 1,500 to 3,000 tokens a page at Anthropic, 258 at Gemini; a page is taken to be
  50 KB of base64;
- sound: 32 tokens a second at Gemini, 10 at OpenAI; a second is taken to be 8 KB of base64;
- video: about 263 tokens a second at Gemini; a second is taken to be 128 KB of base64.
"""

from __future__ import annotations

from typing import Final

from tollbook.dialects.layer_weights import PER_TOKEN, weigh

IMAGE: Final = 800 * PER_TOKEN
LOW_DETAIL_IMAGE: Final = 85 * PER_TOKEN
_PAGE: Final = 1500 * PER_TOKEN
_PAGE_BYTES: Final = 50_000
_SOUND_BYTES_PER_TOKEN: Final = 400
_VIDEO_BYTES_PER_TOKEN: Final = 500
_INLINE_BYTES: Final = 1024
"""A file that is named rather than sent (an id, an address) is taken to be one page."""


def image_weight(raw: bytes) -> int:
    """Return the weight of an image, sent or named."""
    return LOW_DETAIL_IMAGE if b'"low"' in raw[-64:] or b'"low"' in raw[:64] else IMAGE


def document_weight(raw: bytes) -> int:
    """Return the weight of a document: text by its length, a binary one by its pages."""
    head = raw[:256]
    if b'"text/plain"' in head or b'"type":"text"' in head or b'"type": "text"' in head:
        return weigh(raw)
    if b'"content"' in head and b'"base64"' not in head:
        return weigh(raw)
    return _PAGE * max(1, len(raw) // _PAGE_BYTES)


def sound_weight(raw: bytes) -> int:
    """Return the weight of a recording."""
    return PER_TOKEN * max(100, len(raw) // _SOUND_BYTES_PER_TOKEN)


def video_weight(raw: bytes) -> int:
    """Return the weight of a film."""
    return PER_TOKEN * max(1000, len(raw) // _VIDEO_BYTES_PER_TOKEN)


def data_weight(raw: bytes) -> int:
    """Return the weight of Gemini's ``inlineData`` or ``fileData``, by its media type."""
    ends = raw[:256] + raw[-256:]
    if b'"image/' in ends:
        return IMAGE
    if b'"audio/' in ends:
        return sound_weight(raw)
    if b'"video/' in ends:
        return video_weight(raw)
    return document_weight(raw)
