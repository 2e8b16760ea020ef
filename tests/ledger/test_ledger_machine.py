"""Whatever happens in whatever order: every written call is booked exactly once, to the pico.

Some calls have further parts, some are answers from the cache, some come with the provider's own
figure of their cost; the number of input tokens says which.
"""

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
from msgspec.structs import replace

from tollbook.dialects.base import Part
from tollbook.dialects.openai import OpenAI
from tollbook.ledger.rerate import rerate
from tollbook.usage import Kinds

W = Any
_CRASH_AT = [
    "tollbook.ledger.state.save_writers",
    "tollbook.ledger.state.save_incidents",
    "tollbook.ledger.state.save_progress",
    "tollbook.ledger.store.batch_hash",
    "tollbook.ledger.batch.price_calls",
]
_EVERY_THIRD = 3
_REPORTED_PICO = 12_345
_measure = OpenAI.measure


def _measure_with_parts(self: OpenAI, call: Any) -> Any:
    """Read a call as the dialect does; every third number of input tokens has a part more."""
    measured = _measure(self, call)
    tokens = measured.kinds.uncached_input_tokens if measured.kinds else 1
    if tokens % _EVERY_THIRD or not tokens:
        return measured
    part = Part(Kinds(tokens // _EVERY_THIRD, requests=1), "m-2", "pass")
    return replace(measured, further=(part,), reported_cost_pico=_REPORTED_PICO)


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
        self.cached: set[bytes] = set()

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
    @rule(
        data=st.data(), tokens=st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)),
        is_cached=st.sampled_from([False, False, True]),
    )  # fmt: skip
    def close_call(self, data: st.DataObject, tokens: tuple[int, int], *, is_cached: bool) -> None:
        at = data.draw(st.integers(0, len(self.open) - 1))
        writer, opened = self.open.pop(at)
        fields: dict[str, Any] = {}
        if is_cached:
            fields = {"is_billable": False, "cached_from": opened.call_id}
            self.cached.add(opened.call_id)
        writer.append(self.world.closed(opened, *tokens, **fields))
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
        ((calls, requests, input_tokens, output_tokens, reported, saved, cost, parts),) = (
            self.world.rows(
                "SELECT sum(calls), sum(requests), sum(uncached_input_tokens),"
                " sum(visible_output_tokens),"
                " CAST(sum(reported_cost_usd) * 1000000000000 AS HUGEINT),"
                " CAST(sum(saved_cost_usd) * 1000000000000 AS HUGEINT),"
                " CAST(sum(cost_usd) * 1000000000000 AS HUGEINT),"
                " CAST((sum(uncached_input_tokens_cost_usd) + sum(visible_output_tokens_cost_usd))"
                " * 1000000000000 AS HUGEINT) FROM entries"
            )
        )
        billed = [call_id for call_id in counts if call_id not in self.cached]
        tokens = [self.done[call_id] for call_id in billed]
        assert (calls or 0) == len(counts)
        assert (requests or 0) == len(billed)
        assert (input_tokens or 0) == sum(one + self._part(one) for one, _ in tokens)
        assert (output_tokens or 0) == sum(one for _, one in tokens)
        assert (cost or 0) == (parts or 0) == sum(map(self._pico, billed))
        assert (saved or 0) == sum(self._pico(one) for one in counts if one in self.cached)
        several = [one for one, _ in tokens if self._part(one)]
        assert (reported or 0) == _REPORTED_PICO * len(several)
        ((by_tenant,),) = self.world.rows(
            "SELECT sum(part) FROM (SELECT sum(calls) AS part FROM entries GROUP BY tenant_id)"
        )
        assert (by_tenant or 0) == len(counts)
        return set(counts)

    def _pico(self, call_id: bytes) -> int:
        """Dollars per million tokens times tokens, in pico: worked out without the ledger."""
        read, written = self.done[call_id]
        amounts = zip(
            (read + self._part(read), written), self.priced_at[call_id], strict=True
        )  # fmt: skip
        return sum(tokens * round(float(usd) * 100) * 10_000 for tokens, usd in amounts)

    @staticmethod
    def _part(input_tokens: int) -> int:
        """Input tokens of the further part of a call with so many."""
        return 0 if input_tokens % _EVERY_THIRD else input_tokens // _EVERY_THIRD


@pytest.mark.slow
def test_every_call_exactly_once_whatever_happens(
    new_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAI, "measure", _measure_with_parts)
    LedgerMachine.world_type = new_world
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
