"""One request to a receiver: ``POST /v1/frames``, on a connection that is kept."""

from __future__ import annotations

import gzip
import http.client
import ssl
from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tollbook import __version__, clock
from tollbook.dialects.retry_after_text import retry_after_text_s
from tollbook.errors import TollbookError

FRAMES_PATH: Final = "/v1/frames"
LOST_HEADER: Final = "x-tollbook-calls-lost"
"""How many calls and spans the sender has given up since it last told of it."""

_ANSWER_MAX_BYTES: Final = 64 * 1024
_RETRY_AFTER_MAX_S: Final = 300.0
_GZIP_LEVEL: Final = 1
_SPLIT: Final = frozenset([400, 413, 415, 422])


class Outcome(Enum):
    """What became of a batch."""

    TAKEN = "taken"
    LATER = "later"  # not now; the same batch again
    REFUSED = "refused"  # something in it is not acceptable, or it is too large
    DENIED = "denied"  # no batch will be taken until somebody mends the settings


class Posted(NamedTuple):
    """An outcome, and what to know of it."""

    outcome: Outcome
    detail: str
    retry_after_s: float | None = None
    rejected: int = 0
    """How many frames of a batch that was taken are not acceptable, and never will be."""


class BadEndpointError(TollbookError):
    """The address of a receiver is none."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            f"endpoint {endpoint!r} is no address of a receiver; expected http://HOST:4318"
        )


class Post:
    """Sends batches to one receiver, from one thread.

    Args:
        endpoint: its base address (``https://tollbook.example.com``).
        key: a virtual key.
        timeout_s: of connecting, and of each wait for the receiver.

    Raises:
        BadEndpointError: the address is none.
    """

    def __init__(self, endpoint: str, key: str | None, timeout_s: float) -> None:
        try:
            parts = urlsplit(endpoint)
            self._address = (parts.hostname or "", parts.port)
        except ValueError:
            raise BadEndpointError(endpoint) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise BadEndpointError(endpoint)
        self._is_tls = parts.scheme == "https"
        self._path = parts.path.rstrip("/").removesuffix(FRAMES_PATH) + FRAMES_PATH
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._headers = {
            "content-type": "application/msgpack",
            "content-encoding": "gzip",
            "user-agent": f"tollbook-sdk/{__version__}",
        }
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"

    def send(self, body: bytes, lost: int = 0) -> Posted:
        """Send a batch; nothing is raised for what a network or receiver does."""
        headers = self._headers | ({LOST_HEADER: str(lost)} if lost else {})
        packed = gzip.compress(body, _GZIP_LEVEL)
        is_kept = self._connection is not None
        posted = self._try(packed, headers)
        if posted.outcome is Outcome.LATER and is_kept and self._connection is None:
            # The receiver had closed the connection that was kept; frames may come twice.
            posted = self._try(packed, headers)
        return posted

    def _try(self, packed: bytes, headers: dict[str, str]) -> Posted:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request("POST", self._path, packed, headers)
            answer = self._connection.getresponse()
            rest = answer.read(_ANSWER_MAX_BYTES + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return Posted(Outcome.LATER, f"{type(error).__name__}: {error}"[:200])
        if len(rest) > _ANSWER_MAX_BYTES or answer.will_close:
            self.close()
        status = answer.status
        if 200 <= status < 300:  # noqa: PLR2004 -- HTTP's own classes
            return _taken(status, rest)
        if status in _SPLIT:
            return Posted(Outcome.REFUSED, f"status {status}")
        if status in {408, 425, 429} or status >= 500:  # noqa: PLR2004 -- HTTP's own classes
            wait_s = retry_after_s(answer.headers.get("retry-after"))
            return Posted(Outcome.LATER, f"status {status}", wait_s)
        return Posted(Outcome.DENIED, f"status {status}")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Answer(msgspec.Struct):
    """What a receiver says of the frames that it has taken."""

    rejected: int = 0
    message: str = ""


def _taken(status: int, body: bytes) -> Posted:
    try:
        said = msgspec.json.decode(body, type=_Answer)
    except msgspec.MsgspecError:
        return Posted(Outcome.TAKEN, f"status {status}")
    return Posted(Outcome.TAKEN, said.message[:200], rejected=max(0, said.rejected))


def retry_after_s(value: str | None) -> float | None:
    """Return what ``Retry-After`` asks for, in seconds, bounded."""
    wait_s = None if value is None else retry_after_text_s(value, clock.utc_now())
    return None if wait_s is None else min(wait_s, _RETRY_AFTER_MAX_S)
