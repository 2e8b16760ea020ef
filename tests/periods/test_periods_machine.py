"""Random months: calls, late ones, true-ups, allocations and closes, in any order.

What was billed for a closed month never changes, every entry is in one month, and the trial balance
is zero throughout.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.periods.finance_kit import World, finance_world

from tollbook.chargeback.allocate import operations as allocate
from tollbook.chargeback.periods import operations as periods
from tollbook.chargeback.periods import steps
from tollbook.chargeback.periods.cutoffs import the_period
from tollbook.chargeback.periods.trial_balance import trial_balance
from tollbook.ledger.adjust import Adjustment, AdjustmentType, book_adjustments

MONTHS = ("2026-06", "2026-07", "2026-08", "2026-09", "2026-10")
POLICY: dict[str, Any] = {
    "rules": [
        {"name": "platform", "source": {"where": ["tenant=platform"]}, "method": {"type": "even"}},
        {"name": "rest", "source": {"unattributed": True}, "method": {"type": "proportional"}},
    ]
}
TENANTS = st.sampled_from(["acme", "globex", "platform", None])
COSTS = st.integers(-(10**12), 10**18)
PROVIDERS = st.sampled_from(["openai", "azure"])
INDEX = st.integers(0, len(MONTHS) - 1)


class Months(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self._open = ExitStack()
        folder = self._open.enter_context(tempfile.TemporaryDirectory())
        self.world: World = self._open.enter_context(finance_world(Path(folder)))
        self.sealed: dict[str, dict[Any, int]] = {}
        self.number = 0
        # What stands in the way of a step is not what is looked at here.
        patch = self._open.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(steps, "checks", lambda *_: [])
        self.world.ask(allocate.IMPORT_POLICY, body=POLICY, effective_from="2026-01", reason="x")

    @rule(month=INDEX, given=st.lists(st.tuples(TENANTS, COSTS, PROVIDERS), min_size=1, max_size=4))
    def call(self, month: int, given: list[tuple[str | None, int, str]]) -> None:
        at = datetime.fromisoformat(f"{MONTHS[month]}-15").replace(tzinfo=UTC)
        self.world.charges(
            [
                (at, cost, {"tenant": tenant, "provider": provider})
                for tenant, cost, provider in given
            ]
        )

    @rule(month=INDEX, named=st.none() | INDEX, cost=COSTS, tenant=TENANTS)
    def true_up(self, month: int, named: int | None, cost: int, tenant: str | None) -> None:
        at = datetime.fromisoformat(f"{MONTHS[month]}-15").replace(tzinfo=UTC)
        self.number += 1
        one = Adjustment(
            adjustment=AdjustmentType.TRUE_UP, at_ns=int(at.timestamp()) * 10**9, cost=cost,
            provider="openai", reason="invoice", identity={"tenant_id": tenant} if tenant else {},
            billing_period=None if named is None else MONTHS[named],
        )  # fmt: skip
        book_adjustments(self.world.store, f"true-up:{self.number}", [one])

    @rule(month=INDEX)
    def allocate(self, month: int) -> None:
        if MONTHS[month] not in self.sealed:
            self.world.ask(allocate.RUN, period=MONTHS[month])
            again = self.world.ask(allocate.RUN, period=MONTHS[month])
            assert again["booked"] == 0

    @precondition(lambda self: len(self.sealed) < len(MONTHS) - 1)
    @rule()
    def close(self) -> None:
        name = MONTHS[len(self.sealed)]
        for to in ("reconciled", "allocated"):
            self.world.ask(periods.STEP, period=name, to=to)
        self.world.ask(periods.SEAL, period=name)
        self.sealed[name] = self.world.total("tenant", "provider", period=name)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "world"):
            return
        whole: dict[Any, int] = {}
        for name in MONTHS:
            billed = self.world.total("tenant", "provider", period=name)
            if name in self.sealed:
                assert billed == self.sealed[name]
            for key, cost in billed.items():
                whole[key] = whole.get(key, 0) + cost
        assert {key: cost for key, cost in whole.items() if cost} == self.world.total(
            "tenant", "provider"
        )

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        with self._open:
            desk = self.world.desk()
            for name in MONTHS:
                assert trial_balance(desk, the_period(desk.books, desk.config, name)).total == 0
            for name in self.sealed:
                assert self.world.ask(periods.VERIFY, period=name)["rows"] == []


TestMonths = Months.TestCase
TestMonths.settings = settings(
    max_examples=3, stateful_step_count=9, phases=[Phase.explicit, Phase.generate]
)
