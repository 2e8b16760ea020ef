"""Tags in Vertex AI requests: ``labels``, which Google's billing export carries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tollbook.dialects.tags_json import tag_pairs, with_new_entries

if TYPE_CHECKING:
    from tollbook.dialects.base import NativeTags

_MAX_PAIRS: Final = 64
_MAX_VALUE_CHARS: Final = 63
_not_allowed = re.compile(r"[^a-z0-9_-]").sub


def with_labels(body: bytes, tags: NativeTags) -> bytes:
    """Return the body with tags as labels; what the client set there stays.

    Lower-case letters, digits, ``_`` and ``-``, at most 63 characters and 64 pairs (Vertex AI,
    "Add labels to API calls"); other characters become ``_``, so that names which differ by them
    alone read the same there: a pseudonym never does.
    """
    pairs = tag_pairs(tags, max_chars=_MAX_VALUE_CHARS, written=_written)
    return with_new_entries(body, "labels", pairs, max_pairs=_MAX_PAIRS)


def _written(value: str) -> str:
    return _not_allowed("_", value.lower())
