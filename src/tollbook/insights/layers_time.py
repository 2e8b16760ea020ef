"""``insights.layers``: what the layers of requests cost, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.insights.asked import Asked, Finding, answer, query_of, shown
from tollbook.layers import LAYER_COSTS, LAYERS
from tollbook.money import pico_from_usd
from tollbook.reports.errors import UnknownNameError
from tollbook.reports.layers import MEANINGS, MEASURES, run_layers

if TYPE_CHECKING:
    from tollbook.desk import Desk

STEPS: Final = ("day", "week", "month")
METHOD: Final = (
    "Each request is weighed by its sections as the gateway or the SDK read it: the prompt "
    "(system, instructions, schemas), tools (definitions, calls, results), context (memories, "
    "retrieved chunks, earlier turns) and what the user says; the answer is a layer of its own. "
    "The provider's count of tokens is divided by these weights and each kind's cost by the "
    "tokens, by largest remainder, so that the layers of a step add up to its cost. Unsplit is "
    "what has no structure that is known, and fees that are not for tokens."
)


class LayersRequest(Asked, kw_only=True):
    """In what steps."""

    by: str = "day"


def layers(desk: Desk, asked: LayersRequest) -> dict[str, Any]:
    """Answer with tokens and dollars of each layer in each step."""
    if asked.by not in STEPS:
        raise UnknownNameError("--by", asked.by, STEPS)
    query = query_of(asked, by=(asked.by,), measures=MEASURES)
    report = run_layers(desk.reader, query)
    sums = dict.fromkeys(LAYERS, 0)
    for row in report.rows:
        sums[row["layer"]] += 0 if row["cost_usd"] is None else pico_from_usd(row["cost_usd"])
    named = {name: amount for name, amount in sums.items() if name not in ("response", "unsplit")}
    largest = max(named, key=lambda name: named[name])
    return answer(desk, query, Finding(
        rows=report.rows, by=(), method=METHOD, totals=report.totals,
        headline=(
            f"Of what is sent, most is {largest} ({MEANINGS[largest]}): {shown(named[largest])}; "
            f"answers cost {shown(sums['response'])}."
            if any(named.values()) else "No request in this range is split into layers."
        ),
        at_stake=sum(named.values()), more={"meanings": MEANINGS, "measures": list(LAYER_COSTS)},
    ))  # fmt: skip
