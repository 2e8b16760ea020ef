"""Whatever happens in whatever order: every written call is booked exactly once, to the pico."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tollbook.ledger.rerate import rerate

W = Any
_CRASH_AT = [
    "tollbook.ledger.state.save_writers",
    "tollbook.ledger.state.save_incidents",
    "tollbook.ledger.state.save_progress",
    "tollbook.ledger.store.batch_hash",
    "tollbook.ledger.batch.price_calls",
]
_PRICES = [("2", "8"), ("3", "8"), ("0.15", "0.6"), ("0", "0")]


class _CrashError(Exception):
    """Stands for the process dying at this point."""


class LedgerMachine(RuleBasedStateMachine):
    """Writers and an ingester against a model: a dict of calls with their tokens."""

    world_type: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.world: W = self.world_type(Path(self.directory.name))
        self.writers: list[Any] = []
        self.open: list[tuple[Any, Any]] = []
        self.done: dict[bytes, tuple[int, int]] = {}
        self.interrupted: set[bytes] = set()
        self.priced_at: dict[bytes, tuple[str, str]] = {}
        self.prices = _PRICES[0]

    def teardown(self) -> None:
        self.world.close()
        self.directory.cleanup()

    @rule()
    def start_writer(self) -> None:
        if len(self.writers) < 4:
            self.writers.append(self.world.writer(segment_max_bytes=4096))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), count=st.integers(1, 6))
    def open_calls(self, data: st.DataObject, count: int) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        for _ in range(count):
            opened = self.world.opened(input_chars=40, tenant_id=f"t{count}")
            writer.append(opened)
            self.open.append((writer, opened))
        assert writer.flush()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), tokens=st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)))
    def close_call(self, data: st.DataObject, tokens: tuple[int, int]) -> None:
        at = data.draw(st.integers(0, len(self.open) - 1))
        writer, opened = self.open.pop(at)
        writer.append(self.world.closed(opened, *tokens))
        assert writer.flush()
        self.done[opened.call_id] = tokens

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def writer_dies(self, data: st.DataObject) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        self.writers.remove(writer)
        writer.close()
        for owner, opened in list(self.open):
            if owner is writer:
                self.open.remove((owner, opened))
                self.interrupted.add(opened.call_id)
                self.done[opened.call_id] = (10, 0)  # 40 characters

    @rule(batch_calls=st.integers(1, 8))
    def step(self, batch_calls: int) -> None:
        self.world.ingester = self.world.new_ingester(batch_calls)
        self.world.ingester.step()

    @rule(where=st.sampled_from(_CRASH_AT))
    def crash_in_a_step(self, where: str) -> None:
        with mock.patch(where, side_effect=_CrashError):
            try:
                self.world.ingester.step()
            except _CrashError:
                self.world.reopen()

    @rule()
    def restart(self) -> None:
        self.world.reopen()

    @rule(prices=st.sampled_from(_PRICES))
    def rerate(self, prices: tuple[str, str]) -> None:
        self.prices = prices
        self.world.price_book = self.world.prices(*prices)
        self.world.ingester = self.world.new_ingester()
        rerate(self.world.store, self.world.shelf, self.world.price_book)
        for (call_id,) in self.world.rows("SELECT DISTINCT call_id FROM entries"):
            self.priced_at[call_id.bytes] = prices

    @rule()
    def drain_and_compare(self) -> None:
        self.world.drain()
        booked = self._check_booked()
        assert booked == self.done.keys()
        statuses = self.world.rows(
            "SELECT DISTINCT call_id FROM entries WHERE status='interrupted'"
        )
        assert {one.bytes for (one,) in statuses} == self.interrupted
        assert self.world.verify().findings == ()

    @invariant()
    def what_is_booked_is_right(self) -> None:
        self._check_booked()

    def _check_booked(self) -> set[bytes]:
        """Compare the sums with the model's, for the calls that are booked by now."""
        counts = Counter(
            {one.bytes: int(calls) for one, calls in
             self.world.rows("SELECT call_id, sum(calls) FROM entries GROUP BY call_id")}
        )  # fmt: skip
        assert set(counts.values()) <= {1}
        assert counts.keys() <= self.done.keys()
        for call_id in counts:
            self.priced_at.setdefault(call_id, self.prices)
        ((calls, input_tokens, output_tokens, cost, parts),) = self.world.rows(
            "SELECT sum(calls), sum(uncached_input_tokens), sum(visible_output_tokens),"
            " CAST(sum(cost_usd) * 1000000000000 AS HUGEINT),"
            " CAST((sum(uncached_input_tokens_cost_usd) + sum(visible_output_tokens_cost_usd))"
            " * 1000000000000 AS HUGEINT) FROM entries"
        )
        tokens = [self.done[call_id] for call_id in counts]
        assert (calls or 0) == len(tokens)
        assert (input_tokens or 0) == sum(one for one, _ in tokens)
        assert (output_tokens or 0) == sum(one for _, one in tokens)
        assert (cost or 0) == (parts or 0) == sum(self._pico(call_id) for call_id in counts)
        ((by_tenant,),) = self.world.rows(
            "SELECT sum(part) FROM (SELECT sum(calls) AS part FROM entries GROUP BY tenant_id)"
        )
        assert (by_tenant or 0) == len(tokens)
        return set(counts)

    def _pico(self, call_id: bytes) -> int:
        """Dollars per million tokens times tokens, in pico: worked out without the ledger."""
        amounts = zip(self.done[call_id], self.priced_at[call_id], strict=True)
        return sum(tokens * round(float(usd) * 100) * 10_000 for tokens, usd in amounts)


@pytest.mark.slow
def test_every_call_exactly_once_whatever_happens(new_world: Any) -> None:
    LedgerMachine.world_type = new_world
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
