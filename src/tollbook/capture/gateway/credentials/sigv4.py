"""AWS Signature Version 4 of one request (AWS General Reference, "Create a signed request").

The rules are those of every service but S3: path segments as sent are encoded once more, dot
segments and empty segments taken out, so that a model id with ``:`` or ``/`` in it, which clients
send percent-encoded, is encoded twice in what is signed.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.capture.gateway.credentials.base import Unsigned

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SIGNED_TOO: Final = frozenset({"content-type", "content-md5"})


class AwsKey(NamedTuple):
    """Credentials of AWS at one moment."""

    access_key_id: str
    secret: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"AwsKey({self.access_key_id[:4]}...)"


class Scope(NamedTuple):
    """What a signature is good for."""

    region: str
    service: str


def sigv4_lines(request: Unsigned, key: AwsKey, scope: Scope, amz_date: str) -> bytes:
    """Return the header lines that sign a request.

    Signed are host, content type and every ``x-amz-*`` header, those added here included.

    Args:
        request: What leaves, with the whole body.
        key: Whose signature it is.
        scope: Region and service (``bedrock``) it is for.
        amz_date: The moment in UTC as ``20261121T110000Z``.
    """
    body_hash = hashlib.sha256(request.body).hexdigest()
    added = {"x-amz-content-sha256": body_hash, "x-amz-date": amz_date}
    if key.session_token:
        added["x-amz-security-token"] = key.session_token
    added["authorization"] = authorization(request, added, body_hash, key, scope)
    return "".join([f"{name}: {value}\r\n" for name, value in added.items()]).encode("latin-1")


def authorization(
    request: Unsigned, added: Mapping[str, str], body_hash: str, key: AwsKey, scope: Scope
) -> str:
    """Return the value of ``Authorization``; ``added`` are headers signed too (``x-amz-date``)."""
    signed = _signed_headers(request, added)
    names = ";".join([name for name, _ in signed])
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.target),
            _canonical_query(request.target),
            *[f"{name}:{value}" for name, value in signed],
            "",
            names,
            body_hash,
        )
    )
    amz_date = added["x-amz-date"]
    parts = (amz_date[:8], scope.region, scope.service, "aws4_request")
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    to_sign = "\n".join((_ALGORITHM, amz_date, "/".join(parts), digest))
    signing_key = _signing_key(key.secret, parts)
    signature = hmac.digest(signing_key, to_sign.encode("latin-1"), "sha256").hex()
    return (
        f"{_ALGORITHM} Credential={key.access_key_id}/{'/'.join(parts)},"
        f" SignedHeaders={names}, Signature={signature}"
    )


@lru_cache(maxsize=16)
def _signing_key(secret: str, parts: tuple[str, ...]) -> bytes:
    """Return what signs for a day, a region and a service."""
    key = ("AWS4" + secret).encode()
    for part in parts:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signed_headers(request: Unsigned, added: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return name and value of what is signed, sorted; values of one name joined in order."""
    values: dict[str, list[str]] = {"host": [request.host.decode("latin-1")]}
    for line in request.lines.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        name = name.strip().lower()
        if name in added:
            continue
        if name in _SIGNED_TOO or name.startswith(("x-amz-", "x-amzn-")):
            values.setdefault(name, []).append(" ".join(value.split()))
    for name, value in added.items():
        values[name] = [value]
    return [(name, ",".join(values[name])) for name in sorted(values)]


def _canonical_path(target: bytes) -> str:
    path = target.partition(b"?")[0].decode("latin-1")
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    ends_open = path.endswith("/") and kept
    return quote("/" + "/".join(kept) + ("/" if ends_open else ""), safe="/~", encoding="latin-1")


def _canonical_query(target: bytes) -> str:
    query = target.partition(b"?")[2].decode("latin-1")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(f"{name}={value}" for name, value in sorted((n, v) for n, _, v in pairs))
