"""Which key a call was made with: a name or a hash of it, never the key."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_NAMES: Final = (
    "tollbook.api_key_id", "gen_ai.api_key.id", "api_key_id", "api_key.id", "llm.api_key_id",
    "metadata.user_api_key_alias", "metadata.user_api_key_hash", "litellm.api_key.alias",
    "litellm.api_key.hash", "litellm.user_api_key_hash", "metadata.user_api_key",
    "llm.api_key", "api_key", "gen_ai.request.api_key", "http.request.header.x_api_key",
    "http.request.header.x-api-key", "http.request.header.api_key",
    "http.request.header.authorization",
)  # fmt: skip
_is_name: Final = re.compile(r"[\w.:@/ -]{1,40}").fullmatch
_looks_secret: Final = re.compile(
    r"(bearer\b|basic\b|sk-|pk-|key-|AIza|AKIA|gsk_|xai-|r8_|hf_|pplx-|sess-)", re.IGNORECASE
).match
_is_hash: Final = re.compile(r"[0-9a-f]{32,64}").fullmatch
_SHOWN_CHARS: Final = 12
_LONG_CHARS: Final = 24
_READ_MAX_CHARS: Final = 4096


def api_key_id_of(attributes: Mapping[str, Any]) -> str | None:
    """Return what a key is known by: its name, the start of its hash, or a hash of what may be it.

    A key has enough bits that a hash of it tells nobody what it is.
    """
    for name in KEY_NAMES:
        value = attributes.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value:
            return _known_by(value[:_READ_MAX_CHARS])
    return None


def _known_by(text: str) -> str:
    if _is_hash(text):
        return text[:_SHOWN_CHARS]
    if _is_name(text) and not _looks_secret(text) and not _is_dense(text):
        return text
    return "key-" + sha256(text.encode(errors="replace")).hexdigest()[:_SHOWN_CHARS]


def _is_dense(text: str) -> bool:
    """Whether it is long and mixes digits and letters without a break, as secrets do."""
    return any(
        len(part) >= _LONG_CHARS and any(one.isdigit() for one in part)
        for part in re.split(r"[ .:@/_-]", text)
    )
