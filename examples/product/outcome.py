"""Holds the report against the providers' own record, tenant by tenant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.money import pico_from_usd, usd_text
from tollbook.simulator.bill import bill
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.product.house import Running
    from tollbook.simulator.truth import TruthCall

UNKNOWN: Final = "unknown"


def _by(*parts: str) -> Callable[[str], bool]:
    return lambda part: part.startswith(parts)


LOSES: Final[dict[str, Callable[[str], bool]]] = {
    "single-key": _by(""),
    "stripped-headers": _by("plan", "write", "sub"),
    "background-jobs": _by("job", "index"),
    "streaming": _by("stream"),
    "agent-recursion": _by("sub"),
    "embeddings-retrieval": _by("find", "subfind"),
}
"""Which parts of the product's work lose their owner under a fault; the part ends a ticket."""


class Row(NamedTuple):
    """One tenant, in pico: what is right under the fault, and what the report says."""

    tenant: str
    expected_pico: int
    reported_pico: int


class Outcome(NamedTuple):
    """What a run came to."""

    rows: tuple[Row, ...]
    calls: int
    lost_pico: int

    @property
    def holds(self) -> bool:
        """Whether there was something, and the report says exactly what is right."""
        same = all(row.expected_pico == row.reported_pico for row in self.rows)
        return same and bool(self.rows) and self.calls > 0

    def table(self) -> str:
        """Return it as text."""
        lines = [f"{'tenant':<12}{'providers say':>20}{'report says':>20}"]
        lines += [
            f"{row.tenant:<12}{usd_text(row.expected_pico):>20}{usd_text(row.reported_pico):>20}"
            for row in self.rows
        ]
        return "\n".join(lines)


def outcome(running: Running, fault: str | None) -> Outcome:
    """Compare; under a fault what it loses is expected to be nobody's, to the last digit."""
    truth = [call for call in read_truth(running.simulator.log_dir) if call.is_billed]
    loses = LOSES[fault] if fault is not None else lambda _: False

    def owner(call: TruthCall) -> str:
        tenant, _, rest = (call.received.request_id or "").partition(".")
        return UNKNOWN if loses(rest.partition(".")[2]) else tenant

    expected: dict[str, int] = {}
    for tenant in sorted({owner(call) for call in truth}):
        expected[tenant] = bill(truth, lambda call, tenant=tenant: owner(call) == tenant).total_pico
    answer = json.loads(
        running.tollbook("report", "spend", "--by", "tenant", "--since", "24h", "--format", "json")
    )
    reported = {row["tenant"]: pico_from_usd(row["cost_usd"] or "0") for row in answer["rows"]}
    rows = tuple(
        Row(tenant, expected.get(tenant, 0), reported.get(tenant, 0))
        for tenant in sorted(expected.keys() | reported.keys())
    )
    return Outcome(rows, len(truth), expected.get(UNKNOWN, 0))
