"""Months of made-up calls with one planted trouble, and when it began: what rules are tried on.

Thirty tenants of very different sizes with days, nights and weekends, log-normal calls, agents and
retries. Nothing here knows anything of the rules.
"""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET: Final = "quiet"
RUNAWAY_LOOP: Final = "runaway_loop"
RETRY_STORM: Final = "retry_storm"
PRICE_CHANGE: Final = "price_change"
SEASONAL_PEAK: Final = "seasonal_peak"
SLOW_GROWTH: Final = "slow_growth"
CACHE_LOSS: Final = "cache_loss"
SCENARIOS: Final = (
    RUNAWAY_LOOP, RETRY_STORM, PRICE_CHANGE, SLOW_GROWTH, CACHE_LOSS, SEASONAL_PEAK, QUIET,
)  # fmt: skip
WITHOUT_TROUBLE: Final = frozenset([QUIET, SEASONAL_PEAK])
"""Whatever fires in these is a false alarm."""
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
HISTORY_DAYS: Final = 35

_FEATURES: Final = ("search", "assistant", "summary", "triage")
_MODELS: Final = (("openai", "gpt-large"), ("openai", "gpt-small"), ("anthropic", "claude-medium"))
_PRICES: Final = {"gpt-large": (5, 15), "gpt-small": (1, 4), "claude-medium": (3, 15)}
"""Dollars by million tokens of input and output; what is read from a cache costs a tenth."""
_DAY: Final = (3, 2, 2, 2, 2, 3, 5, 9, 14, 18, 20, 20, 18, 19, 20, 20, 18, 15, 12, 10, 8, 7, 5, 4)
_MONDAY_PEAK: Final = range(9, 12)
_SATURDAY: Final = 5
_RARE: Final = 0.01
_FAILS: Final = 0.3
_WORKDAY: Final = (8, 17)
_PICO_BY_TOKEN: Final = 10**6
"""A dollar by million tokens is so many pico a token."""


class Made(NamedTuple):
    """One call. Money is pico."""

    at: datetime
    tenant: str
    feature: str
    provider: str
    model: str
    request: str
    is_error: bool
    is_retry: bool
    run: str | None
    step: str | None
    uncached: int
    read: int
    output: int
    uncached_cost: int
    read_cost: int
    output_cost: int

    @property
    def cost(self) -> int:
        """What it costs."""
        return self.uncached_cost + self.read_cost + self.output_cost


class Plan(NamedTuple):
    """What happens in a made-up world."""

    scenario: str
    seed: int
    begins: datetime
    ends: datetime
    tenant: str | None
    """Whose trouble it is; None: everybody's, or nobody's."""
    until: datetime
    """The first moment that is not made."""
    model: str | None = None


