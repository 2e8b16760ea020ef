"""What an attempt failed with, and which failures are worth another attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tollbook.config.routes import ModelRoute
    from tollbook.dialects.base import Dialect

FailureCause = Literal["connect", "busy", "timeout", "disconnect"]
"""Why there is no answer; ``busy`` is that all connections to the provider are in use."""


class Failed(NamedTuple):
    """How an attempt failed: without an answer, or with an error from the provider."""

    cause: FailureCause | None = None
    status: int = 0
    is_temporary: bool = False
    """The API calls the error a passing one."""
    retry_after_s: float | None = None


def failed_answer(
    dialect: Dialect, status: int, error_type: str | None, headers: Mapping[bytes, bytes]
) -> Failed:
    """Return what an error answer says; ``x-should-retry`` (OpenAI, Anthropic) goes first."""
    advice = headers.get(b"x-should-retry")
    is_temporary = (
        advice == b"true"
        if advice in {b"true", b"false"}
        else dialect.is_retryable(status, error_type)
    )
    return Failed(None, status, is_temporary, dialect.retry_after_s(status, headers))


class FailureRules:
    """The ``retry_on`` or ``fallback_on`` of a route."""

    __slots__ = ("_causes", "_is_any_temporary", "_statuses")

    def __init__(self, rules: Iterable[str | int]) -> None:
        rules = tuple(rules)
        causes = {rule for rule in rules if isinstance(rule, str)}
        if "connect" in causes:
            causes.add("busy")
        self._is_any_temporary = "status" in causes
        self._causes = frozenset(causes)
        self._statuses = frozenset(rule for rule in rules if isinstance(rule, int))

    def match(self, failed: Failed) -> bool:
        """Return whether a failure is among them."""
        if failed.cause is not None:
            return failed.cause in self._causes
        return failed.status in self._statuses or (self._is_any_temporary and failed.is_temporary)


class RetryPolicy(NamedTuple):
    """The retries of a route, ready for use."""

    retries: int
    retry_on: FailureRules
    fallback_on: FailureRules
    backoff_base_s: float
    backoff_max_s: float
    max_wait_s: float


def retry_policy(route: ModelRoute) -> RetryPolicy:
    """Return the policy that a route's settings ask for."""
    return RetryPolicy(
        route.retries,
        FailureRules(route.retry_on),
        FailureRules(route.fallback_on),
        route.backoff_base_s,
        route.backoff_max_s,
        route.max_wait_s,
    )
