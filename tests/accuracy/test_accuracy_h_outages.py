"""H: what is down, is stopped or cannot be written loses no call and doubles none."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.accuracy.flood import SameAnswer, flood
from tests.e2e.conftest import free_ports, make_house
from tests.ledger.conftest import World

from tollbook.cli.tieout import by_model_and_kind, by_tenant
from tollbook.config import load_config
from tollbook.ledger.ingest import Ingester
from tollbook.ledger.store import LEDGER_FILE, open_store
from tollbook.simulator.bill import Bill
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
__all__ = ["make_house"]

FAKE = """
[providers.fake]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
[[prices]]
provider = "fake"
model = "m-*"
effective_from = "2026-01-01"
input = 2
output = 10
"""
MEMORY_GROWTH_MAX_BYTES = 64 * 1024 * 1024


@pytest.fixture
def provider() -> Iterator[SameAnswer]:
    """Return a provider that always gives the same answer."""
    with SameAnswer() as one:
        yield one


def test_H1_commits_that_fail_lose_nothing_and_double_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    writer = world.writer()
    for _ in range(50):
        world.call(writer)
    append, failures = world.store.append, iter(range(3))

    def refuses(*arguments: Any) -> Any:
        append(*arguments)
        if next(failures, None) is not None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(world.store, "append", refuses)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            world.ingester.step()
        assert world.rows("SELECT count(*) FROM entries") == [(0,)]

    assert world.drain() == 50
    assert world.rows("SELECT count(*), count(DISTINCT call_id) FROM entries") == [(50, 50)]
    assert world.verify().is_clean
    world.close()


def test_H2_a_stop_in_the_middle_of_the_load_keeps_every_call_that_was_let_in(
    make_house: Callable[..., Any], provider: SameAnswer
) -> None:
    house = make_house(workers=2, settings=FAKE.format(port=provider.port))
    answered: list[int] = []
    loads = [
        threading.Thread(
            target=lambda at=at: answered.append(
                asyncio.run(flood(house.gateway_port, 40_000, tenant=f"t-{at}"))
            )
        )
        for at in range(2)
    ]
    for load in loads:
        load.start()
    time.sleep(1.0)
    house.stop()
    for load in loads:
        load.join(60)

    booked = house.rows("SELECT count(*), count(DISTINCT call_id) FROM entries WHERE status='ok'")
    assert 0 < sum(answered) < 80_000, "the stop came in the middle"
    # An answer may have been on its way to a client that the stop cut off.
    assert booked[0][0] == booked[0][1] >= sum(answered)
    assert booked[0][0] - sum(answered) <= 32
    assert house.cli("verify").returncode == 0


@contextlib.contextmanager
def lone_worker(config_path: Path, data_dir: Path) -> Iterator[psutil.Process]:
    """Run one gateway worker without a ledger."""
    command = [sys.executable, "-m", "tollbook.capture.gateway.worker"]
    command += ["--config", str(config_path), "--data", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert b"listens" in worker.stdout.readline()
        try:
            yield psutil.Process(worker.pid)
        finally:
            worker.terminate()


def test_H3_calls_before_there_is_a_ledger_are_all_booked(
    make_house: Callable[..., Any], provider: SameAnswer, tmp_path: Path
) -> None:
    house = make_house(starts=False, settings=FAKE.format(port=provider.port))
    (port,) = free_ports(1)
    settings = tmp_path / "first.toml"
    settings.write_text(f"[gateway]\nport = {port}\n" + FAKE.format(port=provider.port))
    with lone_worker(settings, house.data_dir):
        before = asyncio.run(flood(port, 500))
        assert not (house.data_dir / LEDGER_FILE).exists()
        house.start()
        house.settle()
        during = asyncio.run(flood(port, 100))
    after = asyncio.run(flood(house.gateway_port, 100))
    house.stop()

    assert (before, during, after) == (500, 100, 100)
    assert house.rows("SELECT count(*), count(DISTINCT call_id) FROM entries") == [(700, 700)]


def test_H4_an_outage_of_the_ledger_is_bounded_in_memory_and_made_up_for(
    tmp_path: Path, provider: SameAnswer
) -> None:
    calls = 100_000
    (port,) = free_ports(1)
    settings = tmp_path / "tollbook.toml"
    settings.write_text(f"[gateway]\nport = {port}\n" + FAKE.format(port=provider.port))
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    with lone_worker(settings, data_dir) as process:
        assert asyncio.run(flood(port, 2000)) == 2000
        before_bytes = process.memory_info().rss
        assert asyncio.run(flood(port, calls - 2000)) == calls - 2000
        grown_bytes = process.memory_info().rss - before_bytes
    assert grown_bytes < MEMORY_GROWTH_MAX_BYTES

    config = load_config(settings, {})
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    world.store.close()
    store = open_store(tmp_path / LEDGER_FILE, threads=1)
    ingester = Ingester(
        store, SpoolReader(data_dir / "spool"), world.prices("2", "10"), world.shelf,
        batch_calls=config.ledger.batch_calls,
    )  # fmt: skip
    while not ingester.step().at_end:
        pass
    connection = store.reader()
    found = connection.execute("SELECT count(*), count(DISTINCT call_id) FROM entries").fetchall()
    connection.close()
    store.close()
    assert found == [(calls, calls)]


def test_H7_nothing_against_nothing_is_no_agreement() -> None:
    assert not by_model_and_kind([], Bill({}, 0, 0)).holds
    assert not by_tenant([], {}).holds
