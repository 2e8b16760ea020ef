"""Checks AWS Signature Version 4 as the service does, and refuses what was not signed so.

Written from the specification (AWS General Reference, "Create a signed request") and apart from
the gateway's signer, so that each tests the other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tollbook.clock import NS_PER_S
from tollbook.simulator.provider.answers import RefusedError

if TYPE_CHECKING:
    from tollbook.simulator.provider.api import Incoming

ACCESS_KEY_ID: Final = "sk-sim-AKIA00000001"
SECRET_ACCESS_KEY: Final = "simulated/secret+access/key"  # noqa: S105 -- known to all, worth nothing
SESSION_TOKEN: Final = "simulated-session-token"  # noqa: S105 -- ditto
_MAX_SKEW_S: Final = 300
_parts = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<scope>(?P<date>\d{8})/[\w-]+/bedrock/"
    r"aws4_request), ?SignedHeaders=(?P<names>[\w;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
).fullmatch


def access_key_id(headers: dict[str, str]) -> str | None:
    """Return who signed, None for a request that is not signed."""
    found = _parts(headers.get("authorization", ""))
    return found["id"] if found else None


def check_signature(incoming: Incoming) -> None:
    """Refuse a signed request whose signature does not fit; a bearer token is not looked at."""
    value = incoming.headers.get("authorization", "")
    if value[:7].lower() == "bearer ":
        return
    found = _parts(value)
    if found is None:
        raise RefusedError(403, "IncompleteSignatureException", "not a signature of version 4")
    amz_date = incoming.headers.get("x-amz-date", "")
    _check_date(amz_date, found["date"], incoming.arrived_at_ns)
    token = incoming.headers.get("x-amz-security-token")
    if token not in (None, SESSION_TOKEN):
        raise RefusedError(403, "UnrecognizedClientException", "The security token is invalid.")
    names = found["names"].split(";")
    if "host" not in names or (token is not None and "x-amz-security-token" not in names):
        raise RefusedError(403, "InvalidSignatureException", "host or token is not signed")
    canonical = "\n".join(
        (
            incoming.method,
            quote(incoming.full_path, safe="/-_.~"),
            incoming.query,
            *(f"{name}:{' '.join(incoming.headers.get(name, '').split())}" for name in names),
            "",
            found["names"],
            hashlib.sha256(incoming.raw_body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{amz_date}\n{found['scope']}\n{digest}"
    key = f"AWS4{SECRET_ACCESS_KEY}".encode()
    for part in found["scope"].split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, found["signature"]):
        raise RefusedError(
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        )


def _check_date(amz_date: str, day: str, arrived_at_ns: int) -> None:
    try:
        signed_at = datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RefusedError(403, "IncompleteSignatureException", "x-amz-date is missing") from None
    skew_s = abs(signed_at.timestamp() - arrived_at_ns / NS_PER_S)
    if skew_s > _MAX_SKEW_S or not amz_date.startswith(day):
        raise RefusedError(403, "InvalidSignatureException", "Signature expired")