def plan_of(scenario: str, seed: int, *, days: int = 28, tenants: int = 30) -> Plan:
    """Return what happens for a seed; trouble begins on a working day after the history."""
    chance = random.Random(f"{scenario} {seed}")
    first = START + timedelta(days=HISTORY_DAYS)
    begins = first + timedelta(days=1 + chance.randrange(4), hours=chance.randrange(24))
    if scenario == RETRY_STORM:  # a client that is used by day
        begins = begins.replace(hour=chance.randrange(*_WORKDAY))
    until = first + timedelta(days=days)
    lengths = {RUNAWAY_LOOP: 6, RETRY_STORM: 6, CACHE_LOSS: 48}
    length = lengths.get(scenario)
    ends = until if length is None else begins + timedelta(hours=length)
    number = chance.randrange(3, max(4, tenants // 3))
    if scenario == RETRY_STORM:
        number = chance.randrange(3)
    one = None if scenario in {*WITHOUT_TROUBLE, PRICE_CHANGE, CACHE_LOSS} else tenant_name(number)
    model = "claude-medium" if scenario == PRICE_CHANGE else None
    return Plan(scenario, seed, begins, ends, one, until, model)


def tenant_name(number: int) -> str:
    """Return the name of a tenant; the first ones are the largest."""
    return f"tenant-{number:02}"


def calls_of(plan: Plan, *, tenants: int = 30, per_hour: float = 120.0) -> Iterator[Made]:
    """Yield every call of a world, hour by hour, those of an hour by tenant.

    Args:
        plan: what happens.
        tenants: how many there are.
        per_hour: calls of all of them in an hour of a week's mean.
    """
    chance = random.Random(f"calls {plan.seed}")
    weights = [1 / (at + 1) ** 0.9 for at in range(tenants)]
    whole = sum(weights)
    hour = START
    while hour < plan.until:
        shape = _DAY[hour.hour] / 10.7 * (0.35 if hour.weekday() >= _SATURDAY else 1.25)
        if plan.scenario == SEASONAL_PEAK and hour.weekday() == 0 and hour.hour in _MONDAY_PEAK:
            shape *= 3
        for number, weight in enumerate(weights):
            mean = per_hour * weight / whole * shape * chance.lognormvariate(0, 0.2)
            name = tenant_name(number)
            yield from _hour(plan, chance, name, hour, mean)
        hour += timedelta(hours=1)


def _hour(
    plan: Plan, chance: random.Random, tenant: str, hour: datetime, mean: float
) -> Iterator[Made]:
    is_hit = tenant == plan.tenant and plan.begins <= hour < plan.ends
    if tenant == plan.tenant and plan.scenario == SLOW_GROWTH and hour >= plan.begins:
        mean *= 1.04 ** ((hour - plan.begins) / timedelta(days=1))
    for _ in range(_poisson(chance, mean)):
        one = _call(plan, chance, tenant, hour)
        if is_hit and plan.scenario == RETRY_STORM:
            yield from _retried(chance, one)
        else:
            yield one
    if is_hit and plan.scenario == RUNAWAY_LOOP:
        for minute in range(60):
            at = hour + timedelta(minutes=minute)
            one = _call(plan, chance, tenant, hour, size=3.0)
            yield one._replace(at=at, run="run-loop", step="plan", feature="assistant",
                               request="request-loop")  # fmt: skip


def _retried(chance: random.Random, one: Made) -> Iterator[Made]:
    """Yield a call that a buggy client sends again and again although it was answered."""
    yield one
    for attempt in range(chance.randrange(4, 13)):
        is_error = chance.random() < _FAILS
        again = one._replace(at=one.at + timedelta(seconds=attempt + 1), is_retry=True,
                             is_error=is_error)  # fmt: skip
        yield again._replace(output=0, output_cost=0) if is_error else again


def _call(
    plan: Plan, chance: random.Random, tenant: str, hour: datetime, size: float = 1.0
) -> Made:  # fmt: skip
    provider, model = chance.choices(_MODELS, (2, 3, 2))[0]
    feature = chance.choices(_FEATURES, (4, 3, 2, 1))[0]
    at = hour + timedelta(seconds=chance.randrange(3600))
    tokens = int(chance.lognormvariate(10.2, 0.7) * size)
    output = int(chance.lognormvariate(6.0, 0.8) * size)
    share = 0.6 if feature in ("assistant", "search") else 0.0
    lost = plan.scenario == CACHE_LOSS and feature == "assistant"
    if lost and plan.begins <= at < plan.ends:
        share = 0.0
    read = int(tokens * share * chance.uniform(0.8, 1.0))
    uncached = tokens - read
    price_in, price_out = _PRICES[model]
    percent = 100
    if plan.scenario == PRICE_CHANGE and model == plan.model and at >= plan.begins:
        percent = 140
    unit = _PICO_BY_TOKEN * percent // 100
    run = f"run-{chance.getrandbits(40):x}" if feature == "triage" else None
    is_error = chance.random() < _RARE
    return Made(
        at=at, tenant=tenant, feature=feature, provider=provider, model=model,
        request=f"r-{chance.getrandbits(60):x}", is_error=is_error,
        is_retry=chance.random() < _RARE, run=run, step="act" if run else None,
        uncached=uncached, read=read, output=output, uncached_cost=uncached * price_in * unit,
        read_cost=read * price_in * unit // 10, output_cost=output * price_out * unit,
    )  # fmt: skip


def _poisson(chance: random.Random, mean: float) -> int:
    """Return a Poisson variate (Knuth for small means, normal for large ones)."""
    if mean > 60:  # noqa: PLR2004 -- from where on the normal is near enough
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
