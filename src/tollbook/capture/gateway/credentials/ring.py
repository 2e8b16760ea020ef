"""Several keys of one provider, used in turn by weight; the ones it refuses are left alone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from tollbook.capture.gateway.callers import missing_key
from tollbook.capture.gateway.credentials.base import KeyState
from tollbook.capture.gateway.credentials.bench import Bench, verdict_of
from tollbook.capture.gateway.credentials.held import Held

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.credentials.base import Unsigned
    from tollbook.capture.gateway.credentials.bench import Verdict
    from tollbook.capture.gateway.credentials.readers import Reader

FINGERPRINT_DIGITS: Final = 12


def fingerprint(secret: str) -> str:
    """Return what a key may be called in public: the beginning of its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:FINGERPRINT_DIGITS]


class RingKey:
    """One key of a ring, as :class:`Signed` for the requests it goes with."""

    __slots__ = ("_retry_after_s", "bench", "calls", "credit", "fingerprint", "held", "lines",
                 "version", "weight")  # fmt: skip

    def __init__(
        self,
        held: Held[str],
        weight: int,
        retry_after_s: Callable[[int, Mapping[bytes, bytes]], float | None],
    ) -> None:
        self.held = held
        self.weight = weight
        self._retry_after_s = retry_after_s
        self.bench = Bench()
        self.lines = b""
        self.fingerprint = ""
        self.version = 0
        self.credit = 0
        self.calls: dict[Verdict, int] = {"ok": 0, "refused": 0, "limited": 0}

    def answered(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Bench the key that was refused or limited, and look for a newer one."""
        verdict = verdict_of(status)
        self.calls[verdict] += 1
        if verdict == "ok" and not self.bench.until_s:
            return
        limited_s = self._retry_after_s(status, headers) if verdict == "limited" else None
        self.bench.take(verdict, limited_s)
        if verdict == "refused":
            self.held.refused()


class KeyRing:
    """The keys of one provider; see :class:`Signer`.

    Keys take turns so that each gets its share at once, not only in the long run (smooth weighted
    round robin). Where all are benched, the one whose time off ends first serves: a call is never
    refused for that, since the provider's own answer says more.

    Args:
        provider: Its name, for messages.
        loop: The worker's.
        readers: Where each key comes from, with its weight.
        lines_of: Makes the header lines of a key.
        retry_after_s: Reads how long an answer asks to wait (seconds).
    """

    signs_body = False

    def __init__(
        self,
        provider: str,
        loop: asyncio.AbstractEventLoop,
        readers: Sequence[tuple[Reader[str], int]],
        lines_of: Callable[[str], bytes],
        retry_after_s: Callable[[int, Mapping[bytes, bytes]], float | None],
    ) -> None:
        self._provider = provider
        self._lines_of = lines_of
        self._keys = [
            RingKey(Held(loop, reader, self._changed), weight, retry_after_s)
            for reader, weight in readers
        ]
        self._ready: list[RingKey] = []
        self._waiting: list[Callable[[Refusal | None], None]] = []

    def when_ready(self, then: Callable[[Refusal | None], None]) -> None:
        """Call back when a key is there, or when none of the sources has one."""
        if self._ready:
            then(None)
            return
        self.tick()
        if any(key.held.is_reading for key in self._keys):
            self._waiting.append(then)
        else:
            then(self._refusal())

    def sign(self, request: Unsigned) -> RingKey:  # noqa: ARG002 -- a key is the same for every request
        """Return the key whose turn it is."""
        ready = self._ready
        if len(ready) == 1:
            return ready[0]
        free = [key for key in ready if not key.bench.is_on]
        if not free:
            return min(ready, key=_rests_until_s)
        for key in free:
            key.credit += key.weight
        chosen = max(free, key=_credit)
        chosen.credit -= sum([key.weight for key in free])
        return chosen

    def tick(self) -> None:
        """Read again what is due."""
        for key in self._keys:
            key.held.tick()

    def states(self) -> list[KeyState]:
        """Return what may be shown of the keys."""
        return [
            KeyState(key.held.description, key.fingerprint, dict(key.calls), key.bench.is_on)
            for key in self._keys
        ]

    def close(self) -> None:
        """Take no further reading."""
        for key in self._keys:
            key.held.close()

    def _changed(self) -> None:
        for key in self._keys:
            held = key.held
            if held.value is not None and key.version != held.version:
                key.version = held.version
                key.lines = self._lines_of(held.value)
                key.fingerprint = fingerprint(held.value)
                key.bench.clear()
        self._ready = [key for key in self._keys if key.version]
        if self._ready or not any(key.held.is_reading for key in self._keys):
            refusal = None if self._ready else self._refusal()
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then(refusal)

    def _refusal(self) -> Refusal:
        problems = dict.fromkeys(key.held.problem for key in self._keys)
        return missing_key(self._provider, "; ".join(problems))


def _rests_until_s(key: RingKey) -> float:
    return key.bench.until_s


def _credit(key: RingKey) -> int:
    return key.credit
