"""``kill -9`` of the ingesting process between and within steps: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from tests.stitch.stitch_kit import owner, response

from tollbook.call import Observer

W = Any
SDK, OTLP = Observer.SDK, Observer.OTLP
_LIVES = 3
_CALLS_PER_LIFE = 24

_INGEST = """
import pathlib, sys
from decimal import Decimal
from tollbook.config.schema import PriceCard
from tollbook.ledger.ingest import Ingester
from tollbook.ledger.store import open_store
from tollbook.prices.book import PriceBook
from tollbook.spool.reader import SpoolReader

class Shelf:
    def remember(self, new): pass

root = pathlib.Path(sys.argv[1])
card = PriceCard(provider="openai", model="m-*", effective_from="2020-01-01",
                 input=Decimal(2), output=Decimal(8))
book = PriceBook([card], "tollbook.toml", {"openai": "openai"})
with open_store(root / "ledger.duckdb", threads=1) as store:
    ingester = Ingester(store, SpoolReader(root / "spool"), book, Shelf(), batch_calls=17,
                        now_ns=lambda: 1_790_000_100_000_000_000)
    print("ready", flush=True)
    while True:
        if ingester.step().calls:
            print("booked", flush=True)
"""


@pytest.mark.slow
def test_killed_again_and_again(world: W) -> None:
    world.store.close()
    tenants: dict[str, int] = {}
    told: list[Any] = []
    for life in range(_LIVES):
        process = subprocess.Popen(
            [sys.executable, "-c", _INGEST, str(world.root)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for at in range(_CALLS_PER_LIFE):
            name, tenant = f"{life}-{at}", f"tenant-{at % 4}"
            told += [
                world.span(name, f"{name}r", None, owner(tenant)),
                world.seen(OTLP, f"o{name}", response_id=response(name), trace=name,
                           span=f"{name}o", parent=f"{name}r"),
                world.seen(None, f"g{name}", response_id=response(name), trace=name,
                           parent=f"{name}o"),
                world.seen(SDK, f"s{name}", response_id=response(name)),
            ]  # fmt: skip
            tenants[tenant] = tenants.get(tenant, 0) + 1
        # What one life was told last, the next is told first, and some of it again.
        part, told = told[::-1][: len(told) * 3 // 4], told[: len(told) // 4 + 1]
        world.spool(*part[::2])
        world.spool(*part[1::2])
        world.spool(*[one for one in part[::5] if _may_come_again(one)])
        for _ in range(2 + life % 3):
            assert process.stdout.readline() == b"booked\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        told = [one for one in told if one not in part]
    world.now_ns = 1_790_000_100_000_000_000
    world.reopen()
    world.spool(*told)
    world.drain()
    assert {row[0]: row[1] for row in world.sums()} == tenants
    assert {row[4] for row in world.in_force("1", "2", "3", "4", "observed_by")} == {
        '["gateway","sdk","otlp"]'
    }
    # the killed processes kept no cards, so only what needs none is compared
    assert {one.check for one in world.verify().findings} <= {"card"}


def _may_come_again(frames: Any) -> bool:
    return not isinstance(frames, tuple) or frames[0].observer is not None
