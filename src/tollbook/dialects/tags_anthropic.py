"""Tags in Anthropic requests: ``metadata.user_id``, the one field there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.dialects.tags_json import with_new_entries

if TYPE_CHECKING:
    from tollbook.dialects.base import NativeTags, Route

_MAX_USER_CHARS: Final = 256
"""API reference, "metadata.user_id"."""
_NO_LIMIT: Final = 1_000_000


def with_anthropic_tags(route: Route, body: bytes, tags: NativeTags) -> bytes:
    """Return a request to the Messages API with ``metadata.user_id``, unless it has one."""
    end_user = tags.end_user
    if route.operation != "chat" or not end_user or len(end_user) > _MAX_USER_CHARS:
        return body
    return with_new_entries(body, "metadata", {"user_id": end_user}, max_pairs=_NO_LIMIT)
