"""A ledger of some tenants, and billing systems to deliver it to."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.billing_systems.fakes import KEY, FakeLago, FakeOpenMeter, FakeStripe, FakeSystem
from tests.periods.finance_kit import World, finance_world

from tollbook import clock
from tollbook.chargeback.billing.operations import OPERATIONS
from tollbook.chargeback.billing.push import Pushed, push
from tollbook.chargeback.billing.system import system_of
from tollbook.console.finance import carry_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tollbook.desk import Desk

BY_NAME = {one.name: one for one in OPERATIONS}
FAKES: dict[str, type[FakeSystem]] = {
    "stripe": FakeStripe,
    "lago": FakeLago,
    "openmeter": FakeOpenMeter,
}
KEYS = {"BILLING_KEY": KEY}


class Shop:
    """A ledger, a billing system, and what is waited for instead of sleeping."""

    def __init__(self, world: World, fake: FakeSystem, kind: str) -> None:
        self.world, self.fake, self.kind = world, fake, kind
        self.start = datetime.now(tz=UTC).replace(minute=0, second=0, microsecond=0)
        self.start -= timedelta(days=3)
        self.waits: list[float] = []
        self.environ = dict(KEYS)

    @property
    def desk(self) -> Desk:
        return self.world.desk()._replace(environ=self.environ)

    def set_up(self, **more: Any) -> dict[str, Any]:
        body = {
            "type": self.kind, "base_url": self.fake.url, "api_key_env": "BILLING_KEY",
            "start": f"{self.start:%Y-%m-%d}", "unmapped": "tenant", "requests_per_s": 1000,
            "meters": [
                {"name": "tokens", "measure": "input_tokens"},
                {"name": "spend", "measure": "cost_usd",
                 **({"unit": "pico"} if self.kind == "stripe" else {})},
            ],
        }  # fmt: skip
        return self.ask("billing.keep_system", name="shop", body=body | more, reason="test")

    def ask(self, operation: str, /, **given: Any) -> dict[str, Any]:
        return carry_out(BY_NAME[operation], self.desk, given)

    def push(self) -> Pushed:
        return push(self.desk, system_of(self.world.books, "shop"), sleep=self.waits.append)

    def call(self, tenant: str | None, hour: int, tokens: int, pico: int, **more: Any) -> None:
        at = self.start + timedelta(hours=hour, minutes=5)
        self.world.charge(at, pico, tenant=tenant, tokens=tokens, **more)

    def fill(self, tenants: int = 3, hours: int = 4) -> None:
        rows = [
            (
                self.start + timedelta(hours=hour, minutes=7), 1_000_001 * (tenant + hour + 1),
                {"tenant": f"t{tenant}", "tokens": 10 * tenant + hour + 1},
            )
            for tenant in range(tenants) for hour in range(hours)
        ]  # fmt: skip
        self.world.charges(rows)

    def ledger(self) -> dict[tuple[str, str], int]:
        """What the ledger has of each meter and tenant."""
        found: dict[tuple[str, str], int] = {}
        rows = self.world.reader.fetch(
            "SELECT tenant_id, sum(uncached_input_tokens), sum(cost_usd) FROM entries"
            " WHERE tenant_id IS NOT NULL GROUP BY 1"
        )
        for tenant, tokens, cost in rows:
            found["tokens", tenant] = int(tokens)
            found["spend", tenant] = int(cost * 10**12)
        return {at: value for at, value in found.items() if value}

    def states(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.ask("billing.log", system="shop")["rows"]:
            found.setdefault(row["delivery_key"], 0)
        counts: dict[str, int] = {}
        seen: set[str] = set()
        for row in self.ask("billing.log", system="shop")["rows"]:
            if row["delivery_key"] not in seen:  # the newest first
                seen.add(row["delivery_key"])
                counts[row["state"]] = counts.get(row["state"], 0) + 1
        return counts


@contextmanager
def shop_of(root: Path, kind: str) -> Iterator[Shop]:
    fake = FAKES[kind]()
    try:
        with finance_world(root) as world:
            world.read_up_to(datetime.now(tz=UTC))
            yield Shop(world, fake, kind)
    finally:
        fake.close()


@pytest.fixture(params=sorted(FAKES))
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with shop_of(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def stripe_shop(tmp_path: Path) -> Iterator[Shop]:
    with shop_of(tmp_path, "stripe") as made:
        yield made


def at_ns(days_ago: float) -> int:
    """A moment some days ago."""
    return clock.unix_ns() - int(days_ago * 86_400) * clock.NS_PER_S
