"""From calls and an invoice to the close with the real reconciliation: promise 1, to the cent.

For a closed period what owners bear comes to the providers' invoices; a correction after the close
is in the next month, beside that one's invoices.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.periods.finance_kit import World, finance_world, usd

from tollbook.chargeback.allocate import operations as allocate
from tollbook.chargeback.periods import operations as periods
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from pathlib import Path

SEPTEMBER = datetime(2026, 9, 1, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
POLICY = {"rules": [
    {"name": "rest", "source": {"unattributed": True}, "method": {"type": "proportional"}},
]}  # fmt: skip


def month_of_calls(world: World, start: datetime) -> None:
    world.charges([
        (start + timedelta(days=day, hours=9), usd("1.234567890123") * (1 + day % 3), {
            "tenant": ("acme", "globex", None)[day % 3], "provider": provider, "tokens": 1000,
        })
        for day in range(28) for provider in ("openai", "azure")
    ])  # fmt: skip


def close(world: World, name: str) -> None:
    """Reconcile, true up, allocate and close; what is no more than unexplained is accepted."""
    every = operations()
    world.ask(every["reconcile.run"], period=name)
    world.ask(every["reconcile.true-up"], period=name, apply=True)
    world.ask(every["reconcile.run"], period=name)
    world.ask(every["reconcile.accept"], period=name, note="signed off")
    assert failing(world, name, "reconciled") == set()
    world.ask(periods.STEP, period=name, to="reconciled")
    world.ask(allocate.RUN, period=name)
    assert failing(world, name, "closed") == set()
    world.ask(periods.STEP, period=name, to="allocated")
    assert world.ask(periods.SEAL, period=name)["state"] == "closed"


def failing(world: World, name: str, step: str) -> set[tuple[str, str]]:
    rows = world.ask(periods.CHECK, period=name, step=step)["rows"]
    return {(row["check"], row["problem"]) for row in rows if row["result"] == "failed"}


@pytest.mark.slow
def test_owners_come_to_the_invoices_in_both_months(tmp_path: Path) -> None:
    with finance_world(tmp_path) as world:
        world.ask(allocate.IMPORT_POLICY, body=POLICY, effective_from="2026-01", reason="agreed")
        month_of_calls(world, SEPTEMBER)
        world.read_up_to(datetime(2026, 11, 2, tzinfo=UTC))
        invoices = {"openai": usd("71.03"), "azure": usd("68.88")}
        for provider, amount in invoices.items():
            world.invoice(SEPTEMBER, provider, amount)
        close(world, "2026-09")
        billed = check_month(world, "2026-09", invoices)
        # A call of September that came late, and October with an invoice of its own.
        world.charge(SEPTEMBER + timedelta(days=3), usd("0.5"), tenant="acme", provider="openai")
        month_of_calls(world, OCTOBER)
        for provider, amount in invoices.items():
            world.invoice(OCTOBER, provider, amount - usd("1.5"))
        close(world, "2026-10")
        october = {provider: amount - usd("1.5") for provider, amount in invoices.items()}
        october["openai"] += usd("0.5")
        check_month(world, "2026-10", october)
        assert world.total("tenant", period="2026-09") == billed
        for name in ("2026-09", "2026-10"):
            assert world.ask(periods.VERIFY, period=name)["rows"] == []
        rows = world.ask(periods.TRIAL_BALANCE, period="2026-10")["rows"]
        prior = [row["credit_usd"] for row in rows if row["account"] == "prior:openai"]
        assert prior == ["0.500000000000"]


def check_month(world: World, name: str, invoices: dict[str, int]) -> dict[Any, int]:
    by_provider = world.total("provider", period=name)
    assert by_provider == {(provider,): amount for provider, amount in invoices.items()}
    owners = world.total("tenant", period=name)
    assert set(owners) == {("acme",), ("globex",)}
    assert sum(owners.values()) == sum(invoices.values())
    return owners
