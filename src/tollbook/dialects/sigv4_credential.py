"""How AWS clients carry a key: AWS Signature Version 4 in ``Authorization``.

The signature covers host and path, so the gateway can read who signed but never pass it on to
another host. A client that signs shows a virtual key as its access key id; what it signs with is
of no account, since the virtual key itself is the secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tollbook.dialects.http_head import text_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.dialects.base import Header

_CREDENTIAL_HEADERS: Final = frozenset(
    {b"authorization", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"}
)
_SCHEME: Final = "AWS4-HMAC-SHA256"
_access_key = re.compile(r"[ ,]Credential=(?P<id>[^/,\s]{1,256})/").search


def sigv4_access_key(headers: Sequence[Header]) -> str | None:
    """Return the access key id that signed a request, None where none did.

    As AWS General Reference, "Signature Version 4": ``Authorization: AWS4-HMAC-SHA256
    Credential=ID/date/region/service/aws4_request, SignedHeaders=..., Signature=...``.
    """
    value = text_header(headers, b"authorization")
    if value is None or not value.startswith(_SCHEME):
        return None
    match = _access_key(value)
    return None if match is None else match["id"]


def is_sigv4_header(name: bytes) -> bool:
    """Whether a header (lower case) belongs to a signature and is replaced with it."""
    return name in _CREDENTIAL_HEADERS
