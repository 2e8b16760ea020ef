"""Holds the report against the providers' own record, tenant by tenant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
    sites: tuple[dict[str, Any], ...]
    """Rows of calls without an owner by the place in code that made them."""

    @property
    def holds(self) -> bool:
        """Whether there was something, and the report says exactly what is right."""
        same = all(row.expected_pico == row.reported_pico for row in self.rows)
        return same and bool(self.rows) and self.calls > 0

    def where(self) -> str:
        """Return which lines of code made the calls without an owner."""
        return "\n".join(f"  {row['call_site']}  {row['calls']} calls" for row in self.sites)

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

    calls: dict[str, list[TruthCall]] = {}
    for call in truth:
        calls.setdefault(owner(call), []).append(call)
    expected = {tenant: bill(of_tenant).total_pico for tenant, of_tenant in calls.items()}
    answer = _spend(running, "--by", "tenant")
    reported = {row["tenant"]: pico_from_usd(row["cost_usd"] or "0") for row in answer}
    sites = _spend(running, "--by", "call_site", "--where", "tenant=unknown")
    rows = tuple(
        Row(tenant, expected.get(tenant, 0), reported.get(tenant, 0))
        for tenant in sorted(expected.keys() | reported.keys())
    )
    return Outcome(rows, len(truth), expected.get(UNKNOWN, 0), tuple(sites))


def _spend(running: Running, *arguments: str) -> list[dict[str, Any]]:
    printed = running.tollbook("report", "spend", *arguments, "--since", "24h", "--format", "json")
    rows: list[dict[str, Any]] = json.loads(printed)["rows"]
    return rows
