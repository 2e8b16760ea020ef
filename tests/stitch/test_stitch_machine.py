"""Random calls, seen by random observers, told in any order, again, in pieces, through crashes.

What is true of each call is known here without the ledger; in the end its sums must be that. The
same frames told in one go to another ledger must end in the same state.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.stitch.stitch_kit import StitchWorld, owner, response

from tollbook.call import Observer

W = Any
SDK, OTLP, IMPORT = Observer.SDK, Observer.OTLP, Observer.IMPORT
GATEWAY = None
_CRASH_AT = [
    "tollbook.ledger.state.save_writers",
    "tollbook.ledger.state.save_progress",
    "tollbook.ledger.store.batch_hash",
    "tollbook.ledger.stitch.books.settle",
    "tollbook.ledger.stitch.books.update_states",
    "tollbook.ledger.stitch.settle._charge",
]
_FINAL = (
    "call_id", "tenant_id", "identity_source", "observer", "observed_by", "status", "trace_id",
    "span_id", "parent_span_id", "uncached_input_tokens", "visible_output_tokens", "cost_usd",
    "model_actual", "provider_response_id",
)  # fmt: skip
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing case is not made smaller: each try opens ledgers, which takes minutes."""
_ESTIMATE = 10  # forty characters
_USD_PICO = (2_000_000, 8_000_000)


class _CrashError(Exception):
    """Stands for the process dying at this point."""


