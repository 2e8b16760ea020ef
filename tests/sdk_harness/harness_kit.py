"""What the tests of the harness have in common."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.call import Call, CallClosed, CallOpened, Evidence
from tollbook.cli.tieout import LEDGER_KIND
from tollbook.dialects.registry import dialect_named
from tollbook.sdk.sink import MemorySink
from tollbook.simulator.truth import TruthCall, read_truth

if TYPE_CHECKING:
    from tollbook.simulator.process import Simulator

KEY = "sk-sim-provider"
MESSAGES: list[Any] = [{"role": "user", "content": "Say something short."}]
MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-6"


class Pair(NamedTuple):
    """The two frames of a call."""

    opened: CallOpened
    closed: CallClosed

    @property
    def tenant(self) -> str | None:
        return self.opened.identity.tenant_id

    @property
    def quantities(self) -> dict[str, int]:
        """Everything that is not zero, as the bill calls it."""
        call = Call(self.opened, self.closed, Evidence("test", 1, 0, "test"))
        measured = dialect_named(self.opened.dialect).measure(call)
        assert measured.kinds is not None
        values = measured.kinds._asdict()
        return {name: values[ours] for name, ours in LEDGER_KIND.items() if values[ours]}


class Seen(MemorySink):
    """Waits until the calls that were dropped have been ended too."""

    def settled(self) -> list[Pair]:
        if self.open_calls:
            gc.collect()
        deadline = time.monotonic() + 10
        while self.open_calls and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.open_calls == 0, f"{self.open_calls} calls never ended"
        pairs = [Pair(*pair) for pair in self.calls]
        return sorted(pairs, key=lambda pair: pair.opened.started_at_ns)

    def only(self) -> Pair:
        (pair,) = self.settled()
        return pair


class Providers:
    """The simulated providers, and what they know of each call."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def url(self, name: str) -> str:
        return f"{self.simulator.base_url}/{name}"

    def truth(self) -> list[TruthCall]:
        return read_truth(self.simulator.log_dir)

    def of(self, pair: Pair) -> TruthCall:
        """Return the provider's record of a call, by its id of the request."""
        request_id = pair.closed.provider_request_id
        assert request_id is not None
        (found,) = [
            call
            for call in self.truth()
            if call.ended and call.ended.provider_request_id == request_id
        ]
        return found

    def assert_tied_out(self, *pairs: Pair) -> None:
        """Assert that each call has the tokens that its provider bills, and told nobody's name."""
        for pair in pairs:
            truth = self.of(pair)
            assert truth.received.leaks == ()
            theirs = {kind: n for kind, n in truth.quantities._asdict().items() if n}
            assert pair.quantities == theirs
