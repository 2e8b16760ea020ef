"""A writer of the W3C ``baggage`` header, the counterpart of :mod:`tollbook.identity.baggage`.

Whatever is no plain character is percent-encoded, the plus sign too, because the propagator of
OpenTelemetry for Python reads it as a space.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tollbook.call import IDENTITY_FIELDS
from tollbook.identity.baggage import MAX_BYTES, MAX_MEMBERS
from tollbook.identity.names import BAGGAGE_KEYS

if TYPE_CHECKING:
    from tollbook.call import Identity

FIELD_KEYS: Final[dict[str, str]] = {
    field: key for key, field in reversed(BAGGAGE_KEYS.items()) if "_" not in key
}
"""Identity field to the baggage key it travels under."""

_SAFE: Final = "!#$&'()*-./:<=>?@[]^_`{|}~"
_is_plain = re.compile(r"[\w.:@/|~=&#-]*", re.ASCII).fullmatch
_is_key = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_IN_ORDER: Final = tuple((field, FIELD_KEYS[field] + "=") for field in IDENTITY_FIELDS)


def write_baggage(known: Identity, others: str = "") -> str:
    """Return the header value for an identity; empty if it says nothing.

    Args:
        known: its fields come first, then its tags. A tag whose name is no key of W3C Baggage
            (section 3.3.1.1) cannot travel and is left out.
        others: members of a baggage header that is there already; those with keys of the identity
            are replaced, the rest is kept as it is after it.

    Returns:
        At most 8192 bytes in at most 180 members (W3C Baggage section 3.3.2); a member that does
        not fit is left out whole.
    """
    members = []
    for field, start in _IN_ORDER:
        value = getattr(known, field)
        if value is not None:
            members.append(start + (value if _is_plain(value) else quote(value, _SAFE)))
    for name, value in known.tags.items():
        if name not in BAGGAGE_KEYS and _is_key(name):
            members.append(f"{name}={quote(value, _SAFE)}")
    if others:
        for member in others.split(","):
            key = member.partition("=")[0].strip(" \t")
            if key and key not in BAGGAGE_KEYS and key not in known.tags:
                members.append(member.strip(" \t"))
    text = ",".join(members)
    if len(text) <= MAX_BYTES and len(members) <= MAX_MEMBERS:
        return text
    return _what_fits(members)


def _what_fits(members: list[str]) -> str:
    fitting: list[str] = []
    room = MAX_BYTES + 1
    for member in members[:MAX_MEMBERS]:
        if len(member) + 1 <= room:
            room -= len(member) + 1
            fitting.append(member)
    return ",".join(fitting)
