"""Rules on budgets and margins, asked of the rooms that know them, with nothing pretended."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from tests.alerts.alerts_kit import USD, House

from tollbook import clock
from tollbook.alerts.evaluate import evaluate
from tollbook.alerts.finance import asker
from tollbook.alerts.rule import Kind, read_rule
from tollbook.alerts.source import LedgerSource
from tollbook.config import Config
from tollbook.config.budgets import Budget
from tollbook.console.finance import carry_out
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from tollbook.alerts.signal import Signal
    from tollbook.desk import Desk


def fired(house: House, desk: Desk, kind: Kind, **changes: Any) -> list[Signal]:
    one = read_rule("probe", {"kind": kind.value, **changes})
    now = clock.utc_now() + timedelta(seconds=2)
    found = evaluate([one], LedgerSource(house.reader), asker(desk), now)
    assert not found.problems
    return list(found.signals)


def test_a_cap_is_near_where_the_ledger_says_so(house: House) -> None:
    at = clock.utc_now()
    for tenant, spent in (("acme", 85 * USD), ("globex", 20 * USD)):
        house.spend(at, spent, tenant=tenant, calls=10)
    house.spend(at, USD, tenant="acme", api_key_id="k-1", calls=9)
    budgets = [
        Budget(name="each-tenant", limit_usd=Decimal(100), each=["tenant"]),
        Budget(name="all", limit_usd=Decimal(1000), window="day"),
        Budget(name="keys", limit_requests=10, each=["api_key"]),
    ]
    desk = house.desk._replace(config=msgspec.structs.replace(Config(), budgets=budgets))
    near, keys, keyless = sorted(fired(house, desk, Kind.CAP_NEAR), key=lambda one: one.entity)
    assert keyless.named == {"budget": "keys", "api_key": "unknown"}
    assert keys.named == {"budget": "keys", "api_key": "k-1"}
    assert keys.where == ("api_key=k-1",)
    assert "9 requests of 10 requests" in keys.words
    assert near.named == {"budget": "each-tenant", "tenant": "acme"}
    assert near.observed == "86"
    assert near.where == ("tenant=acme",)
    assert near.since <= at < near.until
    assert "of $100" in near.words
    assert "resets at" in near.words
    assert len(fired(house, desk, Kind.CAP_NEAR, limit="20")) == 4
    assert [one.entity for one in fired(house, desk, Kind.CAP_NEAR, limit="99")] == [keyless.entity]


def test_a_margin_misses_its_target(house: House) -> None:
    at = clock.utc_now()
    for tenant in ("acme", "fine"):
        house.spend(at, 9 * USD, tenant=tenant, calls=3)
    known, desk = operations(), house.desk
    first = at.date().replace(day=1).isoformat()
    # Earned evenly over its day: of a million, more than a tenant costs here within two minutes.
    lines = f"line_id,tenant,amount,issued\n1,acme,9,{first}\n2,fine,1000000,{first}\n"
    carry_out(known["revenue.import"], desk, {"name": "crm", "text": lines})
    assert fired(house, desk, Kind.MARGIN_BELOW) == [], "no target, no alert"
    carry_out(known["margin.target"], desk, {"min_margin_percent": "40", "reason": "plan"})
    (short,) = fired(house, desk, Kind.MARGIN_BELOW)
    assert short.entity == ("acme",)
    assert (short.unit, short.calls) == ("percent", 3)
    assert Decimal(short.observed) <= 0
    assert "is below 40 %" in short.words
