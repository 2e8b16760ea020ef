"""Several keys: their shares, time off, renewal."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.kit import run, until

import tollbook.clock
from tollbook.capture.gateway.credentials.base import Unsigned
from tollbook.capture.gateway.credentials.bench import (
    MAX_LIMITED_S,
    MAX_REFUSED_S,
    REFUSED_S,
    Bench,
    now_s,
    verdict_of,
)
from tollbook.capture.gateway.credentials.readers import Found, Missing
from tollbook.capture.gateway.credentials.ring import KeyRing, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.credentials.ring import RingKey

REQUEST = Unsigned("POST", b"/", b"host", b"", b"")


class Clock:
    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def pass_s(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(tollbook.clock, "monotonic_ns", lambda: fake.ns)
    return fake


class Scripted:
    """A reader that gives what it is told."""

    poll_s = 100.0

    def __init__(self, name: str, *answers: Found[str] | Missing | Exception | None) -> None:
        self.description = name
        self.answers = list(answers)
        self.reads: list[bool] = []

    def read(self, *, is_refused: bool) -> Found[str] | Missing | None:
        self.reads.append(is_refused)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def retry_after_s(status: int, headers: Mapping[bytes, bytes]) -> float | None:
    del status
    value = headers.get(b"retry-after")
    return None if value is None else float(value)


def ring_of(*readers: tuple[Scripted, int]) -> KeyRing:
    return KeyRing(
        "p", asyncio.get_running_loop(), readers, lambda key: b"k: %b\r\n" % key.encode(),
        retry_after_s,
    )  # fmt: skip


async def ready(ring: KeyRing) -> Refusal | None:
    done: list[Refusal | None] = []
    ring.when_ready(done.append)
    await until(lambda: done)
    return done[0]


async def settle(ring: KeyRing) -> None:
    """Tick, and wait until every reading is in."""
    ring.tick()
    await until(lambda: not any(key.held.is_reading for key in ring._keys))


def served(ring: KeyRing) -> RingKey:
    return ring.sign(REQUEST)


def name(key: RingKey) -> str:
    return key.lines.decode().removeprefix("k: ").strip()


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_keys_get_their_shares_exactly(weights: list[int]) -> None:
    async def main() -> None:
        ring = ring_of(*[(Scripted(f"s{n}", Found(f"k{n}")), w) for n, w in enumerate(weights)])
        assert await ready(ring) is None
        await settle(ring)
        seen = Counter(name(served(ring)) for _ in range(3 * sum(weights)))
        assert seen == {f"k{n}": 3 * weight for n, weight in enumerate(weights)}

    run(main())


def test_a_refused_key_rests_and_the_next_one_serves(clock: Clock) -> None:
    async def main() -> None:
        ring = ring_of((Scripted("a", Found("a")), 1), (Scripted("b", Found("b")), 1))
        await ready(ring)
        await settle(ring)
        first = served(ring)
        first.answered(401, {})
        others = {name(served(ring)) for _ in range(10)}
        assert others == {"a", "b"} - {name(first)}
        assert [state.is_benched for state in ring.states()].count(True) == 1
        clock.pass_s(REFUSED_S + 1)
        assert {name(served(ring)) for _ in range(10)} == {"a", "b"}

    run(main())


def test_a_rate_limit_spreads_calls_for_as_long_as_the_provider_says(clock: Clock) -> None:
    async def main() -> None:
        ring = ring_of((Scripted("a", Found("a")), 1), (Scripted("b", Found("b")), 1))
        await ready(ring)
        await settle(ring)
        first = served(ring)
        first.answered(429, {b"retry-after": b"20"})
        assert name(first) not in {name(served(ring)) for _ in range(10)}
        clock.pass_s(19)
        assert name(first) not in {name(served(ring)) for _ in range(10)}
        clock.pass_s(2)
        assert {name(served(ring)) for _ in range(10)} == {"a", "b"}

    run(main())


def test_where_all_rest_the_one_that_is_back_first_serves(clock: Clock) -> None:
    del clock

    async def main() -> None:
        ring = ring_of((Scripted("a", Found("a")), 1), (Scripted("b", Found("b")), 1))
        await ready(ring)
        await settle(ring)
        one, two = served(ring), served(ring)
        one.answered(401, {})
        two.answered(429, {b"retry-after": b"3"})
        assert {name(served(ring)) for _ in range(5)} == {name(two)}

    run(main())


def test_a_key_that_works_again_is_back_at_once(clock: Clock) -> None:
    del clock
    bench = Bench()
    bench.take("limited", None)
    assert bench.is_on
    bench.take("ok", None)
    assert not bench.is_on


def test_refusals_of_calls_under_way_together_are_one(clock: Clock) -> None:
    bench = Bench()
    for _ in range(50):
        bench.take("refused", None)
    clock.pass_s(REFUSED_S + 0.1)
    assert not bench.is_on
    bench.take("refused", None)
    clock.pass_s(REFUSED_S + 0.1)
    assert bench.is_on, "the second time off is longer"


@given(st.lists(st.sampled_from([200, 400, 401, 403, 429, 500]), max_size=60), st.floats(0, 1e9))
def test_time_off_is_bounded_whatever_is_answered(statuses: list[int], after_s: float) -> None:
    bench = Bench()
    for status in statuses:
        bench.take(verdict_of(status), after_s)
        left_s = bench.until_s - now_s()
        assert left_s <= max(MAX_REFUSED_S, MAX_LIMITED_S)
    bench.take("ok", None)
    assert not bench.is_on


def test_a_new_key_has_no_record(clock: Clock) -> None:
    async def main() -> None:
        reader = Scripted("a", Found("old"), Found("new"))
        ring = ring_of((reader, 1))
        await ready(ring)
        served(ring).answered(403, {})
        assert ring.states()[0].is_benched
        clock.pass_s(11)  # a refused key is looked up again, but not in a storm
        await settle(ring)
        assert reader.reads == [False, True]
        assert name(served(ring)) == "new"
        state = ring.states()[0]
        assert (state.is_benched, state.fingerprint) == (False, fingerprint("new"))

    run(main())


def test_refusals_do_not_make_a_storm_of_readings(clock: Clock) -> None:
    async def main() -> None:
        reader = Scripted("a", Found("a"))
        ring = ring_of((reader, 1))
        await ready(ring)
        for _ in range(20):
            served(ring).answered(401, {})
            await settle(ring)
            clock.pass_s(1)
        assert len(reader.reads) <= 4

    run(main())


def test_a_key_is_renewed_before_it_expires(clock: Clock) -> None:
    async def main() -> None:
        in_1000_s = tollbook.clock.unix_ns() / 1e9 + 1000
        reader = Scripted("a", Found("one", in_1000_s), Found("two"))
        reader.poll_s = float("inf")
        ring = ring_of((reader, 1))
        await ready(ring)
        clock.pass_s(890)
        await settle(ring)
        assert name(served(ring)) == "one"
        clock.pass_s(20)
        await settle(ring)
        assert name(served(ring)) == "two"

    run(main())


def test_a_key_stays_while_renewing_fails(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        reader = Scripted("a", Found("one"), Missing("gone"), ValueError("sk-in-error"))
        ring = ring_of((reader, 1))
        await ready(ring)
        for _ in range(5):
            clock.pass_s(101)
            await settle(ring)
        assert name(served(ring)) == "one"
        assert len(reader.reads) == 6

    run(main())
    assert "sk-in-error" not in caplog.text
    assert "the former key stays in use" in caplog.text


def test_no_key_anywhere_is_a_refusal_that_names_every_source(clock: Clock) -> None:
    async def main() -> None:
        late = Scripted("b", Missing("b is empty"), Found("b"))
        ring = ring_of((Scripted("a", Missing("a is not set")), 1), (late, 1))
        refusal = await ready(ring)
        assert refusal is not None
        assert refusal.error_type == "provider_key_missing"
        assert "a is not set; b is empty" in refusal.message
        assert await ready(ring) is not None, "not asked again at once"
        assert late.reads == [False]
        clock.pass_s(6)
        assert await ready(ring) is None
        assert name(served(ring)) == "b"

    run(main())


def test_nothing_happens_after_the_end() -> None:
    async def main() -> None:
        reader = Scripted("a", Found("a"))
        ring = ring_of((reader, 1))
        ring.close()
        ring.tick()
        await asyncio.sleep(0)
        assert reader.reads == []

    run(main())
