"""Answers given before, in memory: exact match, one tenant each, bounded, gone with the worker.

Nothing of it reaches disk or logs. What is compared is a digest, so that questions are not kept.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.call import CallClosed
    from tollbook.config.schema import ResponseCacheSettings
    from tollbook.dialects.base import Header

_ENTRY_BYTES: Final = 2048
"""What an entry takes beside its answer."""
_LARGEST_PART: Final = 8
"""No answer may fill more of the cache than one of so many parts."""
_HAS_STATE: Final = frozenset({"conversation", "background"})
"""Members of a request that change something at the provider, or answer before the result."""
_NOT_COMPARED: Final = frozenset(
    {
        b"user-agent", b"idempotency-key", b"x-request-id", b"x-client-request-id", b"date",
        b"cookie", b"sentry-trace", b"cache-control", b"pragma", b"accept-encoding", b"origin",
        b"referer", b"x-should-retry", b"priority", b"accept-language",
    }
)  # fmt: skip
_NOT_COMPARED_PREFIXES: Final = (b"x-stainless-", b"sec-", b"cf-", b"x-b3-")
_NOT_REPLAYED: Final = frozenset(
    {
        b"date", b"set-cookie", b"age", b"retry-after", b"x-request-id", b"request-id", b"cf-ray",
        b"server-timing", b"openai-processing-ms", b"content-length",
    }
)  # fmt: skip
_NOT_REPLAYED_PREFIXES: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")


class Kept(NamedTuple):
    """An answer, and the call that it was made for."""

    headers: list[Header]
    body: bytes
    closed: CallClosed
    kept_at_s: float
    size_bytes: int


class ResponseCache:
    """The answers of one worker; the least recently used go first.

    Args:
        settings: bounds.
    """

    def __init__(self, settings: ResponseCacheSettings) -> None:
        self._ttl_s = settings.ttl_s
        self._max_bytes = settings.max_bytes
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.size_bytes = 0
        self.max_answer_bytes = settings.max_bytes // _LARGEST_PART
        self.outcomes = {"hit": 0, "miss": 0, "bypass": 0}
        """Requests that wanted the cache, by what became of that."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, now_s: float) -> Kept | None:
        """Return the answer kept under a key, unless it is too old."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now_s - kept.kept_at_s > self._ttl_s:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(
        self, key: bytes, headers: list[Header], body: bytes, closed: CallClosed, now_s: float
    ) -> None:
        """Keep an answer, and let go of the least recently used for it."""
        if len(body) > self.max_answer_bytes:
            return
        fields = [header for header in headers if _is_replayed(header[0])]
        size = len(body) + sum(len(n) + len(v) for n, v in fields) + _ENTRY_BYTES
        if size > self._max_bytes:
            return
        if key in self._kept:
            self._drop(key)
        self._kept[key] = Kept(fields, body, closed, now_s, size)
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self.size_bytes -= self._kept.pop(key).size_bytes


def cache_key(
    owner: tuple[str, ...],
    target: tuple[str, str, bytes],
    headers: Iterable[Header],
    body: bytes,
) -> bytes | None:
    """Return the digest that equal requests of one owner share; None for one that has state.

    Args:
        owner: tenant, and user where answers are not shared within a tenant.
        target: route or provider, method, path with query.
        headers: those that reach the provider, without the credential.
        body: JSON; members may stand in any order and spacing, everything else is compared.
    """
    canonical = _canonical(body)
    if canonical is None:
        return None
    digest = hashlib.sha256()
    scope, method, path = target
    compared = sorted(header for header in headers if _is_compared(header[0]))
    parts = [part.encode() for part in (*owner, scope, method)]
    for part in (*parts, path, *(piece for header in compared for piece in header), canonical):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _canonical(body: bytes) -> bytes | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or any(value.get(name) for name in _HAS_STATE):
        return None
    try:
        return msgspec.json.encode(value, order="sorted")
    except (msgspec.EncodeError, UnicodeEncodeError, RecursionError, OverflowError):
        return None


def _is_compared(name: bytes) -> bool:
    return name not in _NOT_COMPARED and not name.startswith(_NOT_COMPARED_PREFIXES)


def _is_replayed(name: bytes) -> bool:
    return name not in _NOT_REPLAYED and not name.startswith(_NOT_REPLAYED_PREFIXES)
