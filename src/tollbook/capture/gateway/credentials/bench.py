"""When a key is left alone: after the provider refused it or said that its limit is reached."""

from __future__ import annotations

from typing import Final, Literal

from tollbook import clock

Verdict = Literal["ok", "refused", "limited"]

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
REFUSED_S: Final = 60.0
MAX_REFUSED_S: Final = 960.0
LIMITED_S: Final = 1.0
MAX_LIMITED_S: Final = 60.0


def verdict_of(status: int) -> Verdict:
    """Return what an answer says of the key that it was asked with."""
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return "refused"
    return "limited" if status == _TOO_MANY else "ok"


class Bench:
    """One key's time off: a minute after a refusal, doubled while it goes on; short after a 429."""

    __slots__ = ("_refusals", "until_s")

    def __init__(self) -> None:
        self.until_s = 0.0
        """On the monotonic clock."""
        self._refusals = 0

    @property
    def is_on(self) -> bool:
        """Whether the key is to be left alone now."""
        return self.until_s > 0 and self.until_s > now_s()

    def take(self, verdict: Verdict, retry_after_s: float | None) -> None:
        """Take what an answer said."""
        if verdict == "ok":
            self._refusals = 0
            self.until_s = 0.0
        elif verdict == "refused":
            if self.is_on and self._refusals:
                return  # calls that were under way together are one refusal
            rest_s = min(REFUSED_S * 2.0 ** min(self._refusals, 8), MAX_REFUSED_S)
            self._refusals += 1
            self.until_s = now_s() + rest_s
        else:
            rest_s = min(retry_after_s or LIMITED_S, MAX_LIMITED_S)
            self.until_s = max(self.until_s, now_s() + rest_s)

    def clear(self) -> None:
        """Forget everything: the key is another one now."""
        self._refusals = 0
        self.until_s = 0.0


def now_s() -> float:
    """Return the monotonic clock in seconds."""
    return clock.monotonic_ns() / clock.NS_PER_S
