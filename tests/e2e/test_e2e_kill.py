"""kill -9 of workers and ledger, again and again under load: nothing missing, nothing double."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tollbook.simulator.drive_raw import drive_raw
from tollbook.simulator.traffic import Mix, make_plan
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 9
CALLS = 12_000


@pytest.mark.slow
def test_killed_workers_and_ledger_lose_and_double_nothing(make_house: Callable[..., Any]) -> None:
    print(f"seed {SEED}")
    mix = Mix(hang_up=0.02, error=0.02, retry=0.02, broken=0.002)
    plan = make_plan(seed=SEED, calls=CALLS, tenants=60, mix=mix)
    house = make_house(workers=2)
    shared = house.key("product")
    finished = threading.Event()
    kills: Counter[int] = Counter()

    def kill_things() -> None:
        rng = random.Random(SEED)
        while not finished.wait(rng.uniform(0.15, 0.6)):
            child = rng.choice([0, 1, 2])
            house.kill(child)
            kills[child] += 1

    killer = threading.Thread(target=kill_things)
    killer.start()
    try:
        drive_raw(
            plan.requests,
            house.url,
            house.data_dir / "product.jsonl",
            api_key=shared,
            concurrency=48,
            names_attempts=True,
        )
    finally:
        finished.set()
        killer.join()
    house.settle()
    house.stop()

    truth = read_truth(house.simulator.log_dir)
    rows = house.records(
        "SELECT call_id, provider_request_id, idempotency_key, status, usage_source, cost_usd,"
        " sum(calls) OVER (PARTITION BY call_id) AS times FROM entries WHERE kind = 'charge'"
    )
    assert sum(kills.values()) >= 6, kills
    assert set(kills) == {0, 1, 2}
    assert len({row["call_id"] for row in rows}) == len(rows), "a call was booked twice"

    # Each arrival at the provider has its own call, told by the product's name of the attempt.
    arrivals = Counter(f"{call.received.request_id}/{call.received.retry_count}" for call in truth)
    booked = Counter(row["idempotency_key"] for row in rows if row["status"] != "rejected")
    missing = {key: count for key, count in arrivals.items() if booked[key] < count}
    assert missing == {}
    # A call that is booked and never arrived was killed between its open frame and the provider.
    surplus = booked - arrivals
    interrupted = Counter(
        row["idempotency_key"] for row in rows if row["status"] in ("interrupted", "error")
    )
    assert all(interrupted[key] >= count for key, count in surplus.items()), surplus
    answered = [row["provider_request_id"] for row in rows if row["provider_request_id"]]
    assert len(set(answered)) == len(answered), "one answer was booked twice"
    delivered = {
        call.ended.provider_request_id: call.ended.cost_usd
        for call in truth
        if call.ended and call.usage_delivered
    }
    for row in rows:
        if row["usage_source"] == "reported" and row["provider_request_id"]:
            assert f"{row['cost_usd']:.12f}" == delivered[row["provider_request_id"]]
        elif row["status"] not in ("error", "rejected"):
            assert row["usage_source"] == "estimated"
    assert house.cli("verify").returncode == 0
    print(f"{len(rows)} calls, kills {dict(kills)}, {Counter(row['status'] for row in rows)}")
