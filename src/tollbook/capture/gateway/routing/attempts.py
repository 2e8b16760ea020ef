"""The attempts of one request: which target is next, and after what wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook.capture.gateway.routing.backoff import full_jitter_s

if TYPE_CHECKING:
    from random import Random

    from tollbook.capture.gateway.routing.plan import Plan
    from tollbook.capture.gateway.routing.policy import Failed
    from tollbook.capture.gateway.routing.target import Target


class Next(NamedTuple):
    """A further attempt."""

    target: Target
    wait_s: float


class Attempts:
    """What one request has tried; times are seconds of one monotonic clock.

    Retries stay among the route's targets: one that has not been tried goes first, without a wait,
    then those that failed, after one. Fallbacks follow, each once. A failure that is worth a
    fallback but no retry leads to targets that have not been tried only.

    Args:
        plan: the route.
        order: its targets, in the order for this request.
        random: for the jitter.
    """

    __slots__ = (
        "_due", "_fallbacks_left", "_order", "_plan", "_random", "_retries_left", "_tried",
        "_waited_s", "count", "present", "primary",
    )  # fmt: skip

    def __init__(self, plan: Plan, order: list[Target], random: Random) -> None:
        self._plan = plan
        self._order = order
        self._random = random
        self._tried: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._waited_s = 0.0
        self._retries_left = plan.policy.retries
        self._fallbacks_left = list(plan.fallbacks)
        self.primary: Target = order[0]
        """What fallbacks stand in for: the target that would have been first."""
        self.present: Target = order[0]
        self.count = 0
        """Attempts begun."""

    def first(self, now: float) -> Target | None:
        """Return the target to begin with, None when nothing may be sent to any of them."""
        for target in (*self._order, *self._fallbacks_left):
            if target.breaker.allows(now):
                if target in self._fallbacks_left:
                    self._drop_fallbacks_before(target)
                    self._retries_left = 0
                return target
        return None

    @property
    def may_go_on(self) -> bool:
        """Whether any further attempt could follow, whatever the failure."""
        return self._retries_left > 0 or bool(self._fallbacks_left)

    def begin(self, target: Target) -> None:
        """Take that an attempt begins."""
        self.present = target
        self.count += 1
        self._tried[target.label] = self._tried.get(target.label, 0) + 1

    def after(self, failed: Failed, now: float) -> Next | None:
        """Return the attempt to make after the present one failed, None when there is none."""
        policy = self._plan.policy
        if failed.retry_after_s is not None:
            self._due[self.present.label] = now + failed.retry_after_s
        if self._retries_left > 0 and policy.retry_on.match(failed):
            following = self._retry(now)
            if following is not None:
                self._retries_left -= 1
                self._waited_s += following.wait_s
                return following
        if not policy.fallback_on.match(failed):
            return None
        if self._retries_left > 0:
            untried = self._untried(now)
            if untried is not None:
                self._retries_left -= 1
                return untried
        return self._fallback(now)

    def instead(self, target: Target, now: float) -> Target | None:
        """Return where to send after a wait: the target, or another if it may not be used now."""
        if target.breaker.allows(now):
            return target
        for other in self._order:
            if other.breaker.allows(now) and self._due.get(other.label, 0.0) <= now:
                return other
        fallback = self._fallback(now)
        return None if fallback is None else fallback.target

    def _retry(self, now: float) -> Next | None:
        untried = self._untried(now)
        if untried is not None:
            return untried
        open_to = [target for target in self._order if target.breaker.allows(now)]
        policy = self._plan.policy
        left_s = policy.max_wait_s - self._waited_s
        best: Next | None = None
        for target in sorted(open_to, key=lambda each: self._tried[each.label]):
            wait_s = max(
                full_jitter_s(
                    self._tried[target.label],
                    policy.backoff_base_s,
                    policy.backoff_max_s,
                    self._random,
                ),
                self._due.get(target.label, now) - now,
            )
            if wait_s <= left_s and (best is None or wait_s < best.wait_s):
                best = Next(target, wait_s)
        return best

    def _untried(self, now: float) -> Next | None:
        for target in self._order:
            if target.label not in self._tried and target.breaker.allows(now):
                return Next(target, 0.0)
        return None

    def _fallback(self, now: float) -> Next | None:
        self._retries_left = 0
        while self._fallbacks_left:
            target = self._fallbacks_left.pop(0)
            if target.breaker.allows(now):
                return Next(target, 0.0)
        return None

    def _drop_fallbacks_before(self, target: Target) -> None:
        while self._fallbacks_left.pop(0) is not target:
            pass
