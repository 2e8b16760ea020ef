"""``kill -9`` of the ingesting process, again and again, while calls are being written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tollbook.call import CallOpened

W = Any
_KILLS = 6
_CALLS_PER_LIFE = 300

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
    ingester = Ingester(store, SpoolReader(root / "spool"), book, Shelf(), batch_calls=23)
    print("ready", flush=True)
    while True:
        if ingester.step().calls:
            print("booked", flush=True)
"""


@pytest.mark.slow
def test_killed_ingest_loses_and_doubles_nothing(world: W) -> None:
    world.store.close()
    writer, other = world.writer(segment_max_bytes=16384), world.writer()
    written: list[CallOpened] = []
    waiting: CallOpened | None = None
    for life in range(_KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", _INGEST, str(world.root)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for count in range(_CALLS_PER_LIFE + 37 * life):
            written.append(world.call(writer if count % 3 else other, input_tokens=count))
            if count % 50 == 0:
                if waiting is not None:  # opened in one life of the ledger, closed in another
                    other.append(world.closed(waiting))
                    written.append(waiting)
                waiting = world.opened()
                other.append(waiting)
            if count == 100:
                for _ in range(min(1 + life, 4)):  # of at least five
                    assert process.stdout.readline() == b"booked\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    other.flush()
    world.reopen()
    before = world.rows("SELECT count(*) FROM entries")[0][0]
    world.drain()
    booked = world.rows("SELECT call_id, sum(calls) FROM entries GROUP BY call_id")
    assert {one.bytes for one, _ in booked} == {one.call_id for one in written}
    assert {calls for _, calls in booked} == {1}
    assert _KILLS <= before <= len(written)
    assert world.rows("SELECT count(*) FROM open_calls") == [(1,)]
    # the killed processes kept no cards, so only what needs none is compared
    assert {one.check for one in world.verify().findings} <= {"card"}
