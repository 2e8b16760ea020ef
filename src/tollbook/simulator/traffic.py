"""The plan of a run: every request that the product will make, from a seed, before any is sent."""

from __future__ import annotations

import bisect
import functools
import random
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tollbook.simulator import carriers
from tollbook.simulator.agents import agent_steps
from tollbook.simulator.pricelist import MODELS, price
from tollbook.simulator.product import FEATURES, TENANTS_MAX, Api, Feature, Target, make_tenants
from tollbook.simulator.provider.sizing import Size, quantities_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.simulator.product import Tenant

_CACHE_STEP = 128
_CACHE_MIN = 1024
_HANGUP_EVENTS = 24
_HANGUP_PAUSE_MS = 4
_COMPLETION_INPUT_MAX = 3000
_RUNAWAY_STEPS = 40


class Mix(Struct, frozen=True, kw_only=True):
    """Shares of the requests, each of 1."""

    stream: float = 0.5
    hang_up: float = 0.05
    """The client leaves in the middle of a stream."""
    error: float = 0.03
    """The provider answers with an error and the client gives up."""
    retry: float = 0.02
    """The first try fails and the client's own retry succeeds."""
    broken: float = 0.005
    """The provider breaks off: a cut stream, a truncated body, an error inside a stream."""
    odd_usage: float = 0.005
    """Usage in parts, odd pieces of bytes, compression; what is billed is reported all the same."""
    usage_absent: float = 0.0
    """The provider forgets to report usage."""
    no_tenant: float = 0.01
    asks_usage: float = 0.5
    """Of OpenAI chat streams: the client asks for usage itself."""


class PlannedRequest(Struct, frozen=True, kw_only=True):
    """One request of the product, with its truth."""

    id: str
    """Goes in ``x-sim-request-id``; the truth log and the product's own log name it."""
    owner: carriers.Owner
    carrier: str
    provider: str
    api: Api
    model: str
    size: Size
    is_stream: bool = False
    asks_usage: bool = False
    has_tools: bool = False
    fault: str | None = None
    """The value of ``x-sim-fault``."""
    max_retries: int = 0
    hang_up_after: int | None = None
    """Content events after which the client leaves."""
    retry_of: str | None = None
    """The id of the failed request that the product (not the SDK) makes again."""

    @property
    def expected_pico(self) -> int:
        """What it costs if nothing goes wrong, in 10^-12 USD."""
        return sum(price(MODELS[self.model], quantities_of(self.size)).values())


class Plan(NamedTuple):
    """All requests of a run, in order, and the tenants that they are for."""

    seed: int
    tenants: tuple[Tenant, ...]
    runaway_tenant: str
    requests: tuple[PlannedRequest, ...]

    def tenant_of(self) -> dict[str, str | None]:
        """Return the tenant by request id: the product's own list."""
        return {request.id: request.owner.tenant_id for request in self.requests}

    def expected_pico_by_tenant(self) -> dict[str | None, int]:
        """Return what each tenant will cost if nothing goes wrong, in 10^-12 USD."""
        sums: dict[str | None, int] = {}
        for request in self.requests:
            tenant = request.owner.tenant_id
            sums[tenant] = sums.get(tenant, 0) + request.expected_pico
        return sums


def make_plan(*, seed: int, calls: int, tenants: int = 100, mix: Mix | None = None) -> Plan:
    """Plan a run. The same arguments give the same plan, on any machine.

    Args:
        seed: of everything that is drawn.
        calls: how many requests.
        tenants: how many customers, up to the number of names (240).
        mix: shares of streams, faults and so on.

    Raises:
        ValueError: no tenants or more than there are names.
    """
    if not 1 <= tenants <= TENANTS_MAX:
        raise ValueError(f"tenants must be 1 to {TENANTS_MAX}")
    planner = _Planner(seed, calls, tenants, mix or Mix())
    made: list[PlannedRequest] = []
    for request in planner.requests():
        made.append(request)
        if len(made) == calls:
            break
    return Plan(seed, tuple(planner.tenants), planner.runaway.id, tuple(made))