class StitchMachine(RuleBasedStateMachine):
    """Traces with calls against what is true of them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.world: W = self._new_world("a")
        self.pending: list[list[Any]] = []
        self.told: list[list[Any]] = []
        self.calls: list[tuple[str | None, int]] = []
        self.count = self.compared = 0

    def _new_world(self, name: str) -> W:
        place = Path(self.directory.name) / name
        place.mkdir(exist_ok=True)
        return StitchWorld(place)

    def teardown(self) -> None:
        self.world.close()
        self.directory.cleanup()

    @rule(data=st.data(), calls=st.integers(1, 3), has_agent=st.booleans(),
          root_names=st.booleans())  # fmt: skip
    def new_trace(
        self, data: st.DataObject, calls: int, *, has_agent: bool, root_names: bool
    ) -> None:
        world, name = self.world, f"t{self.count}"
        tenant = f"tenant-{self.count % 3}"
        self.count += 1
        root = owner(tenant, feature="f") if root_names else None
        self.pending.append([world.span(name, f"{name}-root", None, root)])
        parent = f"{name}-root"
        if has_agent:
            parent = f"{name}-agent"
            self.pending.append([
                world.seen(OTLP, f"{name}a", trace=name, span=parent, parent=f"{name}-root",
                           operation="invoke_agent", tokens=(999_999, 1))
            ])  # fmt: skip
            self.pending.append([world.span(name, parent, f"{name}-root")])
        for nth in range(calls):
            self._new_call(data, f"{name}c{nth}", name, parent, tenant, root_names=root_names)

    def _new_call(
        self, data: st.DataObject, name: str, trace: str, parent: str, tenant: str, *,
        root_names: bool,
    ) -> None:  # fmt: skip
        draw = data.draw
        world = self.world
        has_id = draw(st.booleans())
        # Without an id only spans say that two sights are one call.
        choices = [GATEWAY, OTLP, SDK, IMPORT] if has_id else [GATEWAY, OTLP]
        observers = draw(st.lists(st.sampled_from(choices), min_size=1, unique=True))
        # One of those that see the trace must be there for the agent to be a wrapper.
        if not {GATEWAY, OTLP} & set(observers):
            observers.append(OTLP)
        names_it = draw(st.sampled_from([None, *observers, "nobody"]))
        if names_it is None and GATEWAY not in observers:
            names_it = observers[0]
        tokens = (draw(st.integers(1, 10**5)), draw(st.integers(0, 10**4)))
        # A gateway that died saw no response id: only a span says which call that was.
        may_be_cut = GATEWAY in observers and (OTLP in observers or len(observers) == 1)
        is_cut = may_be_cut and draw(st.sampled_from([False, False, True]))
        is_nested = OTLP in observers and draw(st.sampled_from([False, False, True]))
        at_ns = world.tick()
        common: dict[str, Any] = {
            "response_id": response(name) if has_id else None, "tokens": tokens, "at_ns": at_ns,
        }  # fmt: skip
        for one in observers:
            said = common | {"tenant": tenant if one == names_it else None}
            if one is OTLP:
                if is_nested:
                    self.pending.append([
                        world.seen(OTLP, f"{name}w", trace=trace, span=f"{name}w", parent=parent,
                                   **common)
                    ])  # fmt: skip
                self.pending.append([
                    world.seen(OTLP, f"{name}o", trace=trace, span=f"{name}o",
                               parent=f"{name}w" if is_nested else parent, **said)
                ])  # fmt: skip
            elif one is GATEWAY:
                above = f"{name}o" if OTLP in observers else parent
                self.pending.append([world.span(trace, f"{name}h", above)])
                frames = world.seen(GATEWAY, f"{name}g", trace=trace, parent=f"{name}h", **said)
                self.pending.append([frames[0]] if is_cut else [frames])
            else:
                self.pending.append([world.seen(one, f"{name}{one}", **said)])
        is_measured = set(observers) != {GATEWAY} or not is_cut
        is_known = root_names or names_it != "nobody"
        pico = sum(n * usd for n, usd in zip(
            tokens if is_measured else (_ESTIMATE, 0), _USD_PICO, strict=True
        ))  # fmt: skip
        self.calls.append((tenant if is_known else None, pico))

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), count=st.integers(1, 8))
    def tell(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.pending))):
            at = data.draw(st.integers(0, len(self.pending) - 1))
            self._write(self.pending.pop(at))
        self.world.drain()

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def tell_again(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.told) - 1))
        frames = self.told[at]
        if not _is_of_gateway(frames):
            self._write(frames, is_new=False)
        self.world.drain()

    def _write(self, frames: list[Any], *, is_new: bool = True) -> None:
        self.world.spool(*frames)
        if is_new:
            self.told.append(frames)

    @rule(where=st.sampled_from(_CRASH_AT), data=st.data())
    def crash_in_a_step(self, where: str, data: st.DataObject) -> None:
        if self.pending:
            self._write(self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1))))
        with mock.patch(where, side_effect=_CrashError):
            try:
                self.world.ingester.step()
            except _CrashError:
                self.world.reopen()

    @rule(calls=st.integers(1, 5))
    def restart(self, calls: int) -> None:
        self.world.reopen()
        self.world.ingester = self.world.new_ingester(calls)

    @rule()
    def tell_everything_and_compare(self) -> None:
        while self.pending:
            self._write(self.pending.pop())
        self.world.drain()
        sums: dict[str | None, list[int]] = {}
        for tenant, pico in self.calls:
            both = sums.setdefault(tenant, [0, 0])
            both[0] += 1
            both[1] += pico
        found = self.world.rows(
            "SELECT tenant_id, sum(calls)::BIGINT, CAST(sum(cost_usd) * 1000000000000 AS HUGEINT)"
            " FROM entries GROUP BY tenant_id HAVING sum(calls) <> 0 OR sum(cost_usd) <> 0"
        )
        assert {tenant: both for tenant, *both in found} == sums
        self.world.clean()
        self._compare_with_one_go()

    def _compare_with_one_go(self) -> None:
        self.compared += 1
        other = self._new_world(f"b{self.compared}")
        try:
            other.now_ns = self.world.now_ns
            for frames in self.told:
                other.spool(*frames)
            other.drain()
            assert other.in_force(*_FINAL) == self.world.in_force(*_FINAL)
            assert other.states() == self.world.states()
            other.clean()
        finally:
            other.close()


def _is_of_gateway(frames: list[Any]) -> bool:
    first = frames[0][0] if isinstance(frames[0], tuple) else frames[0]
    return getattr(first, "observer", None) is None


@pytest.mark.slow
def test_the_same_sums_whatever_the_order() -> None:
    run_state_machine_as_test(
        StitchMachine,
        settings=settings(
            max_examples=8, stateful_step_count=16, deadline=None,
            suppress_health_check=list(HealthCheck), phases=PHASES,
        ),
    )  # fmt: skip
