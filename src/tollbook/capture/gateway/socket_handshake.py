"""The opening handshake of a WebSocket, on both sides of the gateway (RFC 6455 section 4).

``Sec-WebSocket-Key`` and ``-Accept`` pass through: the tunnel's two ends shake hands with each
other. Extensions are not offered to the provider, so that frames stay readable. What carries a key
where a browser can put it (a subprotocol, the query) becomes a header first, and is handled as one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_plus

from tollbook.capture.gateway.headers import CALL_ID, named_by_connection, response_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.capture.gateway.parsed import Request
    from tollbook.dialects.base import Header

_KEY_PROTOCOL: Final = b"openai-insecure-api-key."
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_VERSION: Final = b"13"
_PROTOCOL: Final = b"sec-websocket-protocol"
_EXTENSIONS: Final = b"sec-websocket-extensions"
_QUERY_KEYS: Final = (b"api-key=", b"api_key=")
_MODEL_NAMES: Final = ("model", "deployment")


class Handshake(NamedTuple):
    """A client's opening handshake as it is to be admitted."""

    target: bytes
    headers: list[Header]
    key: bytes
    """``Sec-WebSocket-Key``."""


def read_handshake(request: Request) -> Handshake | str:
    """Return a client's handshake, or what is wrong with it."""
    table = dict(request.headers)
    nonces = [value for name, value in request.headers if name == b"sec-websocket-key"]
    if len(nonces) != 1 or not _is_nonce(nonces[0]):
        return "Sec-WebSocket-Key must be 16 bytes in base64, once"
    if table.get(b"sec-websocket-version") != _VERSION:
        return "only version 13 of the WebSocket protocol is spoken here"
    target, query_key = _without_key(request.target)
    protocols: list[bytes] = []
    headers: list[Header] = []
    for name, value in request.headers:
        if name == _PROTOCOL:
            protocols += [part.strip() for part in value.split(b",") if part.strip()]
        elif name != _EXTENSIONS:
            headers.append((name, value))
    keys = [one[len(_KEY_PROTOCOL) :] for one in protocols if one.startswith(_KEY_PROTOCOL)]
    offered = [one for one in protocols if not one.startswith(_KEY_PROTOCOL)]
    if offered:
        headers.append((_PROTOCOL, b", ".join(offered)))
    if not {b"authorization", b"api-key"} & table.keys():
        if keys:
            headers.append((b"authorization", b"Bearer " + keys[0]))
        elif query_key is not None:
            headers.append((b"api-key", query_key))
    return Handshake(target, headers, nonces[0])


def _is_nonce(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _without_key(target: bytes) -> tuple[bytes, bytes | None]:
    """Take a key out of the query, where Azure lets browsers put it."""
    path, mark, query = target.partition(b"?")
    if not mark:
        return target, None
    found = None
    kept = []
    for pair in query.split(b"&"):
        if pair.lower().startswith(_QUERY_KEYS):
            found = unquote_plus(pair[len(_QUERY_KEYS[0]) :].decode("latin-1")).encode()
        else:
            kept.append(pair)
    if found is None or not found.isascii() or not found.decode().isprintable():
        found = None
    return path + (b"?" + b"&".join(kept) if kept else b""), found


def model_in_query(target: bytes) -> str | None:
    """Return the model (at Azure: the deployment) that the address of a socket names."""
    query = target.partition(b"?")[2].decode("latin-1")
    for name in _MODEL_NAMES:
        for pair in query.split("&"):
            have, _, value = pair.partition("=")
            if have == name and 0 < len(value) <= 256:  # noqa: PLR2004 -- longer is no model's name
                text = unquote_plus(value)
                if text.isprintable():
                    return text
    return None


def upgrade_lines(lines: Sequence[bytes]) -> bytes:
    """Return the header lines and the end of a handshake request to the provider."""
    return b"".join(lines) + b"connection: Upgrade\r\nupgrade: websocket\r\n\r\n"


def accept_problem(key: bytes, headers: Mapping[bytes, bytes]) -> str | None:
    """Return what is wrong with a provider's 101, None where it is right (section 4.1)."""
    if headers.get(b"upgrade", b"").lower() != b"websocket":
        return "it switched to another protocol than websocket"
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    if headers.get(b"sec-websocket-accept", b"") != base64.b64encode(digest):
        return "its Sec-WebSocket-Accept does not answer the key"
    if headers.get(_EXTENSIONS, b""):
        return "it chose an extension that was not offered"
    return None


def switching_protocols(headers: Sequence[Header], call_id: bytes) -> bytes:
    """Return the 101 that the client gets."""
    named: frozenset[bytes] = frozenset()
    for name, value in headers:
        if name == b"connection":
            named |= named_by_connection(value)
    return b"".join(
        (
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
            CALL_ID, b": ", call_id, b"\r\n",
            *response_fields(headers, named),
            b"\r\n",
        )
    )  # fmt: skip
