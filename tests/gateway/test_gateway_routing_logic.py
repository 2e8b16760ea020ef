"""Breaker, wait, orders, and the choice of the next attempt: rules that need no network."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import CallOpened, Identity, Metering
from tollbook.capture.gateway.routing.attempts import Attempts
from tollbook.capture.gateway.routing.backoff import full_jitter_s
from tollbook.capture.gateway.routing.breaker import BreakerState, CircuitBreaker
from tollbook.capture.gateway.routing.plan import Plan
from tollbook.capture.gateway.routing.policy import Failed, FailureRules, failed_answer
from tollbook.capture.gateway.routing.rendezvous import by_rendezvous, shuffled
from tollbook.capture.gateway.routing.strategy import EXPLORED, ListPrice
from tollbook.config.routes import FALLBACK_ON, RETRY_ON, Breaker, ModelRoute
from tollbook.dialects.openai import OpenAI

if TYPE_CHECKING:
    from tollbook.capture.gateway.provider import Upstream
    from tollbook.capture.gateway.routing.strategy import PriceOf
    from tollbook.capture.gateway.routing.target import Target

TEMPORARY = Failed(status=503, is_temporary=True)
LASTING = Failed(status=400)
names_of = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True)
weights_of = st.floats(0.01, 1000)


def opened(**fields: Any) -> CallOpened:
    identity = Identity(
        tenant_id=fields.pop("tenant", None),
        user_id=fields.pop("user", None),
        api_key_id=fields.pop("key", None),
    )
    return CallOpened(
        call_id=b"0" * 16, started_at_ns=0, identity=identity, provider="p", dialect="openai",
        operation="chat", metering=Metering.METERED, method="POST", path="/v1/chat/completions",
        model_requested="m", **fields,
    )  # fmt: skip


def plan(*targets: dict[str, Any], price_of: PriceOf | None = None, **settings: Any) -> Plan:
    """Make a plan of targets at providers a, b, c, ..."""
    listed = [{"provider": "abcdef"[at], **each} for at, each in enumerate(targets)]
    route = msgspec.convert({"models": ["*"], "targets": listed, **settings}, ModelRoute)
    upstreams = {
        name: SimpleNamespace(
            name=name,
            settings=SimpleNamespace(connect_timeout_s=10.0, base_url=f"https://{name}"),
        )
        for name in "abcdefxyz"
    }
    return Plan("r", route, cast("dict[str, Upstream]", upstreams), price_of)


def names(targets: list[Target]) -> str:
    return "".join(target.upstream.name for target in targets)


# the breaker


def test_a_breaker_opens_probes_and_closes() -> None:
    breaker = CircuitBreaker(Breaker(failures=3, window_s=10, open_s=5))
    for at in (0.0, 1.0):
        breaker.begin()
        breaker.failed(at)
        assert breaker.state(at) is BreakerState.CLOSED
    breaker.failed(2.0)
    assert breaker.state(2.0) is BreakerState.OPEN
    assert not breaker.allows(6.9)
    assert breaker.opens_in_s(4.0) == 3.0
    assert breaker.state(7.0) is BreakerState.HALF_OPEN
    assert breaker.allows(7.0)
    breaker.begin()
    assert not breaker.allows(7.0), "one probe at a time"
    breaker.failed(7.5)
    assert breaker.state(12.4) is BreakerState.OPEN
    assert breaker.allows(12.5)
    breaker.begin()
    breaker.succeeded()
    assert breaker.state(12.5) is BreakerState.CLOSED
    breaker.failed(13.0)
    assert breaker.allows(13.0), "it counts from the beginning"


def test_a_probe_that_told_nothing_lets_another_one() -> None:
    breaker = CircuitBreaker(Breaker(failures=1, window_s=10, open_s=5))
    breaker.failed(0.0)
    breaker.begin()
    assert not breaker.allows(6.0)
    breaker.abandoned()
    assert breaker.allows(6.0)


def test_failures_long_ago_do_not_count() -> None:
    breaker = CircuitBreaker(Breaker(failures=3, window_s=10, open_s=5))
    for at in range(0, 100, 6):
        breaker.failed(float(at))
        assert breaker.allows(float(at))


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = CircuitBreaker(Breaker(failures=2, window_s=10, open_s=5))
    for _ in range(5):
        breaker.failed(1.0)
        breaker.succeeded()
    assert breaker.allows(1.0)


def test_a_breaker_may_be_off() -> None:
    breaker = CircuitBreaker(Breaker(failures=0))
    for _ in range(100):
        breaker.begin()
        breaker.failed(0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED


events = st.lists(
    st.tuples(st.sampled_from(["try", "good", "bad", "nothing"]), st.floats(0, 4)), max_size=60
)


@given(events, st.integers(1, 4), st.floats(1, 10), st.floats(1, 10))
def test_any_story_of_a_breaker(
    story: list[tuple[str, float]], failures: int, window_s: float, open_s: float
) -> None:
    """Never stuck, never two probes, nothing let through while open."""
    breaker = CircuitBreaker(Breaker(failures=failures, window_s=window_s, open_s=open_s))
    now, in_flight, probes = 0.0, 0, 0
    for what, later in story:
        now += later
        state = breaker.state(now)
        if what == "try":
            if breaker.allows(now):
                assert state is not BreakerState.OPEN
                in_flight += 1
                probes += state is BreakerState.HALF_OPEN
                breaker.begin()
            if state is BreakerState.HALF_OPEN:
                assert not breaker.allows(now)
        elif in_flight:
            in_flight -= 1
            {"good": breaker.succeeded, "nothing": breaker.abandoned}.get(
                what, lambda at=now: breaker.failed(at)
            )()
            if what == "good":
                assert breaker.state(now) is BreakerState.CLOSED
        if breaker.state(now) is BreakerState.OPEN:
            assert 0 < breaker.opens_in_s(now) <= open_s + 1e-6
        else:
            assert breaker.opens_in_s(now) == 0
    for _ in range(in_flight):
        breaker.abandoned()
    assert breaker.allows(now + open_s + 1e-6), (
        "left alone for long enough, it lets something through"
    )


# the wait


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 100), st.integers())
def test_a_wait_is_within_its_span(failures: int, base: float, most: float, seed: int) -> None:
    wait = full_jitter_s(failures, base, most, Random(seed))
    assert 0 <= wait <= most
    assert wait <= base * 2.0 ** min(failures - 1, 32)


def test_waits_are_spread_over_the_whole_span() -> None:
    random = Random(1)
    waits = [full_jitter_s(3, 0.5, 100, random) for _ in range(4000)]
    assert max(waits) > 1.9
    assert min(waits) < 0.1
    assert sum(waits) / len(waits) == pytest.approx(1.0, rel=0.05)


# orders


@given(names_of, st.text(), st.data())
def test_rendezvous_is_one_order_for_a_key(
    labels: list[str], key: str, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(weights_of, min_size=len(labels), max_size=len(labels)))
    order = by_rendezvous(key, labels, weights)
    assert sorted(order) == list(range(len(labels)))
    turned = list(reversed(range(len(labels))))
    again = by_rendezvous(key, [labels[at] for at in turned], [weights[at] for at in turned])
    assert [labels[turned[at]] for at in again] == [labels[at] for at in order]


@given(names_of, st.text(), st.data())
def test_a_target_that_goes_leaves_the_others_in_their_order(
    labels: list[str], key: str, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(weights_of, min_size=len(labels), max_size=len(labels)))
    gone = data.draw(st.integers(0, len(labels) - 1))
    before = [labels[at] for at in by_rendezvous(key, labels, weights)]
    rest = [at for at in range(len(labels)) if at != gone]
    after = by_rendezvous(key, [labels[at] for at in rest], [weights[at] for at in rest])
    assert [labels[rest[at]] for at in after] == [each for each in before if each != labels[gone]]


@given(st.text(), st.floats(0.1, 10), st.floats(1, 10))
def test_a_target_that_gains_weight_only_gains_keys(key: str, weight: float, more: float) -> None:
    before = by_rendezvous(key, ["a", "b", "c"], [1, weight, 2])[0]
    after = by_rendezvous(key, ["a", "b", "c"], [1, weight * more, 2])[0]
    assert after in {before, 1}


@pytest.mark.parametrize("is_sticky", [True, False])
def test_shares_are_those_of_the_weights(is_sticky: bool) -> None:  # noqa: FBT001 -- a parameter
    random, weights = Random(3), [1.0, 2.0, 5.0]
    seen = Counter(
        (
            by_rendezvous(str(at), ["a", "b", "c"], weights)
            if is_sticky
            else shuffled(weights, random)
        )[0]
        for at in range(16_000)
    )
    assert [seen[at] / 2000 for at in range(3)] == pytest.approx([1, 2, 5], rel=0.1)


def test_sticky_by_what() -> None:
    def first(route: Plan, **who: str) -> str:
        return names(route.ordered(opened(**who), Random(), 0.0))

    by_key = plan({}, {}, {}, sticky_by="key")
    by_tenant = plan({}, {}, {}, sticky_by="tenant")
    by_user = plan({}, {}, {}, sticky_by="user")
    for each in range(20):
        who = {"key": f"k{each}", "tenant": f"t{each}", "user": f"u{each}"}
        assert first(by_key, **who) == first(by_key, key=f"k{each}")
        assert first(by_tenant, **who) == first(by_tenant, tenant=f"t{each}")
        assert first(by_user, **who) == first(by_user, tenant=f"t{each}", user=f"u{each}")
        assert first(by_user, tenant=f"t{each}") == first(by_tenant, tenant=f"t{each}")
    users = {first(by_user, tenant="t", user=str(each)) for each in range(50)}
    assert len(users) == 6, "users of one tenant are spread"
    assert len({first(by_key, tenant="t") for _ in range(50)}) > 1, "unknown: by chance"


def test_the_fastest_goes_first_and_others_are_tried_now_and_then() -> None:
    route = plan({}, {}, {}, strategy="latency")
    for target, seconds in zip(route.targets, (0.3, 0.1, 0.2), strict=True):
        target.succeeded(seconds)
    random = Random(5)
    seen = Counter(names(route.ordered(opened(), random, 0.0)) for _ in range(4000))
    assert set(seen) == {"bca", "cba", "abc"}
    assert seen["bca"] / 4000 == pytest.approx(1 - EXPLORED, abs=0.02)


def test_a_target_nobody_knows_is_found_out_by_one_request() -> None:
    route = plan({}, {}, strategy="latency")
    route.targets[0].succeeded(0.1)
    random = Random(5)
    assert names(route.ordered(opened(), random, 0.0)) == "ba"
    route.targets[1].begin()
    assert names(route.ordered(opened(), random, 0.0)) == "ab"


def test_time_to_first_byte_follows_what_comes() -> None:
    target = plan({}).targets[0]
    target.succeeded(1.0)
    for _ in range(30):
        target.succeeded(0.1)
    assert target.latency_s == pytest.approx(0.1, rel=0.02)
    target.failed(0.0, 0.001)
    assert (target.latency_s or 0) > 1, "a fast failure is not a fast answer"


def test_the_cheapest_goes_first_and_the_unknown_last() -> None:
    prices = {
        ("a", "m"): ListPrice(10, 10),
        ("b", "m"): ListPrice(1, 100),
        ("d", "small"): ListPrice(2, 2),
    }
    asked: list[tuple[str, str]] = []

    def price_of(provider: str, model: str) -> ListPrice | None:
        asked.append((provider, model))
        return prices.get((provider, model))

    route = plan({}, {}, {}, {"model": "small"}, strategy="cost", price_of=price_of)
    much_in = opened(input_chars=4_000_000, max_output_tokens=10)
    much_out = opened(input_chars=40, max_output_tokens=100_000)
    for _ in range(2):
        assert names(route.ordered(much_in, Random(), 0.0)) == "bdac"
        assert names(route.ordered(much_out, Random(), 0.0)) == "dabc"
    assert sorted(asked) == [("a", "m"), ("b", "m"), ("c", "m"), ("d", "small")], "asked for once"


def test_a_target_whose_provider_asked_for_a_pause_goes_last() -> None:
    route = plan({}, {}, {}, strategy="ordered")
    route.targets[0].rests_until = 10.0
    assert names(route.ordered(opened(), Random(), 9.9)) == "bca"
    assert names(route.ordered(opened(), Random(), 10.0)) == "abc"


# what failed


def test_what_is_worth_another_attempt() -> None:
    rules = FailureRules(RETRY_ON)
    for cause in ("connect", "busy", "timeout", "disconnect"):
        assert rules.match(Failed(cause))
    assert rules.match(TEMPORARY)
    assert not rules.match(LASTING)
    assert FailureRules(FALLBACK_ON).match(Failed(status=401))
    assert not FailureRules(["timeout", 500]).match(Failed("busy"))
    assert FailureRules(["timeout", 400]).match(LASTING)
    assert not FailureRules([503]).match(Failed("timeout"))


def test_what_an_answer_says() -> None:
    dialect = OpenAI()
    assert failed_answer(dialect, 503, None, {b"retry-after": b"7"}) == Failed(
        None, 503, is_temporary=True, retry_after_s=7.0
    )
    assert not failed_answer(dialect, 503, None, {b"x-should-retry": b"false"}).is_temporary
    assert failed_answer(dialect, 400, None, {b"x-should-retry": b"true"}).is_temporary
    assert not failed_answer(dialect, 400, None, {b"x-should-retry": b"yes"}).is_temporary


# which attempt is next


def walk(route: Plan, failures: list[Failed], now: float = 0.0) -> str:
    """Return the targets of a request that fails so; capitals where it waited."""
    attempts = Attempts(route, list(route.targets), Random(1))
    target = attempts.first(now)
    assert target is not None
    shown = ""
    wait_s = 0.0
    for failed in failures:
        name = target.upstream.name
        shown += name.upper() if wait_s else name
        attempts.begin(target)
        following = attempts.after(failed, now)
        if following is None:
            return shown
        target, wait_s = following
    name = target.upstream.name
    return shown + (name.upper() if wait_s else name)


def test_untried_targets_then_tried_ones_then_fallbacks() -> None:
    route = plan(
        {}, {}, strategy="ordered", retries=3, fallbacks=[{"provider": "x"}, {"provider": "y"}]
    )
    assert walk(route, [TEMPORARY] * 2)[:2] == "ab"
    shown = walk(route, [TEMPORARY] * 9)
    assert (shown[:2], shown[2:4].isupper(), shown[4:]) == ("ab", True, "xy")
    assert walk(route, [LASTING] * 9) == "a"
    assert walk(route, [Failed(status=401)] * 9) == "abxy"
    assert walk(route, [TEMPORARY, Failed(status=404), LASTING]) == "abx"


def test_no_retry_is_none() -> None:
    route = plan({}, {}, retries=0, fallbacks=[{"provider": "x"}])
    assert walk(route, [TEMPORARY] * 9) == "ax"


def test_open_targets_are_left_out() -> None:
    route = plan({}, {}, retries=5, fallbacks=[{"provider": "x"}, {"provider": "y"}])
    for target in (route.targets[1], route.fallbacks[0]):
        for _ in range(5):
            target.breaker.failed(0.0)
    shown = walk(route, [TEMPORARY] * 9, now=1.0)
    assert shown == "aAAAAAy"
    for target in (*route.targets, *route.fallbacks):
        for _ in range(5):
            target.breaker.failed(0.0)
    assert Attempts(route, list(route.targets), Random()).first(1.0) is None
    route.fallbacks[1].breaker.succeeded()
    assert walk(route, [TEMPORARY] * 9, now=1.0) == "y", "the fallback stands in for all"


def test_after_a_wait_another_target_may_have_to_stand_in() -> None:
    route = plan({}, {}, retries=5, fallbacks=[{"provider": "x"}])
    a, b = route.targets
    attempts = Attempts(route, [a, b], Random())
    for target in (a, b):
        attempts.begin(target)
        assert attempts.after(TEMPORARY, 0.0) is not None
    assert attempts.instead(a, 1.0) is a
    for _ in range(5):
        a.breaker.failed(1.0)
    assert attempts.instead(a, 2.0) is b
    for _ in range(5):
        b.breaker.failed(1.0)
    assert attempts.instead(a, 2.0) is route.fallbacks[0]
    assert attempts.instead(a, 2.0) is None


failures_of = st.builds(
    Failed,
    st.sampled_from([None, "connect", "busy", "timeout", "disconnect"]),
    st.sampled_from([400, 401, 404, 429, 500, 503]),
    st.booleans(),
    st.none() | st.floats(0, 100),
)


@given(
    st.integers(1, 4), st.integers(0, 10), st.integers(0, 3), st.floats(0.01, 50),
    st.lists(failures_of, min_size=30, max_size=30), st.integers(),
)  # fmt: skip
def test_any_story_of_attempts_ends_in_time(
    targets: int, retries: int, fallbacks: int, max_wait_s: float, story: list[Failed], seed: int
) -> None:
    route = plan(
        *[{}] * targets, retries=retries, max_wait_s=max_wait_s,
        fallbacks=[{"provider": "xyz"[at]} for at in range(fallbacks)],
    )  # fmt: skip
    attempts = Attempts(route, list(route.targets), Random(seed))
    target = attempts.first(0.0)
    assert target is route.targets[0]
    now = waited = 0.0
    has_left_group = False
    due: dict[str, float] = {}
    for failed in story:
        attempts.begin(target)
        has_left_group = has_left_group or target in route.fallbacks
        assert has_left_group == (target in route.fallbacks), "never back from a fallback"
        if failed.retry_after_s is not None:
            due[target.label] = now + failed.retry_after_s
        following = attempts.after(failed, now)
        if following is None:
            break
        target = following.target
        assert following.wait_s >= 0
        waited += following.wait_s
        now += following.wait_s
        if following.wait_s:
            assert now >= due.get(target.label, 0.0) - 1e-6, "Retry-After is honoured"
    else:
        pytest.fail("it never ended")
    assert attempts.count <= 1 + retries + fallbacks
    assert waited <= max_wait_s + 1e-6
