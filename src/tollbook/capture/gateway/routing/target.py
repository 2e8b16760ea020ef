"""A target of a route: where it is, how it has been doing, what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tollbook.capture.gateway.routing.breaker import CircuitBreaker

if TYPE_CHECKING:
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.config.routes import Breaker, RouteTarget

_FAILED_AS_S: Final = 10.0
"""A failure counts in that average as an answer that took at least so long."""
_OWN_PREFIX: Final = {"api.groq.com": "/openai/v1"}
"""Where providers have the endpoints that others have under ``/v1``, by host."""
_NEWEST_SHARE: Final = 0.2
"""Of the newest sample in the moving average of the time to first byte."""


class Target:
    """What one worker knows of a target."""

    __slots__ = (
        "attempts", "breaker", "connect_timeout_s", "failures", "fallbacks",
        "first_byte_timeout_s", "in_flight", "label", "latency_s", "model", "prefix",
        "rests_until", "retries", "upstream", "weight",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, settings: RouteTarget, breaker: Breaker) -> None:
        self.upstream = upstream
        self.model = settings.model
        self.label = f"{upstream.name}/{settings.model or '*'}"
        """Unique within its route."""
        self.weight = settings.weight
        prefix = settings.prefix
        if prefix is None:
            prefix = _OWN_PREFIX.get(urlsplit(upstream.settings.base_url).netloc, "/v1")
        self.prefix = prefix.encode("ascii")
        self.first_byte_timeout_s = settings.first_byte_timeout_s
        connect_s = settings.connect_timeout_s
        if connect_s is not None and connect_s >= upstream.settings.connect_timeout_s:
            connect_s = None  # the pool gives up no later
        self.connect_timeout_s = connect_s
        self.breaker = CircuitBreaker(breaker)
        self.latency_s: float | None = None
        """Moving average of the time to the first byte; None before the first answer."""
        self.rests_until = 0.0
        """The provider asked for a pause: others go first until then (loop time)."""
        self.in_flight = 0
        self.attempts = 0
        self.retries = 0
        """Attempts here after one of the same request failed, here or at another target."""
        self.fallbacks = 0
        """Attempts here in the place of another target."""
        self.failures = 0

    def named(self, model_requested: str | None) -> str:
        """Return ``provider/model`` for a request."""
        return f"{self.upstream.name}/{self.model or model_requested or ''}"

    def begin(self) -> None:
        """Take that an attempt begins; one of the next three is told of it, then :meth:`end`."""
        self.attempts += 1
        self.in_flight += 1
        self.breaker.begin()

    def succeeded(self, after_s: float) -> None:
        """Take that a good answer began."""
        self.breaker.succeeded()
        self._took(after_s)

    def failed(self, now: float, after_s: float) -> None:
        """Take that the target is at fault: no answer, or a server error."""
        self.failures += 1
        self.breaker.failed(now)
        self._took(max(after_s, _FAILED_AS_S))

    def end(self) -> None:
        """Take that an attempt is over."""
        self.in_flight -= 1

    def _took(self, seconds: float) -> None:
        before = self.latency_s
        if before is None:
            self.latency_s = seconds
        else:
            self.latency_s = before + _NEWEST_SHARE * (seconds - before)
