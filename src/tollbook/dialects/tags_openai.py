"""Tags in OpenAI requests: ``metadata``, and the field that names an end user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.tags_json import has_true, tag_pairs, with_new_entries, with_new_member

if TYPE_CHECKING:
    from tollbook.dialects.base import NativeTags, Route

_MAX_PAIRS: Final = 16
_MAX_VALUE_CHARS: Final = 512
"""API reference, "metadata": 16 pairs, keys up to 64 characters, values up to 512."""
_MAX_USER_CHARS: Final = 64
"""API reference, "safety_identifier"; ``user`` has no limit there, but is meant to be the same."""
_TAKES: Final = {
    "safety_identifier": frozenset({"chat", "responses"}),
    "user": frozenset({"chat", "responses", "text_completion", "embeddings", "image"}),
}
BATCH: Final = "batch"


def with_openai_tags(route: Route, body: bytes, tags: NativeTags) -> bytes:
    """Return the body with tags where this API takes them.

    Chat completions take ``metadata`` only together with ``store: true``, and refuse it otherwise
    ("only allowed when 'store' is enabled", https://github.com/spiceai/spiceai/pull/5231);
    responses and batches always do.
    """
    operation = route.operation
    if tags.has_metadata and (
        operation in {"responses", BATCH} or (operation == "chat" and has_true(body, "store"))
    ):
        pairs = tag_pairs(tags, max_chars=_MAX_VALUE_CHARS)
        body = with_new_entries(body, "metadata", pairs, max_pairs=_MAX_PAIRS)
    end_user, field = tags.end_user, tags.end_user_field
    if end_user and len(end_user) <= _MAX_USER_CHARS and operation in _TAKES.get(field, ()):
        body = with_new_member(body, field, end_user)
    return body
