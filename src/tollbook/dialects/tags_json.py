"""Add members to a JSON body without touching any other: what tags of all dialects are made with.

What the client set stays. A member that is new is spliced in at the front, all bytes of the body
staying as they are; one that is there already (an object to be completed) keeps its own entries,
and only white space between the body's top-level members may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from tollbook.dialects.request_body import members_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tollbook.dialects.base import NativeTags

_encode = msgspec.json.Encoder().encode
_NULL: Final = b"null"


def tag_pairs(
    tags: NativeTags, *, max_chars: int, written: Callable[[str], str] = str
) -> dict[str, str]:
    """Return tags as the pairs that providers' maps of metadata get: ``tollbook_tenant``, ...

    A value that is too long is left out, since cut short it would name somebody else.

    Args:
        tags: What to say.
        max_chars: Longest value the provider takes.
        written: Makes a value of what the provider's characters are.
    """
    named = {
        "tollbook_tenant": tags.tenant,
        "tollbook_user": tags.user,
        "tollbook_feature": tags.feature,
        "tollbook_workflow": tags.workflow,
        "tollbook_run": tags.run,
    }
    return {
        name: text
        for name, value in named.items()
        if value and len(text := written(value)) <= max_chars
    }


def with_new_member(body: bytes, name: str, value: object) -> bytes:
    """Return the body with a member more, unless it has one of that name that is not null."""
    members = members_of(body)
    if members is None or not _is_missing(members.get(name)):
        return body
    if name in members or not members:
        members[name] = Raw(_encode(value))
        return _encode(members)
    start = body.index(b"{") + 1
    return body[:start] + _encode(name) + b":" + _encode(value) + b"," + body[start:]


def with_new_entries(
    body: bytes, name: str, entries: Mapping[str, str], *, max_pairs: int
) -> bytes:
    """Return the body with entries added to a map; those that it has, and its limit, stay.

    A member of that name that is no object is the client's mistake, and for the provider to say.
    """
    members = members_of(body)
    if members is None or not entries:
        return body
    present = members.get(name)
    if _is_missing(present):
        return with_new_member(body, name, dict(list(entries.items())[:max_pairs]))
    assert present is not None
    have = members_of(present)
    if have is None:
        return body
    merged: dict[str, Raw] = dict(have)
    for key, value in entries.items():
        if key not in merged and len(merged) < max_pairs:
            merged[key] = Raw(_encode(value))
    if len(merged) == len(have):
        return body
    members[name] = Raw(_encode(merged))
    return _encode(members)


def has_true(body: bytes, name: str) -> bool:
    """Whether a top-level member is ``true``."""
    members = members_of(body)
    return members is not None and bytes(members.get(name, Raw())) == b"true"


def _is_missing(raw: Raw | None) -> bool:
    return raw is None or bytes(raw) == _NULL
