"""The request as it leaves for a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from tollbook.capture.gateway.credentials.base import Unsigned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.capture.gateway.admission import Admitted
    from tollbook.capture.gateway.credentials.base import Signed, Signer
    from tollbook.capture.gateway.framing import Framing
    from tollbook.dialects.base import RequestFacts

_KEPT_BODY_BYTES: Final = 4096
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


def signer_of(admitted: Admitted) -> Signer | None:
    """Return what gives a call its credential at the last moment, None where nothing does."""
    signer = admitted.upstream.signer
    if signer is None or admitted.caller is None or admitted.caller.binding is None:
        return None  # the caller's own key, which went with the other headers
    return signer


def signed(admitted: Admitted, facts: RequestFacts, method: str) -> Signed | None:
    """Return the credential of a request that a signer signs; its body is here if it must be."""
    upstream = admitted.upstream
    if upstream.signer is None:
        return None
    signer = signer_of(admitted)
    if signer is None:
        return None
    return signer.sign(
        Unsigned(
            method,
            upstream.path_prefix + admitted.target,
            upstream.host,
            b"".join(admitted.lines) + facts.lines,
            facts.body,
        )
    )


def request_bytes(
    admitted: Admitted,
    facts: RequestFacts,
    framing: Framing,
    method: str,
    body: Sequence[bytes],
    *,
    is_complete: bool,
    credential: Signed | None = None,
) -> bytes:
    """Return the head, built anew, and as much of the body as is here.

    A metered body is whole and leaves with its length; any other keeps its framing.
    """
    upstream = admitted.upstream
    pieces = [
        method.encode(), b" ", upstream.path_prefix, admitted.target, upstream.host_line,
        *admitted.lines, facts.lines,
    ]  # fmt: skip
    if credential is not None:
        pieces.append(credential.lines)
    if admitted.route.inspects_body:
        pieces += (b"content-length: %d\r\n\r\n" % len(facts.body), facts.body)
    elif framing.is_chunked:
        pieces.append(b"transfer-encoding: chunked\r\n\r\n")
        pieces += [chunk(part) for part in body]
        if is_complete:
            pieces.append(b"0\r\n\r\n")
    else:
        if framing.content_length is not None:
            pieces.append(b"content-length: %d\r\n" % framing.content_length)
        elif method in _WITH_BODY:
            pieces.append(b"content-length: 0\r\n")
        pieces.append(b"\r\n")
        pieces += body
    return b"".join(pieces)


def chunk(data: bytes) -> bytes:
    """Return data as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def without_body(facts: RequestFacts) -> RequestFacts:
    """Let go of a body that is large, while the answer streams."""
    if len(facts.body) <= _KEPT_BODY_BYTES:
        return facts
    return structs.replace(facts, body=b"")
