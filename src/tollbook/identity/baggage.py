"""A strict reader of the W3C ``baggage`` header.

Written here because the OpenTelemetry propagator turns ``+`` into a space, keeps ``;properties`` in
the value, lets the last duplicate win, reads only the first of several headers and drops everything
when the header is longer than the limit. This one follows W3C Baggage section 3.3: values are
percent-decoded, ``+`` is itself, properties are not part of the value. What fits the limits is kept
and the rest is named as a problem.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from tollbook.identity.names import BAGGAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.identity.values import ClaimsBuilder

MAX_BYTES = 8192
MAX_MEMBERS = 180
"""The limits of W3C Baggage section 3.3.2: what every platform must at least propagate."""

_is_key = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_plain_id = re.compile(r"[\w/][\w.:@/|+~=&#-]{0,127}", re.ASCII).fullmatch
_is_value = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch


def read_baggage(builder: ClaimsBuilder, values: Sequence[bytes]) -> None:
    """Add what the baggage headers of one request say to the builder."""
    raw = values[0] if len(values) == 1 else b",".join(values)
    cut_bytes = 0
    if len(raw) > MAX_BYTES:
        # Only whole members: what was cut in the middle would be another value.
        end = MAX_BYTES if raw[MAX_BYTES] == ord(",") else max(raw.rfind(b",", 0, MAX_BYTES), 0)
        cut_bytes = len(raw) - end
        raw = raw[:end]
    members = raw.decode("latin-1").split(",")
    if cut_bytes:
        builder.problem(f"baggage is over {MAX_BYTES} bytes; the last {cut_bytes} were not read")
    if len(members) > MAX_MEMBERS:
        builder.problem(
            f"baggage has over {MAX_MEMBERS} members; the last {len(members) - MAX_MEMBERS}"
            " were not read"
        )
        del members[MAX_MEMBERS:]
    for member in members:
        _read_member(builder, member)


def _read_member(builder: ClaimsBuilder, member: str) -> None:
    key, equals, value = member.partition("=")
    key = key.strip(" \t")
    if not equals:
        if key:
            builder.problem("a baggage member has no '='")
        return
    if ";" in value:
        value = value.partition(";")[0]
    value = value.strip(" \t")
    field = BAGGAGE_KEYS.get(key)
    if (
        field is not None
        and field not in builder.fields
        and field != "request_origin"
        and _is_plain_id(value)
    ):
        builder.fields[field] = value  # nearly every member of nearly every call
        return
    if field is None and not _is_key(key):
        builder.problem("a baggage key holds a character that keys may not have")
        return
    where = f"baggage {key[:64]}"
    if not _is_value(value):
        builder.problem(f"{where} holds a character that must be percent-encoded")
        return
    if "%" in value:
        value = unquote_to_bytes(value).decode("utf-8", "replace")
    if field is not None:
        builder.put_field(field, value, where)
    else:
        builder.put_tag(key, value, where)