class _Planner:
    """Draws requests one after another."""

    def __init__(self, seed: int, calls: int, tenants: int, mix: Mix) -> None:
        self._rng = random.Random(seed)
        self._seed = seed
        self._calls = calls
        self._mix = mix
        self._made = 0
        self.tenants = make_tenants(tenants, self._rng)
        self._weights = list(accumulate(tenant.weight for tenant in self.tenants))
        self._feature_weights = list(accumulate(feature.weight for feature in FEATURES))
        by_weight = sorted(self.tenants, key=lambda tenant: -tenant.weight)
        self.runaway = by_weight[min(len(by_weight) - 1, len(by_weight) // 4)]
        self._runaway_at = calls * 3 // 5

    def requests(self) -> Iterator[PlannedRequest]:
        """Yield requests without end."""
        agent = next(feature for feature in FEATURES if feature.is_agent)
        has_run_away = False
        while True:
            if not has_run_away and self._made >= self._runaway_at:
                has_run_away = True
                # The loop of one agent that never finds its answer.
                steps = max(2, min(_RUNAWAY_STEPS, self._calls // 25))
                yield from self._run(self.runaway, agent, steps, is_loop=True)
            tenant = self._pick_tenant()
            feature = FEATURES[self._pick(self._feature_weights)]
            if feature.is_agent:
                yield from self._run(tenant, feature, self._rng.randint(2, 9), is_loop=False)
            else:
                yield from self._single(tenant, feature)

    def _pick(self, cumulative: Sequence[float]) -> int:
        return bisect.bisect(cumulative, self._rng.random() * cumulative[-1])

    def _pick_tenant(self) -> Tenant:
        is_loop = self._made >= self._runaway_at and self._rng.random() < 0.05  # noqa: PLR2004 -- a share
        return self.runaway if is_loop else self.tenants[self._pick(self._weights)]

    def _target(self, feature: Feature) -> Target:
        return feature.targets[self._pick(_TARGET_WEIGHTS[feature.name])]

    def _owner(self, tenant: Tenant, feature: Feature, run_id: str | None) -> carriers.Owner:
        rng = self._rng
        user = tenant.users[min(int(rng.expovariate(0.15)), len(tenant.users) - 1)]
        is_known = rng.random() >= self._mix.no_tenant
        return carriers.Owner(
            tenant.id if is_known else None,
            user,
            feature.name,
            f"req-{self._seed:x}-{self._made:06d}",
            rng.choice(feature.origins),
            run_id,
        )

    def _carrier(self, owner: carriers.Owner, target: Target) -> str:
        if owner.tenant_id is None:
            return carriers.NONE
        names, weights = _fitting_carriers(target.provider, target.api)
        return names[self._pick(weights)]

    def _single(self, tenant: Tenant, feature: Feature) -> Iterator[PlannedRequest]:
        rng, target = self._rng, self._target(feature)
        owner = self._owner(tenant, feature, None)
        tokens = feature.input.draw(rng) + feature.prefix_tokens
        if target.api == "completions":
            tokens = min(tokens, _COMPLETION_INPUT_MAX)
        output = 0 if target.api == "embeddings" else feature.output.draw(rng)
        size = Size(input=tokens, output=output, tool=0)
        if feature.prefix_tokens and rng.random() < 0.6:  # noqa: PLR2004 -- a share
            size = _cached(size, target, feature.prefix_tokens, rng)
        yield from self._with_accidents(owner, target, _thinking(size, target, rng), feature)

    def _run(
        self, tenant: Tenant, feature: Feature, steps: int, *, is_loop: bool
    ) -> Iterator[PlannedRequest]:
        """Yield the steps of one agent run: one owner, one carrier, a context that grows."""
        target = self._target(feature)
        run_id = f"run-{self._seed:x}-{self._made:06d}"
        owner = self._owner(tenant, feature, run_id)
        if is_loop:
            owner = owner._replace(tenant_id=tenant.id)
        base = feature.prefix_tokens + min(feature.input.draw(self._rng), 8000)
        for step, size in agent_steps(
            self._rng, target.provider, base, feature.output, steps, is_loop=is_loop
        ):
            yield from self._with_accidents(owner._replace(step=step), target, size, feature)

    def _with_accidents(
        self, owner: carriers.Owner, target: Target, size: Size, feature: Feature
    ) -> Iterator[PlannedRequest]:
        """Yield the request, with what goes wrong, and its repetition by the product if any."""
        rng, mix = self._rng, self._mix
        can_stream = feature.stream_share > 0
        is_stream = can_stream and rng.random() < feature.stream_share * mix.stream / _MEAN_STREAM
        fault, retries, leave = self._accident(is_stream=is_stream)
        if leave is not None:
            size = size._replace(
                output=max(size.output, _HANGUP_EVENTS),
                events=_HANGUP_EVENTS,
                pause_ms=_HANGUP_PAUSE_MS,
                tool=0,  # a tool call is too short to leave in the middle of
            )
        request = PlannedRequest(
            id=f"c{self._seed:x}-{self._made:07d}",
            owner=owner,
            carrier=self._carrier(owner, target),
            provider=target.provider,
            api=target.api,
            model=target.model,
            size=size,
            is_stream=is_stream,
            asks_usage=rng.random() < mix.asks_usage,
            has_tools=bool(size.tool),
            fault=fault,
            max_retries=retries,
            hang_up_after=leave,
        )
        self._made += 1
        yield request
        if fault in _ERRORS and rng.random() < 0.5:  # noqa: PLR2004 -- a share
            again = {"id": f"c{self._seed:x}-{self._made:07d}", "retry_of": request.id}
            self._made += 1
            yield _replace(request, fault=None, **again)

    def _accident(self, *, is_stream: bool) -> tuple[str | None, int, int | None]:
        """Draw a fault, the client's retries and when the client leaves."""
        rng, mix = self._rng, self._mix
        # What follows is drawn from the rest, so that each share is one of all requests.
        draw = rng.random() * (1 - mix.hang_up)
        if is_stream and rng.random() < mix.hang_up / max(mix.stream, mix.hang_up, 0.001):
            return None, 0, rng.randint(1, 6)
        for share, faults, retries in (
            (mix.error, _ERRORS, 0),
            (mix.retry, _RETRIED, 2),
            (mix.broken, _BROKEN_STREAM if is_stream else _BROKEN_PLAIN, 0),
            (mix.odd_usage, _ODD_STREAM if is_stream else _ODD_PLAIN, 0),
            (mix.usage_absent, ("usage_absent",), 0),
        ):
            if draw < share:
                return rng.choice(faults), retries, None
            draw -= share
        return None, 0, None


@functools.cache
def _fitting_carriers(provider: str, api: str) -> tuple[list[str], list[float]]:
    """Return the carriers that an API has room for, with their cumulative weights."""
    names = [name for name in carriers.CARRIER_WEIGHTS if carriers.fits(name, provider, api)]
    return names, list(accumulate(float(carriers.CARRIER_WEIGHTS[name]) for name in names))


_TARGET_WEIGHTS = {
    feature.name: list(accumulate(target.weight for target in feature.targets))
    for feature in FEATURES
}
_ERRORS = ("bad_request", "rate_limit;retry_after_ms=20", "server_error", "overloaded")
_RETRIED = (
    "rate_limit;times=1;retry_after_ms=20",
    "server_error;times=1;retry_after_ms=20",
    "overloaded;times=1;retry_after_ms=20",
)
_BROKEN_STREAM = ("cut_before_usage;after=3", "error_event;after=2", "cut_before_usage;after=1")
_BROKEN_PLAIN = ("truncated",)
_ODD_STREAM = ("usage_split", "fragmented", "gzip")
_ODD_PLAIN = ("fragmented", "gzip")
_MEAN_STREAM = sum(f.weight * f.stream_share for f in FEATURES if not f.is_agent) / sum(
    f.weight for f in FEATURES if not f.is_agent
)


def _replace(request: PlannedRequest, **changes: object) -> PlannedRequest:
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return PlannedRequest(**(fields | changes))


def _cached(size: Size, target: Target, prefix: int, rng: random.Random) -> Size:
    """Serve the prompt's stable prefix from the cache, or (Anthropic) write it there."""
    if target.provider == "openai":
        read = min(prefix, size.input) // _CACHE_STEP * _CACHE_STEP
        return size._replace(cache_read=read if read >= _CACHE_MIN else 0)
    draw = rng.random()
    if draw < 0.75:  # noqa: PLR2004 -- a share
        return size._replace(cache_read=prefix)
    if draw < 0.9:  # noqa: PLR2004 -- a share
        return size._replace(cache_write_5m=prefix)
    return size._replace(cache_write_1h=prefix)


def _thinking(size: Size, target: Target, rng: random.Random) -> Size:
    """Let a reasoning model think: always at OpenAI, when asked at Anthropic."""
    can = MODELS[target.model].can_reason
    if not can or (target.provider == "anthropic" and rng.random() < 0.8):  # noqa: PLR2004 -- a share
        return size
    thought = min(4000, max(8, round(rng.lognormvariate(5.0, 0.8))))
    return size._replace(output=size.output + thought, reasoning=thought)
