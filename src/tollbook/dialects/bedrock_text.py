"""Generated text in answers of Bedrock's model families, the basis of an estimate."""

from __future__ import annotations

import re
from typing import Final

_MAX_SEARCHED_BYTES: Final = 1024 * 1024
_find_texts = re.compile(
    rb'"(?:outputText|generation|completion)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)', re.DOTALL
).finditer
"""Titan, Llama, Claude 2; what other APIs call it is known to ``answer_json.text_chars``."""


def text_in(body: bytes) -> int:
    """Return the length of the generated texts in a body, whole or cut off, as UTF-8 bytes."""
    seen = body[:_MAX_SEARCHED_BYTES]
    chars = sum(match.end(1) - match.start(1) for match in _find_texts(seen))
    return chars if len(seen) == len(body) else chars * len(body) // len(seen)
