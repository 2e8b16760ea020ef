"""Tags in Bedrock requests: request metadata, in the body of Converse or in a header of Invoke."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.dialects.tags_json import tag_pairs, with_new_entries

if TYPE_CHECKING:
    from tollbook.dialects.base import Header, NativeTags

HEADER: Final = b"x-amzn-bedrock-request-metadata"
_MAX_PAIRS: Final = 16
_MAX_VALUE_CHARS: Final = 256
_not_allowed = re.compile(r"[^a-zA-Z0-9\s._:/=+$@-]").sub
"""What ``requestMetadata`` refuses (API reference, Converse)."""


def with_request_metadata(body: bytes, tags: NativeTags) -> bytes:
    """Return a Converse body with tags in ``requestMetadata``, the client's own entries first."""
    return with_new_entries(body, "requestMetadata", _pairs(tags), max_pairs=_MAX_PAIRS)


def request_metadata_header(tags: NativeTags) -> list[Header]:
    """Return the header that carries request metadata of Invoke, a JSON object.

    https://docs.aws.amazon.com/bedrock/latest/userguide/cost-mgmt-request-metadata.html
    """
    pairs = _pairs(tags)
    return [(HEADER, msgspec.json.encode(pairs))] if pairs else []


def _pairs(tags: NativeTags) -> dict[str, str]:
    return tag_pairs(tags, max_chars=_MAX_VALUE_CHARS, written=_written)


def _written(value: str) -> str:
    # Whitespace other than a blank is allowed there, but has no place in a header.
    return " ".join(_not_allowed("_", value).split())
