"""Threads, pools and processes work for whoever started them."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tollbook import sdk as tollbook
from tollbook.sdk.propagation.threads import (
    PropagatingExecutor,
    PropagatingProcessExecutor,
    carried,
    instrument_threads,
    run_in_context,
    uninstrument_threads,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def who(_: object = None) -> str | None:
    return tollbook.current().tenant_id


def test_a_plain_pool_loses_identity() -> None:
    with ThreadPoolExecutor(1) as pool, tollbook.tenant("acme"):
        assert pool.submit(who).result(10) is None


def test_a_propagating_pool_keeps_it_for_each_job_and_leaves_nothing_in_its_threads() -> None:
    with PropagatingExecutor(2) as pool:
        jobs = []
        for n in range(20):
            with tollbook.tenant(f"t{n}"):
                jobs.append(pool.submit(who))
        assert [one.result(10) for one in jobs] == [f"t{n}" for n in range(20)]
        assert pool.submit(who).result(10) is None
        with tollbook.tenant("acme"):
            assert list(pool.map(who, range(3))) == ["acme"] * 3
            nested = pool.submit(lambda: pool.submit(who).result(10))
        assert nested.result(10) == "acme"

        async def main() -> str | None:
            with tollbook.tenant("acme"):
                return await asyncio.get_running_loop().run_in_executor(pool, who)

        assert asyncio.run(main()) == "acme"
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 // 0).result(10)


def test_a_bound_function_may_run_anywhere_and_several_times() -> None:
    seen: list[str | None] = []
    with tollbook.tenant("acme"):
        bound = run_in_context(lambda: seen.append(who()))
    threads = [threading.Thread(target=bound) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    bound()
    assert seen == ["acme"] * 5
    assert who() is None

    async def main() -> str | None:
        with tollbook.tenant("acme"):
            return await asyncio.get_running_loop().run_in_executor(None, run_in_context(who))

    assert asyncio.run(main()) == "acme"


@pytest.fixture
def _instrumented() -> Iterator[None]:
    instrument_threads()
    instrument_threads()
    yield
    uninstrument_threads()


@pytest.mark.usefixtures("_instrumented")
def test_instrumented_threads_timers_and_pools() -> None:
    seen: list[str | None] = []

    class Own(threading.Thread):
        def run(self) -> None:
            seen.append(who())

    with tollbook.tenant("acme"):
        made = [
            threading.Thread(target=lambda: seen.append(who())),
            Own(),
            threading.Timer(0.001, lambda: seen.append(who())),
        ]
        made[0].start()
        made[2].start()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(who).result(10) == "acme"
            with tollbook.tenant("bolt"):
                assert pool.submit(who).result(10) == "bolt"
        with PropagatingExecutor(1) as own:
            assert own.submit(who).result(10) == "acme"
    made[1].start()
    for one in made:
        one.join(10)
    assert sorted(map(str, seen)) == ["None", "acme", "acme"]

    async def main() -> str | None:
        with tollbook.tenant("acme"):
            return await asyncio.get_running_loop().run_in_executor(None, who)

    assert asyncio.run(main()) == "acme"


def test_instrumentation_is_undone() -> None:
    before = (threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit)
    instrument_threads()
    assert threading.Thread.start is not before[0]
    uninstrument_threads()
    assert (threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit) == before


def test_processes_work_for_whoever_submitted_the_job() -> None:
    context = multiprocessing.get_context("spawn")
    with PropagatingProcessExecutor(1, mp_context=context) as pool:
        with tollbook.tenant("acme"):
            first = pool.submit(who)
            mapped = pool.map(who, range(3), chunksize=2)
        with tollbook.tenant("bolt"):
            second = pool.submit(who)
        assert [first.result(60), *mapped, second.result(60)] == [*["acme"] * 4, "bolt"]
        assert pool.submit(who).result(60) is None


def test_a_function_carries_its_identity_wherever_it_is_called() -> None:
    with tollbook.tenant("acme"):
        job = carried(who)
    with tollbook.tenant("other"):
        assert job() == "acme"
        assert who() == "other"
